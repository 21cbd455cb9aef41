//! An object in any store that somebody has.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::attempt::{Attempt, Timeouts};
use super::request::Request;
use super::version::{compare, conditional, stat_of};
use crate::origin::{Origin, OriginError, Stat};
use crate::sys::PerProcess;

/// What would end a namespace in a key.
const NOT_IN_A_NAMESPACE: &AsciiSet = &CONTROLS.add(b'%').add(b'/');

/// An object in any [`ObjectStore`].
///
/// Each request is conditional on the pinned ETag, else version id, else date, and what the store answers is compared
/// with the pinned length and validators; an object without any is only compared by its length, and what is read of it
/// is not stored.
///
/// # Runtimes
///
/// The store's futures are run by a small runtime of this crate's own, and the caller's thread blocks meanwhile. A
/// store that has tied itself to a runtime of yours (by a spawned connector, or by connections that it opened there)
/// needs that one to go on: with a current-thread runtime, which stands still while its thread waits for this, a
/// request then ends with its [`Timeouts`]. A store whose futures block a thread instead of waiting holds up others;
/// one whose futures read through a [`CachedFile`](crate::CachedFile) gets an error, and has to use its async methods.
///
/// # Retries
///
/// A store that is given here tries again as it was built to.
///
/// # Forks
///
/// A child of the process that made it is refused: connections and threads of the store are its parent's. It has to
/// make a store of its own.
///
/// # Messages
///
/// An error of the store is quoted in one line, without the query and the user of any URL in it and without a server's
/// body; what else it may say is the store's.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use page_cache::object_store::{ObjectStoreExt, memory::InMemory, path::Path};
/// use page_cache::{Cache, ObjectStoreOrigin};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (store, path) = (Arc::new(InMemory::new()), Path::from("a/b.bin"));
/// store.put(&path, vec![7; 1_000_000].into()).await?;
///
/// # let directory = tempfile::tempdir()?;
/// let cache = Cache::builder(directory.path()).open()?;
/// let file = cache.file(ObjectStoreOrigin::new(store, path, "tests"))?;
/// assert_eq!(file.bytes(500_000..500_003)?, [7; 3][..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ObjectStoreOrigin {
    key: String,
    path: Path,
    /// The id of the version that is meant, if not the current one.
    version: Option<String>,
    timeouts: Timeouts,
    /// None in a child of the process that made it.
    store: PerProcess<Option<Arc<dyn ObjectStore>>>,
}

impl ObjectStoreOrigin {
    /// The object at `path` of `store`. Sends no request yet.
    ///
    /// The namespace stands for the store in the [`key`](Origin::key), which is the same whenever the same object is
    /// meant: two stores that are not the same need two namespaces, or one would be given the other's bytes where
    /// lengths and validators happen to agree. It stands in files and messages, so it must hold no secret.
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, namespace: impl Into<String>) -> Self {
        Self::of_this_process(Some(store), path, &namespace.into())
    }

    /// The same, or without a store one that is refused.
    pub(crate) fn of_this_process(store: Option<Arc<dyn ObjectStore>>, path: Path, namespace: &str) -> Self {
        let key = format!("object-store:{}/{path}", utf8_percent_encode(namespace, NOT_IN_A_NAMESPACE));
        Self { key, path, version: None, timeouts: Timeouts::default(), store: PerProcess::new(store) }
    }

    /// The same with other limits on the time that one request may take, the store's own retries included.
    #[must_use = "this gives the changed origin back"]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// The same object in the version of this id, as a store knows it that keeps old versions: one that never changes,
    /// and has a [`key`](Origin::key) of its own.
    #[must_use = "this gives the changed origin back"]
    pub fn at_version(self, version: impl Into<String>) -> Self {
        let version = version.into();
        let key = format!("version:{}/{}", utf8_percent_encode(&version, NOT_IN_A_NAMESPACE), self.key);
        Self { key, version: Some(version), ..self }
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// [`OriginError::Store`] in a child of the process that made it.
    pub(crate) fn store(&self) -> Result<&Arc<dyn ObjectStore>, OriginError> {
        self.store.get(|| None).as_ref().ok_or_else(|| {
            let reason = "its store is the parent process's, whose connections and threads a child does not have; \
                          make a store in the child";
            OriginError::Store { key: self.key.clone(), reason: reason.to_owned() }
        })
    }

    /// One request about the object, or the version that is meant.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub(crate) fn attempt(&self, options: GetOptions) -> Result<Attempt, OriginError> {
        let store = self.store()?;
        let options = match &self.version {
            Some(version) => GetOptions { version: Some(version.clone()), ..options },
            None => options,
        };
        Ok(Attempt { store: Arc::clone(store), path: self.path.clone(), options, timeouts: self.timeouts })
    }
}

impl Origin for ObjectStoreOrigin {
    fn key(&self) -> &str {
        &self.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        let attempt = self.attempt(GetOptions { head: true, ..GetOptions::default() })?;
        attempt.stat().map_err(|failure| failure.explain(&self.key, &Request::Length))
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        let (attempt, expected) = (self.attempt(conditional(range.clone(), pinned))?, pinned.clone());
        // Not every store looks at the conditions.
        attempt
            .read(range.clone(), move |response| Ok(compare(&stat_of(&response.meta), &expected)?))
            .map_err(|failure| failure.explain(&self.key, &Request::Bytes(range)))
    }
}

impl fmt::Debug for ObjectStoreOrigin {
    /// The key alone: what a store shows of itself may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStoreOrigin").field("key", &self.key).finish_non_exhaustive()
    }
}
