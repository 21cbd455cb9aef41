//! What happened: counters that cost a hit next to nothing, and the figures that are shown of them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::sync::Mutex;

/// What happened in a file, or in all files of a cache, in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Reads of which all bytes were held.
    pub hits: u64,
    /// Reads of which some bytes were not.
    pub misses: u64,
    /// Requests to the origin for bytes, each attempt counted; not those of openings, for lengths and versions.
    pub requests: u64,
    /// Those of the requests that tried again what had failed, or continued what had broken off.
    pub retries: u64,
    /// Bytes that came from the origin.
    pub origin_bytes: u64,
    /// How often somebody else's work on a page was waited for.
    pub waits: u64,
    /// How often something was read from the origin without storing all of it.
    pub bypasses: u64,
    /// Pages that had been stored and did not agree with their checksums.
    pub corrupt_pages: u64,
    /// Pages that this process has given back, for the limit or because it was told to: of a file while this process
    /// had it open, and of a cache all that were given back in its directory.
    pub evictions: u64,
}

const FIELDS: usize = 7;
const MISSES: usize = 0;
const REQUESTS: usize = 1;
const ORIGIN_BYTES: usize = 2;
const WAITS: usize = 3;
const BYPASSES: usize = 4;
const CORRUPT_PAGES: usize = 5;
const RETRIES: usize = 6;

/// As many as threads that count hits at once without disturbing each other.
const STRIPES: usize = 8;

/// A counter in a cache line of its own; two, since the processor fetches them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// The counters of one file.
#[derive(Debug)]
pub(crate) struct Counters {
    hits: [Stripe; STRIPES],
    others: [AtomicU64; FIELDS],
    totals: Arc<Totals>,
}

/// The counters of a cache: those of its open files, and the sums of those that are closed.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    open: Mutex<Open>,
    closed_hits: AtomicU64,
    closed: [AtomicU64; FIELDS],
}

/// The counters of open files, and of some that are closed.
#[derive(Debug, Default)]
struct Open {
    counters: Vec<Weak<Counters>>,
    /// When there are so many, those of closed files are removed: so rarely that it costs each opening the same.
    full: usize,
}

/// As many counters are never looked through.
const FEW: usize = 64;

impl Open {
    fn push(&mut self, counters: Weak<Counters>) {
        if self.counters.len() >= self.full.max(FEW) {
            self.counters.retain(|counters| counters.strong_count() > 0);
            self.full = 2 * self.counters.len();
        }
        self.counters.push(counters);
    }
}

impl Counters {
    /// Counters that count for the cache too.
    pub(crate) fn new(totals: &Arc<Totals>) -> Arc<Self> {
        let counters =
            Arc::new(Self { hits: Default::default(), others: Default::default(), totals: Arc::clone(totals) });
        totals.open.lock().push(Arc::downgrade(&counters));
        counters
    }

    #[inline]
    pub(crate) fn hit(&self) {
        self.hits[stripe()].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.add(MISSES, 1);
    }

    pub(crate) fn requested(&self) {
        self.add(REQUESTS, 1);
    }

    pub(crate) fn retried(&self) {
        self.add(RETRIES, 1);
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.add(ORIGIN_BYTES, bytes);
    }

    pub(crate) fn waited(&self) {
        self.add(WAITS, 1);
    }

    pub(crate) fn bypassed(&self) {
        self.add(BYPASSES, 1);
    }

    pub(crate) fn found_corrupt(&self) {
        self.add(CORRUPT_PAGES, 1);
    }

    fn add(&self, field: usize, count: u64) {
        self.others[field].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        stats(self.hits.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum(), &self.others)
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        let hits = self.hits.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum();
        self.totals.closed_hits.fetch_add(hits, Ordering::Relaxed);
        for (total, count) in self.totals.closed.iter().zip(&self.others) {
            total.fetch_add(count.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Totals {
    pub(crate) fn snapshot(&self) -> Stats {
        let open: Vec<_> = self.open.lock().counters.iter().filter_map(Weak::upgrade).collect();
        let closed = stats(self.closed_hits.load(Ordering::Relaxed), &self.closed);
        open.iter().fold(closed, |sum, counters| sum + counters.snapshot())
    }
}

impl std::ops::Add for Stats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            requests: self.requests + other.requests,
            retries: self.retries + other.retries,
            origin_bytes: self.origin_bytes + other.origin_bytes,
            waits: self.waits + other.waits,
            bypasses: self.bypasses + other.bypasses,
            corrupt_pages: self.corrupt_pages + other.corrupt_pages,
            evictions: self.evictions + other.evictions,
        }
    }
}

fn stats(hits: u64, others: &[AtomicU64; FIELDS]) -> Stats {
    let field = |field: usize| others[field].load(Ordering::Relaxed);
    Stats {
        hits,
        misses: field(MISSES),
        requests: field(REQUESTS),
        retries: field(RETRIES),
        origin_bytes: field(ORIGIN_BYTES),
        waits: field(WAITS),
        bypasses: field(BYPASSES),
        corrupt_pages: field(CORRUPT_PAGES),
        // They are not counted here, since nobody who reads evicts.
        evictions: 0,
    }
}

/// The stripe of this thread.
#[inline]
fn stripe() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) });
    STRIPE.with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        stripe.get() % STRIPES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_of_open_and_of_closed_files() {
        let totals = Arc::new(Totals::default());
        let (one, other) = (Counters::new(&totals), Counters::new(&totals));
        one.hit();
        one.fetched(10);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| other.hit());
            }
        });
        other.found_corrupt();
        assert_eq!(other.snapshot(), Stats { hits: 20, corrupt_pages: 1, ..Stats::default() });
        let all = Stats { hits: 21, corrupt_pages: 1, origin_bytes: 10, ..Stats::default() };
        assert_eq!(totals.snapshot(), all);
        drop(other);
        assert_eq!(totals.snapshot(), all);
    }

    #[test]
    fn the_counters_of_closed_files_are_removed_now_and_then() {
        let totals = Arc::new(Totals::default());
        let kept: Vec<_> = (0..1_000).map(|_| Counters::new(&totals)).collect();
        for _ in 0..10_000 {
            Counters::new(&totals).hit();
        }
        assert!(totals.open.lock().counters.len() <= 2 * kept.len() + FEW);
        assert_eq!(totals.snapshot().hits, 10_000);
        kept.iter().for_each(|counters| counters.hit());
        assert_eq!(totals.snapshot().hits, 11_000);
        drop(kept);
        for _ in 0..2_000 {
            Counters::new(&totals).hit();
        }
        assert!(totals.open.lock().counters.len() <= 4 * FEW);
    }
}
