//! A cache between an object store and who reads from it.
//!
//! ```text
//! get_opts, get_ranges ─► known here and fresh? ── yes ─► held? ─ yes ─► copied at once
//!                              │ no                         │ no
//!                              ▼                            ▼
//!                 one round trip tells the version  missing pages of the version, by conditional requests
//!                 and brings the first bytes, which (`fetch`), off the caller's runtime
//!                 are stored behind the answer
//! put, copy, delete, rename ─► the store below, and then what is known of the object is doubted
//! list ─► the store below
//! ```
//!
//! What comes from the cache is of one version of the object, and the metadata beside it are of that version.

mod asking;
mod attributes;
mod behind;
mod body;
mod builder;
mod change;
mod deletion;
mod error;
mod objects;
mod opening;
mod reading;
mod rules;
mod status;
mod upload;
mod wanted;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use self::behind::Behind;
pub use self::builder::CachedStoreBuilder;
use self::change::Change;
use self::objects::{Name, Objects};
use self::rules::Rules;
pub use self::status::CacheStatus;
use self::upload::Upload;
use crate::cache::Cache;
use crate::origin::{ObjectStoreOrigin, Origin, OriginError, Timeouts};
use crate::sys::PerProcess;

/// An object store whose objects are read through a [`Cache`].
///
/// It is an [`ObjectStore`] as whole as the one below it: whatever takes one (DataFusion, `parquet`, `async-tiff`,
/// zarrs, Lance) reads through the cache without knowing of it. Clones share everything, and so do all processes that
/// have a cache over the same directory and use the same namespace.
///
/// # What is asked of the store below
///
/// * The first read of an object sends one request for whole pages around what is asked for, which tells the version
///   and brings the bytes; there is no request for metadata before it. For ranges that are far from each other it sends
///   several at once, and uses those answers that are of one version. Further reads send conditional requests for what
///   is missing, several at once, and none for what is held.
/// * Whether an object has changed is looked at when the cache's [`Freshness`](crate::Freshness) wants it: by that
///   policy `get` and `head` answer from what is known. `if_none_match` and `if_modified_since` ask just that, so they
///   always ask the store below; `if_match` and `if_unmodified_since` do so only if what is known does not match.
/// * `put`, multipart uploads, copies, renames and deletions pass, and whoever opens such an object next through this
///   directory, in any process, asks anew. What others do to the store behind the cache's back is seen when freshness
///   wants it. Lists always come from the store below.
/// * An object of a given `version` never changes, and is kept beside the others.
///
/// An object that changes while it is read is never spliced: what was begun ends with [`Error::Precondition`], and the
/// next read is of the new version.
///
/// # What is not cached
///
/// Objects of stores that give nothing to tell versions by (see [`Validators::identity`](crate::Validators::identity)),
/// and those which the builder's rules do not admit: such reads pass to the store below, with all of their options. The
/// extensions of a request reach the store below with the first read of an object only, and so do those of its answer
/// the caller.
///
/// # Blocking
///
/// Nothing here blocks the caller's runtime: what is held and small is copied at once, all else is done by threads of
/// this crate. A future that is dropped stops to be waited for; a request that it has sent is finished and kept. The
/// first read of an object returns before its bytes are stored, as long as no more than 16 objects are; what was not
/// stored when the process ends is fetched again another day ([`flush`](Self::flush)). Requests end by the builder's
/// [`timeouts`](CachedStoreBuilder::timeouts).
///
/// [`Error::Precondition`]: object_store::Error::Precondition
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::sync::Arc;
/// use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
/// use page_cache::{Cache, CachedStore, CacheStatus};
///
/// # let directory = tempfile::tempdir()?;
/// let slow: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
/// slow.put(&"a/b".into(), vec![7; 100_000].into()).await?;
///
/// let cache = Cache::builder(directory.path()).open()?;
/// let store = CachedStore::new(slow, cache, "my bucket");
/// assert_eq!(store.get_range(&"a/b".into(), 5..10).await?, [7; 5][..]);
/// let again = store.get_opts(&"a/b".into(), Default::default()).await?;
/// assert_eq!(again.meta.size, 100_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct CachedStore {
    shared: Arc<Shared>,
}

/// What clones share.
pub(crate) struct Shared {
    inner: Arc<dyn ObjectStore>,
    /// The same in the process that was given it: its connections and threads a child does not have.
    own: PerProcess<Option<Arc<dyn ObjectStore>>>,
    cache: Cache,
    namespace: String,
    rules: Rules,
    timeouts: Timeouts,
    max_objects: usize,
    /// A child knows what it has opened itself, and does what it does itself.
    objects: PerProcess<Objects>,
    behind: PerProcess<Behind>,
}

