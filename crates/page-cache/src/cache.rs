//! A cache: a directory, and how it is used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use svf_core::RangeSet;

use crate::cached_file::CachedFile;
use crate::directory::{Directory, Head, OpenedPair, Pair};
use crate::error::OpenError;
use crate::freshness::Freshness;
use crate::origin::{Origin, OriginError, Stat};
use crate::pages::{MAX_PAGE_SIZE, MIN_PAGE_SIZE};

/// Pieces of remote files in a directory of the local disk.
///
/// One process at a time uses a directory. In it, any number of caches may be open over the same one, with options of
/// their own: they share what is stored and what is being fetched. Clones share everything.
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
    directory: Arc<Directory>,
    page_size: u64,
    freshness: Freshness,
}

impl Cache {
    /// Options for a cache in the directory `dir`, which is created if it is missing.
    pub fn builder(dir: impl Into<PathBuf>) -> CacheBuilder {
        CacheBuilder { dir: dir.into(), page_size: CacheBuilder::DEFAULT_PAGE_SIZE, freshness: Freshness::default() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Opens the object of `origin` in the version that it has now.
    ///
    /// "Now" is what the [`Freshness`] policy makes of it: the origin is asked, by one request without data, only if
    /// the last answer is too old. Of a version that was opened before, everything that is held counts; pieces of
    /// another version are removed. Blocks for that request; of threads that open the same key at once, one asks, and
    /// the others find its answer, if the policy lets them.
    ///
    /// An object whose origin gives nothing to tell one version from another ([`Validators::identity`]) is read
    /// without storing anything.
    ///
    /// # Errors
    ///
    /// [`OriginError`] if the origin has to be asked and does not answer with the object. That the cache's own files
    /// cannot be opened is no error: the object is then read from its origin, with a warning in the log.
    ///
    /// [`Validators::identity`]: crate::Validators::identity
    pub fn file(&self, origin: impl Origin + 'static) -> Result<CachedFile, OriginError> {
        self.open_file(Arc::new(origin))
    }

    /// What is held of the object behind `key`, without asking its origin; `None` if nothing is known of it.
    ///
    /// O(pages that are stored). Waits for a thread that is just opening the same object.
    pub fn entry(&self, key: &str) -> Option<Entry> {
        let _lock = self.directory.lock_key(key);
        self.try_entry(key).unwrap_or_else(|error| {
            tracing::warn!(key, %error, "the files of an object cannot be opened");
            None
        })
    }

    fn try_entry(&self, key: &str) -> io::Result<Option<Entry>> {
        let Some(head) = self.directory.load_head(key)? else { return Ok(None) };
        let (page_size, held) = match self.directory.open_pair(&head)? {
            OpenedPair::Good(pair) => (pair.pages().page_size, pair.held(&(0..head.stat.length))?),
            OpenedPair::Damaged => (self.page_size, RangeSet::new()),
        };
        Ok(Some(Entry { key: head.key.clone(), checked: head.checked(), stat: head.stat, page_size, held }))
    }

    #[cfg(test)]
    pub(crate) fn over(directory: Arc<Directory>, page_size: u64, freshness: Freshness) -> Self {
        Self { directory, page_size, freshness }
    }

    fn open_file(&self, origin: Arc<dyn Origin>) -> Result<CachedFile, OriginError> {
        let key = origin.key();
        let _lock = self.directory.lock_key(key);
        let known = self.directory.load_head(key);
        let fresh = known.as_ref().ok().and_then(|head| head.as_ref()).filter(|head| self.accepts(head));
        let confirmed = fresh.is_none();
        let now = match fresh {
            Some(head) => head.stat.clone(),
            None => check_length(key, origin.stat()?)?,
        };
        let pair = match known {
            Ok(known) => self.open_or_create_pair(key, &now, known, confirmed),
            Err(error) => {
                tracing::warn!(key, %error, "the head cannot be read; the object is read from its origin");
                None
            }
        };
        Ok(CachedFile::new(origin, now, pair, Arc::clone(&self.directory)))
    }

    fn accepts(&self, head: &Head) -> bool {
        !head.is_doubted() && self.freshness.accepts(head.age())
    }

    /// The pair for the version that the object has now: the one that the known head names, if it means this
    /// version and is sound, else a new one in its place.
    fn open_or_create_pair(&self, key: &str, now: &Stat, known: Option<Head>, confirmed: bool) -> Option<Arc<Pair>> {
        let directory = &self.directory;
        if now.validators.identity().is_none() {
            tracing::warn!(key, "the origin gives no validators that vouch for the bytes; nothing of it is stored");
            return None;
        }
        let warn = |error: &std::io::Error| {
            tracing::warn!(key, %error, "the cache's files cannot be opened; the object is read from its origin");
        };
        let (current, superseded) = match known {
            Some(head) if head.stat.same_version(now) => (Some(head), None),
            Some(head) => (None, Some(head.pair)),
            None => (None, None),
        };
        if let Some(head) = current {
            match directory.open_pair(&head) {
                Ok(OpenedPair::Good(pair)) => {
                    if confirmed {
                        self.save_head(key, now, &pair);
                    }
                    return Some(pair);
                }
                Ok(OpenedPair::Damaged) => {}
                Err(error) => {
                    warn(&error);
                    return None;
                }
            }
        }
        let pair = directory.create_pair(key, now, self.page_size).inspect_err(|error| warn(error)).ok()?;
        let saved = self.save_head(key, now, &pair);
        if let Some(superseded) = superseded.filter(|_| saved) {
            tracing::info!(key, "the object has changed; the pieces of its old version are removed");
            directory.remove_pair(&superseded);
        }
        Some(pair)
    }

    /// Whether it could be written.
    fn save_head(&self, key: &str, stat: &Stat, pair: &Pair) -> bool {
        let head = Head::new(key.to_owned(), stat.clone(), pair.name().to_owned());
        let saved = self.directory.save_head(&head);
        if let Err(error) = &saved {
            tracing::warn!(key, %error, "a head cannot be written; the next opening will ask the origin again");
        }
        saved.is_ok()
    }
}

/// No object is longer, in bytes: 1 PiB. What says so is a server in error, and its pages could not even be counted.
const MAX_LENGTH: u64 = 1 << 50;

fn check_length(key: &str, stat: Stat) -> Result<Stat, OriginError> {
    if stat.length <= MAX_LENGTH {
        return Ok(stat);
    }
    let reason = format!("it says {} bytes, and no object has more than {MAX_LENGTH}", stat.length);
    Err(OriginError::InvalidResponse { key: key.to_owned(), request: "the object's length".to_owned(), reason })
}

/// What is held of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What names the object.
    pub key: String,
    /// The version that is held.
    pub stat: Stat,
    /// When the origin last confirmed that this is the current version.
    pub checked: SystemTime,
    /// The size in bytes of the pages in which it is stored.
    pub page_size: u64,
    /// The bytes that are stored, in whole pages.
    pub held: RangeSet,
}

/// Options of a [`Cache`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until open() is called"]
pub struct CacheBuilder {
    dir: PathBuf,
    page_size: u64,
    freshness: Freshness,
}

impl CacheBuilder {
    /// 64 KiB: one request's worth of latency at common bandwidths, and a small part of any large file.
    pub const DEFAULT_PAGE_SIZE: u64 = 64 << 10;

    /// The size in bytes of the pages in which new objects are stored: a power of two from 4 KiB to 64 MiB, and not
    /// less than the file system's allocation unit. Objects that are stored already keep theirs.
    ///
    /// A page is what is fetched at least, and what is checked and stored as one: small pages fetch less around small
    /// scattered reads, large ones take fewer requests.
    pub fn page_size(self, bytes: u64) -> Self {
        Self { page_size: bytes, ..self }
    }

    /// When an object that is known already is looked at again. Default: if the last look was over a minute ago.
    pub fn freshness(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Opens the cache.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the directory cannot be used, or the page size cannot.
    pub fn open(self) -> Result<Cache, OpenError> {
        let Self { dir, page_size, freshness } = self;
        let refuse = |reason: String| OpenError::PageSize { page_size, reason };
        if !page_size.is_power_of_two() || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&page_size) {
            return Err(refuse(format!("it must be a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}")));
        }
        let directory = Directory::open(&dir)?;
        let unit = directory.allocation_unit().map_err(|source| OpenError::Unusable { path: dir, source })?;
        if page_size < unit {
            return Err(refuse(format!("the file system allocates {unit} bytes at once, so it must be at least that")));
        }
        Ok(Cache { directory, page_size, freshness })
    }
}
