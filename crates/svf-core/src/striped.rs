//! Counters that many threads count on without writing to one cache line.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// More threads than this share a stripe, which is slower, and just as right.
const STRIPES: usize = 8;

/// One `T` a thread, or nearly: its counters are added up when they are read.
pub(crate) struct Striped<T> {
    stripes: Box<[CachePadded<T>; STRIPES]>,
}

impl<T: Default> Striped<T> {
    pub(crate) fn new() -> Self {
        Self { stripes: Box::default() }
    }
}

impl<T> Striped<T> {
    /// The stripe of this thread.
    pub(crate) fn here(&self) -> &T {
        &self.stripes[stripe()]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.stripes.iter().map(|stripe| &**stripe)
    }

    pub(crate) const fn memory_size(&self) -> usize {
        size_of::<[CachePadded<T>; STRIPES]>()
    }
}

impl<T: fmt::Debug> fmt::Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Threads are dealt out to stripes in turn.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    // A thread that is being torn down may still read, in the destructor of something thread-local.
    STRIPE.try_with(|&stripe| stripe).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let counters: Striped<AtomicU64> = Striped::new();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..1_000).for_each(|_| _ = counters.here().fetch_add(1, Ordering::Relaxed)));
            }
        });
        let sum: u64 = counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 2 * STRIPES as u64 * 1_000);
        assert!(counters.iter().filter(|counter| 0 < counter.load(Ordering::Relaxed)).count() > 1);
    }
}
