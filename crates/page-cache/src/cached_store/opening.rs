//! How an object is opened: from what is known of it, or by a look at it that brings bytes along. What has come is
//! given to who asked for it at once; the files are made and the bytes stored behind that.
//!
//! ```text
//! caller ──► look: one round trip ──► answered
//!                     │
//!                     └──► pair ─► pages ─► head ──► remembered     behind the answer, in bounded number
//! ```

use std::sync::Arc;
use std::time::SystemTime;

use object_store::path::Path;
use object_store::{Attributes, Error, Extensions, ObjectMeta, Result};
use tokio::sync::oneshot;

use super::asking::{Answered, Asking, Served};
use super::behind::Permit;
use super::objects::{Name, Object};
use super::wanted::{Piece, Wanted};
use super::{Shared, attributes, error};
use crate::fetch::MAX_REQUEST;
use crate::opening::{Known, Looked};
use crate::origin::{ObjectStoreOrigin, Origin, OriginError, Stat};
use crate::runtime::spawn_blocking;

/// An object that may be read from.
pub(super) enum Opened {
    /// What was known of it is good, or all there is.
    Known(Arc<Object>),
    Looked(Box<Fresh>),
}

/// What the store below has said just now.
pub(super) struct Fresh {
    pub(super) meta: ObjectMeta,
    pub(super) attributes: Attributes,
    /// Of the store's answer.
    pub(super) extensions: Extensions,
    pub(super) pieces: Vec<Piece>,
    /// Whether it is to be stored, if that can be done.
    pub(super) is_stored: bool,
    object: oneshot::Receiver<Arc<Object>>,
}

impl Fresh {
    /// Waits until it is open.
    pub(super) async fn object(mut self) -> Result<Arc<Object>> {
        self.take_object().await
    }

    /// The same later; to be called once.
    pub(super) fn take_object(&mut self) -> impl Future<Output = Result<Arc<Object>>> + Send + 'static {
        let object = std::mem::replace(&mut self.object, oneshot::channel().1);
        async { object.await.map_err(|_| error::generic("the thread that opens the object has died")) }
    }
}

/// To whom the result of an opening goes.
struct Waiting {
    opened: Option<oneshot::Sender<Result<Opened>>>,
    object: Option<oneshot::Sender<Arc<Object>>>,
    /// What has come, if it is not to be answered before it is stored.
    fresh: Option<Box<Fresh>>,
    permits: Vec<Permit>,
}

impl Waiting {
    fn give(&mut self, opened: Result<Opened>) {
        if let Some(waiting) = self.opened.take() {
            // Who has given up does not wait for it.
            _ = waiting.send(opened);
        }
    }
}

impl Shared {
    /// The object in its present version, if what is known is to be confirmed, or else in one that is fresh.
    pub(super) async fn open(
        self: &Arc<Self>,
        name: &Name,
        wanted: Wanted,
        confirm: bool,
        extensions: Extensions,
    ) -> Result<Opened> {
        let (shared, name) = (Arc::clone(self), name.clone());
        let (sender, opened) = oneshot::channel();
        let waiting = Waiting { opened: Some(sender), object: None, fresh: None, permits: Vec::new() };
        spawn_blocking(move || shared.open_blocking(name, &wanted, confirm, extensions, waiting))
            .map_err(error::generic)?;
        opened.await.map_err(|_| error::generic("the thread that opens the object has died"))?
    }

