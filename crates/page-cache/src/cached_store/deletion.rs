//! Deletions, each of which ends with its object being doubted, however it ends.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::Result;
use object_store::path::Path;

use super::Shared;
use super::change::Change;
use crate::sync::Mutex;

/// What was given to the store below to be deleted, and is not known to be: a store that takes many at once tells of
/// one after the other, and an error does not say of which it is. Who gives up listening does not know what becomes of
/// them.
struct UnderWay {
    shared: Arc<Shared>,
    changes: Mutex<HashMap<Path, Change>>,
}

/// What the store below deletes of these.
pub(super) fn delete_stream(
    shared: &Arc<Shared>,
    locations: BoxStream<'static, Result<Path>>,
) -> BoxStream<'static, Result<Path>> {
    let begun = Arc::new(UnderWay { shared: Arc::clone(shared), changes: Mutex::default() });
    let (told, ended) = (Arc::clone(&begun), Arc::clone(&begun));
    let locations = locations.inspect(move |location| {
        if let Ok(location) = location {
            begun.begin(location);
        }
    });
    let deleted = shared.inner.delete_stream(locations.boxed()).then(move |deleted| {
        let told = Arc::clone(&told);
        async move {
            if let Ok(location) = &deleted {
                told.end(location).await;
            }
            deleted
        }
    });
    let nothing_more = stream::once(async move { ended.end_all().await }).filter_map(|()| ready(None));
    deleted.chain(nothing_more).boxed()
}

impl UnderWay {
    fn begin(&self, location: &Path) {
        let before = self.changes.lock().insert(location.clone(), self.shared.change(location));
        // If it is named twice; not under the lock, since it is doubted now.
        drop(before);
    }

    async fn end(&self, location: &Path) {
        let change = self.changes.lock().remove(location);
        change.unwrap_or_else(|| self.shared.change(location)).over().await;
    }

    async fn end_all(&self) {
        let changes = std::mem::take(&mut *self.changes.lock());
        for change in changes.into_values() {
            change.over().await;
        }
    }
}
