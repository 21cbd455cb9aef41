//! What may change an object, and ends with it being doubted, however it ends.

use std::sync::Arc;

use object_store::path::Path;

use super::Shared;
use super::objects::Name;
use crate::runtime::{Abandoned, spawn_blocking, unblock};

/// A write that is under way. Once it is [over](Self::over) whoever opens the object next asks the store below. Who
/// gives it up does not know what becomes of it, so then it is over as well.
pub(super) struct Change {
    pub(super) shared: Arc<Shared>,
    pub(super) location: Path,
    pub(super) is_over: bool,
}

impl Change {
    /// Returns once the next read, in any process that has to open the object, asks the store below.
    pub(super) async fn over(mut self) {
        self.is_over = true;
        let doubted = unblock(self.doubt()).await;
        self.report(doubted);
    }

    /// What is to be done about it, on a thread that may block.
    fn doubt(&self) -> impl FnOnce() + Send + 'static {
        let (shared, name) = (Arc::clone(&self.shared), Name::of(&self.location));
        move || {
            shared.cache.doubt(&shared.key_of(&name));
            // Only then: who has looked before that remembers what he found no longer than until now.
            shared.objects().forget(&name);
        }
    }

    fn report(&self, doubted: Result<(), Abandoned>) {
        if let Err(error) = doubted {
            let location = &self.location;
            tracing::warn!(%location, %error, "what is known of a changed object could not be doubted");
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // At once in this process, and soon in others.
        let name = Name::of(&self.location);
        self.shared.cache.begin_doubt(&self.shared.key_of(&name));
        self.shared.objects().forget(&name);
        self.report(spawn_blocking(self.doubt()));
    }
}