    fn open_blocking(&self, name: Name, wanted: &Wanted, confirm: bool, extensions: Extensions, mut waiting: Waiting) {
        let since = self.objects().now();
        let origin = Arc::new(self.origin_of(&name));
        let asked = Arc::clone(&origin);
        let look = |known: Option<Known<'_>>| {
            // Not for who wants to know whether it has changed.
            let served = known.as_ref().filter(|known| known.may_be_served && !confirm).map(|known| known.stat.clone());
            match (self.look(&asked, &name, wanted, known, extensions, served.as_ref(), &mut waiting), served) {
                (Err(error), Some(stat)) if !is_answer(&error) => {
                    let key = asked.key();
                    tracing::warn!(key, %error, "whether the object has changed cannot be told; what is held is opened");
                    let is_stored = self.rules.admit(&meta_of(&name.path, &stat, &Default::default()));
                    let (attributes, with) = (Default::default(), Vec::new());
                    Ok(Looked { stat, attributes, is_stored, is_confirmed: false, with })
                }
                (looked, _) => looked,
            }
        };
        let opened = self.cache.open_by(origin, confirm, look, |file, pieces| {
            file.keep_pieces(pieces.iter().map(|piece| (piece.start, &*piece.bytes)));
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return waiting.give(Err(error)),
        };
        let meta = meta_of(&name.path, opened.file.stat(), &opened.attributes);
        let attributes = attributes::from_head(&opened.attributes);
        let is_stored = self.rules.admit(&meta) && self.cache.unvalidated().vouches_for(opened.file.stat());
        let object = Object::new(opened.file, meta, attributes, opened.age);
        let object = Arc::new(if is_stored { object.meant_to_be_stored() } else { object });
        self.objects().insert(name, &object, since);
        if let Some(waiting) = waiting.object.take() {
            // Who needs no more than what had come does not wait for it.
            _ = waiting.send(Arc::clone(&object));
        }
        let opened = waiting.fresh.take().map_or(Opened::Known(object), Opened::Looked);
        waiting.give(Ok(opened));
    }

    /// Asks the store below for the version, and for bytes unless they are held, and answers who waits for them.
    #[expect(clippy::too_many_arguments, reason = "each is another matter")]
    fn look(
        &self,
        origin: &ObjectStoreOrigin,
        name: &Name,
        wanted: &Wanted,
        known: Option<Known<'_>>,
        extensions: Extensions,
        served: Option<&Stat>,
        waiting: &mut Waiting,
    ) -> Result<Looked<Vec<Piece>>> {
        if self.cache.is_offline() {
            let what = "its length and version".to_owned();
            return Err(error::of_origin(&name.path, OriginError::Offline { key: origin.key().to_owned(), what }));
        }
        origin.store().map_err(|error| error::of_origin(&name.path, error))?;
        let page_size = self.cache.page_size();
        let holds = |range: &_| known.as_ref().is_some_and(|known| (known.holds)(range));
        let mut requests = wanted.requests(page_size, known.as_ref().map(|known| known.stat.length), holds);
        let behind = self.behind();
        waiting.permits = behind.further_requests(requests.len().saturating_sub(1));
        requests.truncate(1 + waiting.permits.len());
        let key = || origin.key().to_owned();
        let served = served.map(|stat| Served { cache: self.cache.clone(), key: key(), stat: stat.clone() });
        let (path, unvalidated) = (&name.path, self.cache.unvalidated());
        let longest = MAX_REQUEST.max(page_size) + page_size;
        let asking = Asking { origin, path, extensions, longest, unvalidated, served };
        let Answered { stat, meta, attributes, extensions, pieces } = asking.ask(requests)?;
        let kept = attributes::to_head(&meta, &attributes);
        let is_stored = self.rules.admit(&meta);
        let (sender, object) = oneshot::channel();
        let fresh = Box::new(Fresh {
            meta,
            attributes,
            extensions,
            pieces: pieces.clone(),
            is_stored: is_stored && unvalidated.vouches_for(&stat),
            object,
        });
        waiting.object = Some(sender);
        match behind.answer_before() {
            Some(permit) => {
                waiting.permits.push(permit);
                waiting.give(Ok(Opened::Looked(fresh)));
            }
            // What is stored must not fall behind what comes without end.
            None => waiting.fresh = Some(fresh),
        }
        Ok(Looked { stat, attributes: kept, is_stored, is_confirmed: true, with: pieces })
    }
}

/// Whether an error says something of the object, and not of the way to it.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
}

/// The metadata of a version that is known.
fn meta_of(path: &Path, stat: &Stat, kept: &crate::opening::Attributes) -> ObjectMeta {
    let validators = &stat.validators;
    ObjectMeta {
        location: path.clone(),
        // As a store gives it where there is none.
        last_modified: validators.last_modified.unwrap_or(SystemTime::UNIX_EPOCH).into(),
        size: stat.length,
        e_tag: validators.etag.clone(),
        version: validators.version.clone().or_else(|| attributes::unversioned(kept)),
    }
}