impl CachedStore {
    /// `inner`, read through `cache`.
    ///
    /// The namespace is what tells this store from others that are read through the same directory: two stores in which
    /// the same path may mean another object must have different ones. The same in each process, it holds no secret;
    /// the name of a bucket with its endpoint is a good one.
    pub fn new(inner: Arc<dyn ObjectStore>, cache: Cache, namespace: impl Into<String>) -> Self {
        Self::builder(inner, cache, namespace).build()
    }

    /// The same with options.
    pub fn builder(inner: Arc<dyn ObjectStore>, cache: Cache, namespace: impl Into<String>) -> CachedStoreBuilder {
        CachedStoreBuilder::new(inner, cache, namespace.into())
    }

    /// The store below.
    pub fn inner(&self) -> &Arc<dyn ObjectStore> {
        &self.shared.inner
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.shared.cache
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// The key under which the cache keeps the object at a path, as [`Cache::entries`] lists it.
    pub fn key_of(&self, location: &Path) -> String {
        self.shared.key_of(&Name::of(location))
    }

    /// Lets the next read of an object ask the store below, under any freshness policy: for who learns that others have
    /// changed it. Of a version that is held already nothing is fetched again.
    pub async fn invalidate(&self, location: &Path) {
        self.shared.changed(location).await;
    }

    /// Waits until what has been read so far through this store and its clones, in this process, is stored as well.
    ///
    /// The first read of an object is answered as soon as its bytes have come, and they are stored behind that: whoever
    /// ends the process, or looks at the cache, may want to wait for it. Of other reads nothing is left to do.
    pub async fn flush(&self) {
        self.shared.behind().settled().await;
    }
}

impl Shared {
    fn origin_of(&self, name: &Name) -> ObjectStoreOrigin {
        let store = self.own.get(|| None).clone();
        let origin = ObjectStoreOrigin::of_this_process(store, name.path.clone(), &self.namespace);
        let origin = origin.with_timeouts(self.timeouts);
        match &name.version {
            Some(version) => origin.at_version(version.clone()),
            None => origin,
        }
    }

    fn key_of(&self, name: &Name) -> String {
        self.origin_of(name).key().to_owned()
    }

    fn objects(&self) -> &Objects {
        self.objects.get(|| Objects::new(self.max_objects))
    }

    fn behind(&self) -> &Behind {
        self.behind.get(|| Behind::new(self.cache.max_in_flight()))
    }

    /// What the store below answers.
    async fn bypass(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check_online(location)?;
        let mut result = self.inner.get_opts(location, options).await?;
        result.extensions.insert(CacheStatus::Bypass);
        Ok(result)
    }

    async fn bypass_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check_online(location)?;
        self.inner.get_ranges(location, ranges).await
    }

    fn check_online(&self, location: &Path) -> Result<()> {
        if !self.cache.is_offline() {
            return Ok(());
        }
        let (key, what) = (self.key_of(&Name::of(location)), "what is not cached".to_owned());
        Err(error::of_origin(location, OriginError::Offline { key, what }))
    }

    /// What may change an object begins; see [`Change`].
    fn change(self: &Arc<Self>, location: &Path) -> Change {
        Change { shared: Arc::clone(self), location: location.clone(), is_over: false }
    }

    /// Lets whoever opens the object next ask the store below.
    async fn changed(self: &Arc<Self>, location: &Path) {
        self.change(location).over().await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for CachedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let change = self.shared.change(location);
        let put = self.shared.inner.put_opts(location, payload, options).await;
        // Also if it failed: the store may have done it, and its answer been lost.
        change.over().await;
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.shared.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { inner, shared: Arc::clone(&self.shared), location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if !self.shared.rules.admit_path(location) {
            return self.shared.bypass(location, options).await;
        }
        let name = Name { path: location.clone(), version: options.version.clone() };
        self.shared.get(name, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() || !self.shared.rules.admit_path(location) {
            return self.shared.bypass_ranges(location, ranges).await;
        }
        self.shared.ranges(Name::of(location), ranges.to_vec()).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        deletion::delete_stream(&self.shared, locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.shared.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.shared.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.shared.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let change = self.shared.change(to);
        let copied = self.shared.inner.copy_opts(from, to, options).await;
        change.over().await;
        copied
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let changes = [from, to].map(|location| self.shared.change(location));
        let renamed = self.shared.inner.rename_opts(from, to, options).await;
        for change in changes {
            change.over().await;
        }
        renamed
    }
}

impl fmt::Display for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedStore({}, {:?}, {})", self.inner(), self.namespace(), self.cache().dir().display())
    }
}

impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store below may show its credentials; its name for people does not.
        f.debug_struct("CachedStore")
            .field("inner", &format_args!("{}", self.inner()))
            .field("namespace", &self.namespace())
            .field("dir", &self.cache().dir())
            .field("rules", &self.shared.rules)
            .finish_non_exhaustive()
    }
}
