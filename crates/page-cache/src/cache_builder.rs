//! The options of a cache.

use std::path::PathBuf;
use std::time::Duration;

use crate::cache::{Cache, CacheInner};
use crate::directory::{Directory, Settings};
use crate::error::OpenError;
use crate::freshness::Freshness;
use crate::pages::{MAX_PAGE_SIZE, MIN_PAGE_SIZE};

/// Options of a [`Cache`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until open() is called"]
pub struct CacheBuilder {
    dir: PathBuf,
    page_size: u64,
    freshness: Freshness,
    offline: bool,
    settings: Settings,
}

impl Cache {
    /// Options for a cache in the directory `dir`, which is created if it is missing.
    pub fn builder(dir: impl Into<PathBuf>) -> CacheBuilder {
        CacheBuilder {
            dir: dir.into(),
            page_size: CacheBuilder::DEFAULT_PAGE_SIZE,
            freshness: Freshness::default(),
            offline: false,
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
        Self { page_size: bytes, ..self }
    }

    /// How many bytes of the disk the directory may take: all objects, and all processes together. The last opener's
    /// limit holds. Default: the limit that is set already, and 10 GiB for a new directory.
    ///
    /// When it is reached, what is read is read from its origin and not stored.
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { settings: Settings { max_bytes: Some(bytes), ..self.settings }, ..self }
    }

    /// How many objects this process keeps open although nobody has a handle of them, so that they are opened quickly
    /// again; with each go four descriptors. Default: 64. Those with a handle count too, and are never closed; the others
    /// are closed in the order in which they were given back, and all of them when the system has no descriptor left. Of
    /// several caches of a process over one directory the first one's number holds.
    pub fn max_open_entries(self, count: usize) -> Self {
        Self { settings: Settings { max_open_entries: count, ..self.settings }, ..self }
    }

    /// How long what another thread or process does is waited for (a page that it fetches, an object that it opens)
    /// before the origin is asked beside it, without storing. Default: half a minute. Of several caches of a process over
    /// one directory the first one's patience holds.
    pub fn patience(self, patience: Duration) -> Self {
        Self { settings: Settings { patience, ..self.settings }, ..self }
    }

    /// When an object that is known already is looked at again. Default: if the last look was over a minute ago.
    pub fn freshness(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Whether origins are never contacted: what is held is read, whatever its age, and all else is an error.
    pub fn offline(self, offline: bool) -> Self {
        Self { offline, ..self }
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

    /// Opens the cache.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the directory cannot be used, or the page size cannot.
    pub fn open(self) -> Result<Cache, OpenError> {
        let Self { dir, page_size, freshness, offline, settings } = self;
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
        Ok(Cache::from_inner(CacheInner::new(dir, settings, page_size, freshness, offline, directory)))
    }
}
