//! Who was used last: stamps that cost a store, and an order that is made only when somebody has to go.
//!
//! A use stores a number that is larger than any that its thread has stored before; the number comes from the thread
//! alone, so that threads do not write to a common place. When somebody has to go, all stamps are read and sorted
//! once, and the oldest go one after the other for as long as their stamps are still the same: whatever was used
//! since is younger than everything in the order that was not. So the order is that of a list into which every use
//! moves its item to the end, without the list. Sorting is paid for by the uses and evictions since the last time:
//! every item that is sorted was used, or goes.
//!
//! Between threads stamps agree as far as it matters: whoever misses moves the common clock past everything that it
//! has seen, so that uses after a miss are younger than uses before it.

use std::cell::Cell;

use super::super::sync::{AtomicU64, Ordering};

/// How far a miss moves the clock. A thread that makes more uses than this between two misses is ahead of the others
/// until the next sorting.
const MISS: u64 = 1 << 16;

thread_local! {
    /// The last stamp of this thread, in whatever pool.
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// Where stamps come from.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A stamp that is younger than all of this thread, and than all that the last miss had seen.
    pub(crate) fn now(&self) -> u64 {
        let common = self.0.load(Ordering::Relaxed);
        LAST.with(|last| {
            let now = last.get().max(common).saturating_add(1);
            last.set(now);
            now
        })
    }

    /// Moves the clock past `seen`. Called by one thread at a time.
    pub(crate) fn advance(&self, seen: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.saturating_add(MISS).max(seen), Ordering::Relaxed);
    }
}

/// Stamps of one moment, in order, the oldest last.
#[derive(Debug, Default)]
pub(crate) struct Order(Vec<(u64, u32)>);

impl Order {
    /// Takes down all of these, and returns the youngest stamp.
    pub(crate) fn take_down(&mut self, items: impl Iterator<Item = (u64, u32)>) -> Option<u64> {
        self.0.clear();
        self.0.extend(items);
        // The stable one finds runs that are in order already, and there are: cells are reused in the order of use.
        self.0.sort_by(|a, b| b.cmp(a));
        self.0.first().map(|(stamp, _)| *stamp)
    }

    /// The oldest that is left, with its stamp of that moment.
    pub(crate) fn next(&mut self) -> Option<(u64, u32)> {
        self.0.pop()
    }
}
