//! A cache: a directory, and how it is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Admit;
use crate::cached_file::CachedFile;
use crate::directory::{Budget, Directory, Retry, Settings, WhenFull};
use crate::fetch::retry::RetryPolicy;
use crate::freshness::{Freshness, OnUnreachable, Unvalidated};
use crate::origin::{Origin, OriginError, Stat};
use crate::stats::{Stats, Totals};
use crate::sys::PerProcess;

/// Pieces of remote files in a directory of the local disk.
///
/// Any number of threads and processes use a directory at once. Caches that are open over the same one, with options of
/// their own, share what is stored and what is being fetched. Clones share everything. A process that is forked may go
/// on with the caches of its parent.
///
/// # Examples
///
/// ```
/// use page_cache::{Cache, LocalFile};
///
/// # let directory = tempfile::tempdir()?;
/// # let (path, dir) = (directory.path().join("slow"), directory.path().join("cache"));
/// # std::fs::write(&path, b"pieces of a huge file")?;
/// let cache = Cache::builder(dir).page_size(4 << 10).open()?;
/// let file = cache.file(LocalFile::new(path)?)?;
/// assert_eq!(file.bytes(10..16)?, "a huge");
/// assert!(file.held().contains(0..file.len()), "the page around it is on the disk now");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cache {
    pub(crate) inner: Arc<CacheInner>,
}

/// What the clones and the files of a cache share.
#[derive(Debug)]
pub(crate) struct CacheInner {
    dir: PathBuf,
    settings: Settings,
    pub(crate) policy: Policy,
    /// What is open, in this process; nothing in a child that could not open it anew.
    opened: PerProcess<Arc<Directory>>,
    attempts: PerProcess<Attempts>,
    /// What happened in all files, in this process.
    totals: PerProcess<Arc<Totals>>,
}

/// What a cache does with the objects that are opened by it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) page_size: u64,
    pub(crate) freshness: Freshness,
    pub(crate) on_unreachable: OnUnreachable,
    pub(crate) unvalidated: Unvalidated,
    pub(crate) retry: RetryPolicy,
    pub(crate) offline: bool,
    pub(crate) when_full: WhenFull,
    pub(crate) admit: Admit,
}

/// Attempts of a child to open what its parent had open: after one that failed none is made for a while, since each
/// read would make one.
#[derive(Debug)]
pub(crate) struct Attempts(Retry);

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(Retry::new(Duration::from_millis(100), Duration::from_secs(10)))
    }

    /// What `open` returns, if it is time to try.
    pub(crate) fn make<T>(&self, open: impl FnOnce() -> Option<T>) -> Option<T> {
        if !self.0.is_over() {
            return None;
        }
        let opened = open();
        if opened.is_some() {
            self.0.succeeded()
        } else {
            self.0.failed()
        }
        opened
    }
}

impl CacheInner {
    pub(crate) fn new(dir: PathBuf, settings: Settings, policy: Policy, directory: Arc<Directory>) -> Self {
        let (opened, attempts, totals) = (PerProcess::new(directory), PerProcess::empty(), PerProcess::empty());
        Self { dir, settings, policy, opened, attempts, totals }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// How long anybody waits for what another thread or process does.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.patience
    }

    /// What is open in this process. A child of the process that opened it opens the directory anew, and tries again if
    /// it cannot.
    pub(crate) fn directory(&self) -> Option<&Arc<Directory>> {
        let open = || match Directory::open(&self.dir, &Settings { max_bytes: None, ..self.settings.clone() }) {
            Ok(directory) => Some(directory),
            Err(error) => {
                tracing::warn!(%error, "the cache cannot be opened in a child process; it reads from the origin");
                None
            }
        };
        self.opened.get_or_try(|| self.attempts.get(Attempts::new).make(open).ok_or(())).ok()
    }

    /// What happens in this process is counted here, by a child too that has nothing open.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        self.totals.get(Arc::default)
    }

    /// See [`Directory::doubt`].
    pub(crate) fn doubt(&self, key: &str, stat: &Stat) {
        if let Some(directory) = self.directory() {
            directory.doubt(key, Some(stat));
        }
    }
}

impl Cache {
    pub(crate) fn from_inner(inner: CacheInner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Opens the object of `origin` in the version that it has now.
    ///
    /// "Now" is what the [`Freshness`] policy makes of it: the origin is asked, by one request without data, only if
    /// the last answer is too old. Of a version that was opened before, everything that is held counts; pieces of
    /// another version are deleted as soon as nobody reads them. Blocks for that request; of threads and processes that
    /// open the same key at once, one asks, and the others find its answer, if the policy lets them.
    ///
    /// An object whose origin gives nothing to tell one version from another ([`Validators::identity`]) is read
    /// without storing anything ([`CacheBuilder::unvalidated`]); so is one whose key and validators are longer than a
    /// head can hold, which is 4 KiB.
    ///
    /// # Errors
    ///
    /// [`OriginError`] if the origin has to be asked and does not answer with the object; if it cannot be reached, only
    /// where nothing is held or [`OnUnreachable`] says so; offline, if nothing is known of it. That the cache's own
    /// files cannot be opened is no error: the object is then read from its origin, with a warning in the log.
    ///
    /// [`Validators::identity`]: crate::Validators::identity
    /// [`CacheBuilder::unvalidated`]: crate::CacheBuilder::unvalidated
    pub fn file(&self, origin: impl Origin + 'static) -> Result<CachedFile, OriginError> {
        self.open_file(Arc::new(origin))
    }

    /// What happened in all files that were opened by this cache and its clones, in this process.
    pub fn stats(&self) -> Stats {
        let evictions = self.inner.opened.peek().map(|directory| directory.budget()).filter(|budget| budget.is_own());
        let evictions = evictions.map_or(0, Budget::evicted);
        Stats { evictions, ..self.inner.totals().snapshot() }
    }

    /// Lets whoever opens `key` next, in any process, ask its origin, under any policy but offline.
    #[cfg(feature = "object_store")]
    pub(crate) fn doubt(&self, key: &str) {
        if let Some(directory) = self.inner.directory() {
            directory.doubt(key, None);
        }
    }

    /// The same in this process alone, which waits for nobody.
    #[cfg(feature = "object_store")]
    pub(crate) fn begin_doubt(&self, key: &str) {
        if let Some(directory) = self.inner.directory() {
            directory.begin_doubt(key);
        }
    }

    /// Lets whoever opens `key` next ask its origin, if the version that was `known` is no longer the one that is there
    /// `now`.
    #[cfg(feature = "object_store")]
    pub(crate) fn doubt_if_other(&self, key: &str, known: &Stat, now: &Stat) {
        if !self.inner.policy.unvalidated.same_version(known, now) {
            self.inner.doubt(key, known);
        }
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.inner.policy.offline
    }

    #[cfg(feature = "object_store")]
    pub(crate) fn freshness(&self) -> Freshness {
        self.inner.policy.freshness
    }

    #[cfg(feature = "object_store")]
    pub(crate) fn page_size(&self) -> u64 {
        self.inner.policy.page_size
    }

    #[cfg(feature = "object_store")]
    pub(crate) fn unvalidated(&self) -> Unvalidated {
        self.inner.policy.unvalidated
    }

    #[cfg(feature = "object_store")]
    pub(crate) fn max_in_flight(&self) -> usize {
        self.inner.settings.max_in_flight
    }
}
