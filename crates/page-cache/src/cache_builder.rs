//! The options of a cache.

use std::path::PathBuf;
use std::time::Duration;

use crate::admission::{Admission, Admit};
use crate::cache::{Cache, CacheInner, Policy};
use crate::directory::{Directory, Settings, WhenFull};
use crate::error::OpenError;
use crate::fetch::retry::RetryPolicy;
use crate::freshness::{Freshness, OnUnreachable, Unvalidated};
use crate::pages::{MAX_PAGE_SIZE, MIN_PAGE_SIZE};

/// Options of a [`Cache`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until open() is called"]
pub struct CacheBuilder {
    dir: PathBuf,
    policy: Policy,
    settings: Settings,
}

impl Cache {
    /// Options for a cache in the directory `dir`, which is created if it is missing.
    pub fn builder(dir: impl Into<PathBuf>) -> CacheBuilder {
        CacheBuilder {
            dir: dir.into(),
            policy: Policy {
                page_size: CacheBuilder::DEFAULT_PAGE_SIZE,
                freshness: Freshness::default(),
                on_unreachable: OnUnreachable::default(),
                unvalidated: Unvalidated::default(),
                retry: RetryPolicy::default(),
                offline: false,
                when_full: WhenFull::default(),
                admit: Admit::default(),
            },
            settings: Settings::default(),
        }
    }

