//! What is fetched before anybody reads it: on request, and on a hint.

use std::ops::{ControlFlow, Range};

use svf_core::RangeSet;

use crate::cached_file::CachedFile;
use crate::error::{PrefetchError, ReadError};
use crate::fetch::{Advice, Progress, Watch};
use crate::sync::Mutex;

/// What became of a prefetch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prefetched {
    /// What of the ranges is held when it ends, in bytes of whole pages: all of it, unless it was cancelled or
    /// something was evicted meanwhile.
    pub held: RangeSet,
    /// Whether the callback had it end.
    pub cancelled: bool,
}

impl CachedFile {
    /// Fetches what is missing of these ranges, and stores it, in whole pages and as many requests at once as may be
    /// under way. Nothing is handed out, and no more is in memory than these requests bring: of each at most 8 MiB, or
    /// a page.
    ///
    /// `progress` is called, from one thread at a time, at least whenever something has been stored, and now and then
    /// in a pause between two attempts at an origin in trouble. When it returns [`ControlFlow::Break`] no further
    /// request is sent, and nothing is tried again; those that are under way are stored still. It should be quick,
    /// since the next request waits for it.
    ///
    /// Ranges are half-open, in bytes, and clipped at the end; they may overlap and be in any order. Blocks until all
    /// is there; what others are fetching is waited for.
    ///
    /// # Errors
    ///
    /// [`PrefetchError::TooLarge`], before anything is fetched, if the ranges can never be held all at once;
    /// [`PrefetchError::NotStored`] if this file is not stored at all, or something of it could not be;
    /// [`PrefetchError::Read`] if a range is reversed or starts behind the end, or the origin does not give the bytes,
    /// as offline. What had been stored stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use page_cache::{Cache, LocalFile};
    /// # let directory = tempfile::tempdir()?;
    /// # let (path, dir) = (directory.path().join("slow"), directory.path().join("cache"));
    /// # std::fs::write(&path, vec![7; 1_000_000])?;
    /// # let file = Cache::builder(dir).open()?.file(LocalFile::new(path)?)?;
    /// let half = file.len() / 2;
    /// let prefetched = file.prefetch(&[0..half], |progress| {
    ///     println!("{} of {} bytes", progress.done, progress.total);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(prefetched.held.contains(0..half));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefetch(
        &self,
        ranges: &[Range<u64>],
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send,
    ) -> Result<Prefetched, PrefetchError> {
        let not_stored = |reason| PrefetchError::NotStored { key: self.key().to_owned(), reason };
        let opened = self.opened();
        let source = self.source(opened);
        let (Some(store), Some((directory, pair))) = (&source.store, opened.pair()) else {
            return Err(not_stored("nothing of this object is, see CachedFile::page_size"));
        };
        let pages = pair.pages();
        let mut wanted = RangeSet::new();
        for range in ranges {
            wanted.insert(pages.bytes_of_run(pages.touching(&self.clip(range.clone())?)));
        }
        let (bytes, max_bytes) = (wanted.num_bytes(), directory.budget().max_bytes());
        let runs = wanted.iter().map(|range| pages.touching(&range));
        if pair.charge_of(runs) > max_bytes {
            return Err(PrefetchError::TooLarge { key: self.key().to_owned(), bytes, max_bytes });
        }
        let missing = |wanted: &RangeSet| -> RangeSet {
            wanted.iter().flat_map(|range| self.held_in(&range).gaps(range).collect::<Vec<_>>()).collect()
        };
        let absent = missing(&wanted);
        if !absent.is_empty() && !self.stores {
            return Err(not_stored("this handle stores nothing"));
        }
        if !absent.is_empty() && !source.offline && !pair.may_be_filled(directory.budget()) {
            return Err(not_stored("others keep it from being made ready, or its files cannot be written"));
        }
        let progress = Mutex::new(progress);
        let report = |at| (progress.lock())(at);
        let watch = Watch::new(absent.num_bytes(), &report);
        let prefetched = source.prefetch(store, absent, &watch);
        if let Err(PrefetchError::Read(ReadError::Origin(error))) = &prefetched {
            self.doubt_if_changed(opened, error);
        }
        prefetched?;
        let held = wanted.iter().flat_map(|range| self.held_in(&range).iter().collect::<Vec<_>>()).collect();
        Ok(Prefetched { held, cancelled: watch.is_cancelled() })
    }

    /// Tells how a range is going to be read, which holds for this handle and its clones until another advice for it. A
    /// hint changes what is fetched and stored, and never what is read.
    ///
    /// [`Advice::WillNeed`] returns at once, and has a thread fetch what is missing, as [`prefetch`](Self::prefetch)
    /// does; there is one such thread for a file. What cannot be fetched or stored is told to the log, and is fetched
    /// when it is read; the thread goes on with nothing when the last handle of the file is dropped.
    /// [`Advice::DontNeed`] gives the pages that lie within the range as a whole back, for all who use the cache, but
    /// for what is to be kept. The others cost nothing.
    ///
    /// The range is in bytes, half-open, and clipped at the end of the file. A reversed one is empty.
    pub fn advise(&self, range: Range<u64>, advice: Advice) {
        let range = range.start.min(self.len())..range.end.min(self.len());
        if range.start >= range.end {
            return;
        }
        let read_ahead = self.read_ahead();
        read_ahead.advise(range.clone(), advice);
        match advice {
            Advice::WillNeed => {
                if read_ahead.want(range) {
                    self.fetch_wanted();
                }
            }
            Advice::DontNeed => {
                let kept = self.kept().unwrap_or_else(|_| [range.clone()].into_iter().collect());
                for part in kept.gaps(range) {
                    if let Err(error) = self.evict(part) {
                        tracing::debug!(%error, "what is not needed stays for now");
                    }
                }
            }
            Advice::Normal | Advice::Sequential | Advice::Random => {}
        }
    }

    /// In pieces of so many bytes what will be needed is fetched: a part of the limit, so that there may be room for
    /// one.
    fn most_at_once(&self) -> u64 {
        let Some((directory, pair)) = self.opened().pair() else { return MAX_AT_ONCE };
        (directory.budget().max_bytes() / PIECES).clamp(pair.pages().page_size, MAX_AT_ONCE.max(pair.pages().page_size))
    }

    /// Starts the thread that fetches what will be needed.
    fn fetch_wanted(&self) {
        let file = self.downgrade();
        let fetch = move || {
            // Without a handle of its own while it does not fetch, so that the file is closed with the last of the
            // others.
            while let Some(file) = file.upgrade() {
                let Some(range) = file.read_ahead().next_wanted(file.most_at_once()) else { return };
                let go_on = |_| if file.is_last() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                if let Err(error) = file.prefetch(&[range], go_on) {
                    tracing::debug!(%error, "what will be needed was not fetched");
                    file.read_ahead().want_nothing();
                    return;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("page-cache ahead".to_owned()).spawn(fetch) {
            tracing::debug!(%error, "no thread for what will be needed, which is fetched when it is read");
            self.read_ahead().want_nothing();
        }
    }
}

/// What will be needed is fetched in pieces of so many bytes at most, so that what is needed no more is not begun.
const MAX_AT_ONCE: u64 = 64 << 20;
/// And of this part of the limit.
const PIECES: u64 = 8;
