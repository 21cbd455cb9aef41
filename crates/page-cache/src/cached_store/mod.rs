//! A cache between an object store and who reads from it.
//!
//! ```text
//! get_opts, get_ranges ─► known here and fresh? ── yes ─► held? ─ yes ─► copied at once
//!                              │ no                         │ no
//!                              ▼                            ▼
//!                 one request tells the version     missing pages of the version, by conditional requests
//!                 and brings the first bytes        (`fetch`), off the caller's runtime
//! put, copy, delete, rename ─► the store below, and then what is known of the object is doubted
//! list ─► the store below
//! ```
//!
//! What comes from the cache is of one version of the object, and the metadata beside it are of that version.

mod attributes;
mod body;
mod builder;
mod error;
mod objects;
mod opening;
mod rules;
mod status;
mod upload;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Extensions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

pub use self::builder::CachedStoreBuilder;
use self::objects::{Name, Object, Objects};
use self::opening::{Piece, Wanted};
use self::rules::Rules;
pub use self::status::CacheStatus;
use self::upload::Upload;
use crate::cache::Cache;
use crate::error::ReadError;
use crate::origin::{ObjectStoreOrigin, Origin};
use crate::runtime::unblock;

/// How often an object that is found changed is looked at again before that is an error.
const MAX_LOOKS: u32 = 2;

/// An object store whose objects are read through a [`Cache`].
///
/// It is an [`ObjectStore`] as whole as the one below it: whatever takes one (DataFusion, `parquet`, `async-tiff`,
/// zarrs, Lance) reads through the cache without knowing of it. Clones share everything, and so do all processes that
/// have a cache over the same directory and use the same namespace.
///
/// # What is asked of the store below
///
/// * The first read of an object sends one request for whole pages around what is asked for, which tells the version
///   and brings the bytes; there is no request for metadata before it. Further reads send conditional requests for
///   what is missing, several at once, and none for what is held.
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
/// extensions of a request reach the store below with the first read of an object only.
///
/// # Blocking
///
/// Nothing here blocks the caller's runtime: what is held and small is copied at once, all else is done by threads of
/// this crate. A future that is dropped stops to be waited for; a request that it has sent is finished and kept.
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
    cache: Cache,
    namespace: String,
    rules: Rules,
    objects: Objects,
}

impl CachedStore {
    /// `inner`, read through `cache`.
    ///
    /// The namespace is what tells this store from others that are read through the same directory: two stores in which
    /// the same path may mean another object must have different ones. The same in each process, it holds no secret; the
    /// name of a bucket with its endpoint is a good one.
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
        self.shared.key_of(&Name { path: location.clone(), version: None })
    }
}

impl Shared {
    fn origin_of(&self, name: &Name) -> ObjectStoreOrigin {
        let origin = ObjectStoreOrigin::new(Arc::clone(&self.inner), name.path.clone(), self.namespace.clone());
        match &name.version {
            Some(version) => origin.at_version(version.clone()),
            None => origin,
        }
    }

    fn key_of(&self, name: &Name) -> String {
        self.origin_of(name).key().to_owned()
    }

    /// What the store below answers.
    async fn bypass(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.inner.get_opts(location, options).await?;
        result.extensions.insert(CacheStatus::Bypass);
        Ok(result)
    }

    /// Lets whoever opens the object next ask the store below.
    async fn changed(self: &Arc<Self>, location: &Path) {
        let (shared, name) = (Arc::clone(self), Name { path: location.clone(), version: None });
        let forget = move || {
            shared.cache.doubt(&shared.key_of(&name));
            // Only then: who has looked before that remembers what he found no longer than until now.
            shared.objects.forget(&name);
        };
        if let Err(error) = unblock(forget).await {
            tracing::warn!(%location, %error, "what is known of a changed object could not be doubted");
        }
    }

    /// Answers a request from an object, of which a piece may have come already.
    async fn answer(
        self: &Arc<Self>,
        name: &Name,
        object: &Arc<Object>,
        piece: Option<Piece>,
        options: GetOptions,
    ) -> Result<Answer> {
        let path = &name.path;
        let length = object.meta.size;
        let range = match &options.range {
            Some(range) => range.as_range(length).map_err(error::generic)?,
            None => 0..length,
        };
        if options.head || range.is_empty() {
            return Ok(Answer::Result(object.result(range, stream::empty().boxed(), CacheStatus::Hit)));
        }
        if let Some(bytes) = piece.and_then(|piece| piece.part(&range)) {
            let status = if object.is_stored() { CacheStatus::Miss } else { CacheStatus::Bypass };
            return Ok(Answer::Result(object.result(range, stream::iter([Ok(bytes)]).boxed(), status)));
        }
        if !object.is_stored() {
            return self.bypass(path, options).await.map(Answer::Result);
        }
        let file = &object.file;
        if let Some(bytes) = file.bytes_if_checked(&range) {
            let body = stream::iter([Ok(bytes)]).boxed();
            return Ok(Answer::Result(object.result(range, body, CacheStatus::Hit)));
        }
        // The first piece before the result, as a store below has the beginning of its answer: so that an object that
        // is no longer this one is found while there is a way back.
        let mut rest = body::cut(range.clone(), file.page_size().unwrap_or(1));
        let first = rest.next().unwrap_or_default();
        let (all, reading) = (range.clone(), file.clone());
        let read = unblock(move || {
            let status = if reading.holds(&all) { CacheStatus::Hit } else { CacheStatus::Miss };
            reading.bytes(first).map(|bytes| (bytes, status))
        });
        match read.await.map_err(error::generic)? {
            Ok((first, status)) => {
                let (shared, name) = (Arc::clone(self), name.clone());
                let rest = body::pieces(file.clone(), path.clone(), move || shared.objects.forget(&name), rest);
                Ok(Answer::Result(object.result(range, stream::iter([Ok(first)]).chain(rest).boxed(), status)))
            }
            Err(error) if error::is_change(&error) => Ok(Answer::Changed(error)),
            Err(error) => Err(error::of_read(path, error)),
        }
    }