    /// Options for a cache where the user's caches are: `$XDG_CACHE_HOME/name`, or `~/.cache/name`. None if neither
    /// `XDG_CACHE_HOME` nor `HOME` says where that is.
    pub fn builder_in_cache_home(name: impl AsRef<std::path::Path>) -> Option<CacheBuilder> {
        let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(Self::builder(home.join(name)))
    }
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
        Self { policy: Policy { page_size: bytes, ..self.policy }, ..self }
    }

    /// How many bytes of the disk the directory may take: all objects, and all processes together. The last opener's
    /// limit holds. Default: the limit that is set already, and 10 GiB for a new directory.
    ///
    /// When it is reached, [`when_full`](Self::when_full) says what happens. If more is stored than the limit that is
    /// set here, what can best be done without goes before the cache is open; if it cannot, since it is to be kept or
    /// others are working on it, the opening fails, and the limit stays what it was. If what is to be kept is more than
    /// the limit, nothing goes before that. One opener at a time changes the limit, and the others wait for it; should
    /// it be killed while it makes room, the smaller limit stays until somebody sets another. A smaller limit than
    /// before also waits for the count that the first opening after a start of the system makes, which for 100,000
    /// objects takes seconds; without one large directories are counted behind the opening, and nothing is stored until
    /// they are.
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { settings: Settings { max_bytes: Some(bytes), ..self.settings }, ..self }
    }

    /// What happens when the limit is reached: default, that what can best be done without goes.
    ///
    /// That is what was used the longest ago and the least often, all objects and processes together, in extents of 1
    /// MiB, or of a page if that is longer. What is used once goes before what is used twice, so that a scan does not
    /// cost others what they use again and again. An object of which nothing is left is forgotten.
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { policy: Policy { when_full, ..self.policy }, ..self }
    }

    /// Which reads store what they fetch: those for which `rule` is true. Default: all. What is refused is read from
    /// its origin, byte for byte; what is held is used, whatever the rule says. The rule is asked once a read that
    /// misses, on the thread that reads.
    ///
    /// # Examples
    ///
    /// Small objects and huge ones are not worth their room:
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// let cache = page_cache::Cache::builder(directory.path())
    ///     .admit(|read| (1 << 20..1 << 40).contains(&read.length))
    ///     .open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admit(self, rule: impl Fn(&Admission<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { policy: Policy { admit: Admit::by(rule), ..self.policy }, ..self }
    }

    /// How many objects this process keeps open although nobody has a handle of them, so that they are opened quickly
    /// again; with each go four descriptors. Default: 64. Those with a handle count too, and are never closed; the
    /// others are closed in the order in which they were given back, and all of them when the system has no descriptor
    /// left. Of several caches of a process over one directory the first one's number holds.
    pub fn max_open_entries(self, count: usize) -> Self {
        Self { settings: Settings { max_open_entries: count, ..self.settings }, ..self }
    }

    /// How long what another thread or process does is waited for (a page that it fetches, an object that it opens)
    /// before the origin is asked beside it, without storing. Default: half a minute. Of several caches of a process
    /// over one directory the first one's patience holds for opening, and each one's own for its reads.
    pub fn patience(self, patience: Duration) -> Self {
        Self { settings: Settings { patience, ..self.settings }, ..self }
    }

    /// How many requests this process has under way at once, for all files. Default: 16. More fetch scattered pieces
    /// from a distant origin sooner, and take more memory: each up to 8 MiB, or a page if that is larger. Of several
    /// caches of a process over one directory the first one's number holds. What an origin reads of other files within
    /// its requests is not counted, and if no request has ended for as long as the patience of the one who waits, his
    /// is sent beside.
    pub fn max_in_flight(self, count: usize) -> Self {
        Self { settings: Settings { max_in_flight: count, ..self.settings }, ..self }
    }

    /// When an object that is known already is looked at again. Default: if the last look was over a minute ago.
    pub fn freshness(self, freshness: Freshness) -> Self {
        Self { policy: Policy { freshness, ..self.policy }, ..self }
    }

    /// What an opening does that would ask the origin whether the object has changed, and cannot reach it. Default: it
    /// opens what is held, with a warning in the log.
    pub fn on_unreachable(self, on_unreachable: OnUnreachable) -> Self {
        Self { policy: Policy { on_unreachable, ..self.policy }, ..self }
    }

    /// What is stored of objects whose origin gives nothing that vouches for the bytes
    /// ([`Validators::identity`](crate::Validators::identity)). Default: nothing.
    pub fn unvalidated(self, unvalidated: Unvalidated) -> Self {
        Self { policy: Policy { unvalidated, ..self.policy }, ..self }
    }

    /// How long, and with what pauses, a request to an origin is tried again that may succeed later. Default: for two
    /// minutes; [`RetryPolicy::never`] switches it off. An opening begins no further attempt after
    /// five seconds at an origin that cannot be reached at all, since that is where an address shows to be wrong; and
    /// it waits two seconds in all for one in any trouble, or silent, if it may open what is held.
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { policy: Policy { retry, ..self.policy }, ..self }
    }

    /// Whether origins are never contacted: what is held is read, whatever its age, and all else is an error.
    pub fn offline(self, offline: bool) -> Self {
        Self { policy: Policy { offline, ..self.policy }, ..self }
    }

    /// Whether the directory may be on a network file system or one of another program (FUSE). Only if no other machine
    /// uses it: what this crate relies on, locks and mapped files, is not shared between machines.
    pub fn allow_remote_file_system(self, allow: bool) -> Self {
        Self { settings: Settings { allow_remote: allow, ..self.settings }, ..self }
    }

    #[cfg(test)]
    pub(crate) fn disk(self, disk: impl crate::sys::Disk + 'static) -> Self {
        Self { settings: Settings { disk: std::sync::Arc::new(disk), ..self.settings }, ..self }
    }

    /// Has done early and in small what else waits until it is worth its while: room is made ahead of need in caches of
    /// any size, and single blocks of indexes are given back. For tests, whose caches are small.
    #[doc(hidden)]
    pub fn eager(self) -> Self {
        Self { settings: Settings { eager: true, ..self.settings }, ..self }
    }

    /// Opens the cache.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the directory cannot be used, or the page size cannot.
    pub fn open(self) -> Result<Cache, OpenError> {
        let Self { dir, policy, settings } = self;
        let page_size = policy.page_size;
        let refuse = |reason: String| OpenError::PageSize { page_size, reason };
        if !page_size.is_power_of_two() || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&page_size) {
            return Err(refuse(format!("it must be a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}")));
        }
        // A child process, or one that changes its directory, must find the same one again.
        let dir = std::path::absolute(&dir).map_err(|source| OpenError::Unusable { path: dir, source })?;
        let directory = Directory::open(&dir, &settings)?;
        let unit = directory.allocation_unit();
        if page_size < unit {
            return Err(refuse(format!("the file system allocates {unit} bytes at once, so it must be at least that")));
        }
        Ok(Cache::from_inner(CacheInner::new(dir, settings, policy, directory)))
    }
}
