//! What has been done with a file: counted where it happens, shown as a snapshot.

use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::striped::Striped;

/// What has been done with a [`SparseVirtualFile`](crate::SparseVirtualFile), or with all of a
/// [`SparseVirtualFileSystem`](crate::SparseVirtualFileSystem), up to the moment of the call.
///
/// Counts of threads that are at it meanwhile may be in it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// Reads that were answered.
    #[doc(alias = "count_read")]
    pub reads: u64,
    /// The bytes of these reads.
    pub bytes_read: u64,
    /// Reads that found bytes missing, those included that then fetched them.
    pub misses: u64,
    /// Writes that were taken, those of fetched bytes included.
    #[doc(alias = "count_write")]
    pub writes: u64,
    /// The bytes of these writes.
    #[doc(alias = "bytes_write")]
    pub bytes_written: u64,
    /// The bytes of these writes that were held already.
    pub bytes_overlapping: u64,
    /// Writes that were refused.
    pub writes_refused: u64,
    /// Calls that removed anything on demand.
    #[doc(alias = "blocks_erased")]
    pub removals: u64,
    /// The bytes that they removed.
    #[doc(alias = "bytes_erased")]
    pub bytes_removed: u64,
    /// Chunks that were dropped to keep a limit.
    #[doc(alias = "blocks_punted")]
    pub chunks_evicted: u64,
    /// Bytes that were dropped to keep a limit.
    #[doc(alias = "bytes_punted")]
    pub bytes_evicted: u64,
    /// How often a `fetch` was called.
    pub fetches: u64,
    /// How many bytes it returned.
    pub bytes_fetched: u64,
    /// Calls of `fetch` that failed, or whose result could not be used.
    pub fetches_failed: u64,
    /// How often a reader waited for what another thread was fetching.
    pub waits: u64,
    /// When bytes were read last, if ever, and if [`times`](crate::SparseVirtualFileOptions::times) are kept.
    #[doc(alias = "time_read")]
    pub last_read: Option<SystemTime>,
    /// When bytes were written last, if ever, and if times are kept.
    #[doc(alias = "time_write")]
    pub last_write: Option<SystemTime>,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        // Named one by one, so that a field that is added cannot be forgotten.
        *self = Self {
            reads: self.reads + other.reads,
            bytes_read: self.bytes_read + other.bytes_read,
            misses: self.misses + other.misses,
            writes: self.writes + other.writes,
            bytes_written: self.bytes_written + other.bytes_written,
            bytes_overlapping: self.bytes_overlapping + other.bytes_overlapping,
            writes_refused: self.writes_refused + other.writes_refused,
            removals: self.removals + other.removals,
            bytes_removed: self.bytes_removed + other.bytes_removed,
            chunks_evicted: self.chunks_evicted + other.chunks_evicted,
            bytes_evicted: self.bytes_evicted + other.bytes_evicted,
            fetches: self.fetches + other.fetches,
            bytes_fetched: self.bytes_fetched + other.bytes_fetched,
            fetches_failed: self.fetches_failed + other.fetches_failed,
            waits: self.waits + other.waits,
            last_read: self.last_read.max(other.last_read),
            last_write: self.last_write.max(other.last_write),
        };
    }
}

impl Sum for Stats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.fold(Self::default(), |mut sum, stats| {
            sum += stats;
            sum
        })
    }
}

/// What readers count, each thread on cache lines of its own.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    reads: AtomicU64,
    bytes_read: AtomicU64,
    misses: AtomicU64,
    fetches: AtomicU64,
    bytes_fetched: AtomicU64,
    fetches_failed: AtomicU64,
    waits: AtomicU64,
    /// In nanoseconds since 1970, 0 for never.
    last_read: AtomicU64,
}

impl ReadCounters {
    pub(crate) fn read(&self, len: u64, with_time: bool) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(len, Ordering::Relaxed);
        if with_time {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.last_read.store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetches(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetched(&self, len: u64) {
        self.bytes_fetched.fetch_add(len, Ordering::Relaxed);
    }

    pub(crate) fn fetch_failed(&self) {
        self.fetches_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }
}

impl Striped<ReadCounters> {
    /// The counts of all threads; what only writers count is left at 0.
    pub(crate) fn sum(&self) -> Stats {
        self.iter()
            .map(|counters| Stats {
                reads: counters.reads.load(Ordering::Relaxed),
                bytes_read: counters.bytes_read.load(Ordering::Relaxed),
                misses: counters.misses.load(Ordering::Relaxed),
                fetches: counters.fetches.load(Ordering::Relaxed),
                bytes_fetched: counters.bytes_fetched.load(Ordering::Relaxed),
                fetches_failed: counters.fetches_failed.load(Ordering::Relaxed),
                waits: counters.waits.load(Ordering::Relaxed),
                last_read: match counters.last_read.load(Ordering::Relaxed) {
                    0 => None,
                    nanos => Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)),
                },
                ..Stats::default()
            })
            .sum()
    }
}