    async fn get(self: &Arc<Self>, name: Name, mut options: GetOptions) -> Result<GetResult> {
        // These ask whether it has changed, and not whether this cache thinks so.
        let asks = options.if_none_match.is_some() || options.if_modified_since.is_some();
        let extensions = std::mem::take(&mut options.extensions);
        let mut confirm = asks && !self.cache.is_offline();
        let mut known = self.objects.fresh(&name, self.cache.freshness()).filter(|_| !confirm);
        // A change is found at the first look or, since another may follow it, at the second.
        let mut looks = 0;
        loop {
            let (object, piece) = match known.take() {
                Some(object) => (object, None),
                None => self.open(&name, Wanted::of(&options), confirm, extensions.clone()).await?,
            };
            let last = looks == MAX_LOOKS || self.cache.is_offline();
            looks += 1;
            if let Err(error) = options.check_preconditions(&object.meta) {
                if confirm || last {
                    return Err(error);
                }
                confirm = true;
                continue;
            }
            let asked = GetOptions { extensions: extensions.clone(), ..options.clone() };
            match self.answer(&name, &object, piece, asked).await? {
                Answer::Result(result) => return Ok(result),
                Answer::Changed(error) if last => return Err(error::of_read(&name.path, error)),
                Answer::Changed(_) => {
                    self.objects.forget(&name);
                    confirm = true;
                }
            }
        }
    }

    async fn ranges(self: &Arc<Self>, name: Name, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let mut known = self.objects.fresh(&name, self.cache.freshness());
        let mut looks = 0;
        loop {
            let (object, piece) = match known.take() {
                Some(object) => (object, None),
                None => self.open(&name, Wanted::Ranges(ranges.clone()), looks > 0, Extensions::new()).await?,
            };
            let ranges: Vec<_> = ranges
                .iter()
                .map(|range| GetRange::Bounded(range.clone()).as_range(object.meta.size).map_err(error::generic))
                .collect::<Result<_>>()?;
            if let Some(parts) = piece.and_then(|piece| ranges.iter().map(|range| piece.part(range)).collect()) {
                return Ok(parts);
            }
            if !object.is_stored() {
                return self.inner.get_ranges(&name.path, &ranges).await;
            }
            match object.file.read_ranges_async(ranges).await {
                Ok(read) => return Ok(read),
                Err(error) if error::is_change(&error) && looks < MAX_LOOKS && !self.cache.is_offline() => {
                    self.objects.forget(&name);
                    looks += 1;
                }
                Err(error) => return Err(error::of_read(&name.path, error)),
            }
        }
    }
}

/// What came of a request to an object that was open.
enum Answer {
    Result(GetResult),
    /// It is no longer that object, and nothing of it was handed out.
    Changed(ReadError),
}

impl Object {
    fn result(&self, range: Range<u64>, body: BoxStream<'static, Result<Bytes>>, status: CacheStatus) -> GetResult {
        let mut extensions = Extensions::new();
        extensions.insert(status);
        GetResult {
            payload: GetResultPayload::Stream(body),
            meta: self.meta.clone(),
            range,
            attributes: self.attributes.clone(),
            extensions,
        }
    }
}

#[async_trait]
impl ObjectStore for CachedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.shared.inner.put_opts(location, payload, options).await;
        // Also if it failed: the store may have done it, and its answer been lost.
        self.shared.changed(location).await;
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
            return self.shared.inner.get_ranges(location, ranges).await;
        }
        self.shared.ranges(Name { path: location.clone(), version: None }, ranges.to_vec()).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (before, after) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        // Before it, since an error does not say of which it is; after it, since others may have looked in between.
        let locations = locations.then(move |location| {
            let shared = Arc::clone(&before);
            async move {
                if let Ok(location) = &location {
                    shared.changed(location).await;
                }
                location
            }
        });
        let deleted = self.shared.inner.delete_stream(locations.boxed()).then(move |deleted| {
            let shared = Arc::clone(&after);
            async move {
                if let Ok(location) = &deleted {
                    shared.changed(location).await;
                }
                deleted
            }
        });
        deleted.boxed()
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
        let copied = self.shared.inner.copy_opts(from, to, options).await;
        self.shared.changed(to).await;
        copied
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let renamed = self.shared.inner.rename_opts(from, to, options).await;
        self.shared.changed(from).await;
        self.shared.changed(to).await;
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
