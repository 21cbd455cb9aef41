//! Who was used last: stamps that cost a store, and an order that is made only when somebody has to go.
//!
//! A use stores a number that is larger than any that its thread has stored before; the number comes from the thread
//! alone, so that threads do not write to a common place. When somebody has to go, the stamps of all that was let go of
//! are read and sorted once, and the oldest go one after the other for as long as their stamps are still the same:
//! whatever was used since is younger than everything in the order that was not. So the order is that of a list into
//! which every use moves its item to the end, without the list. Sorting is paid for by the uses and evictions since the
//! last time: every item that is sorted was used, or goes. What is held is not looked at.
//!
//! Between threads stamps agree to within [`LEAD`] uses: as far as a thread may be ahead of the common clock before it
//! moves that on. And whoever misses moves it past all that anybody has stored, so that every use after a miss is
//! younger than every use before it, on whatever thread.

use std::cell::Cell;
use std::sync::atomic::AtomicU64 as Counter;

use super::super::sync::{AtomicU64, Ordering};

/// How far a thread's stamps are ahead of the common clock at most. Larger is fewer writes to a common place, and a
/// coarser order between threads that only hit.
const LEAD: u64 = 1 << 10;
/// Of so many pools a thread remembers its last stamp: of two managers the regions and the descriptors.
const REMEMBERED: usize = 4;

thread_local! {
    /// The last stamps of this thread, each with the number of the clock it is of.
    static LAST: [Cell<(u64, u64)>; REMEMBERED] = const { [const { Cell::new((0, 0)) }; REMEMBERED] };
}

/// Where the stamps of one pool come from.
#[derive(Debug)]
pub(crate) struct Clock {
    /// No stamp that was given is more than [`LEAD`] above this.
    common: AtomicU64,
    /// Never used twice, and not 0.
    number: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        static NEXT: Counter = Counter::new(1);
        Self { common: AtomicU64::new(0), number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// A stamp that is younger than all of this thread, than all that others gave before the last miss, and than all
    /// but the last [`LEAD`] that each of them has given since.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        let common = self.common.load(Ordering::Relaxed);
        LAST.with(|last| {
            let Some(place) = last.get(self.number as usize % REMEMBERED) else { return common };
            let (number, before) = place.get();
            let now = if number == self.number { before.max(common) + 1 } else { self.past_all() + 1 };
            place.set((self.number, now));
            if now - common.min(now) >= LEAD {
                self.common.fetch_max(now, Ordering::Relaxed);
            }
            now
        })
    }

    /// Moves the clock past all stamps that were given.
    pub(crate) fn advance(&self) {
        self.past_all();
    }

    /// The same, and where it is then.
    fn past_all(&self) -> u64 {
        self.common.fetch_add(LEAD, Ordering::Relaxed) + LEAD
    }
}

/// Stamps of one moment, in order, the oldest last.
#[derive(Debug, Default)]
pub(crate) struct Order {
    items: Vec<(u64, u32)>,
    /// How many were ever taken down: the work that evictions have done.
    #[cfg(test)]
    pub(crate) looks: usize,
}

impl Order {
    /// Takes down all of these; whether there are any.
    pub(crate) fn take_down(&mut self, items: impl Iterator<Item = (u64, u32)>) -> bool {
        self.items.clear();
        self.items.extend(items);
        #[cfg(test)]
        {
            self.looks += self.items.len();
        }
        // The stable one finds runs that are in order already, and there are: cells are reused in the order of use.
        self.items.sort_by(|a, b| b.cmp(a));
        !self.items.is_empty()
    }

    /// The oldest that is left, with its stamp of that moment.
    pub(crate) fn next(&mut self) -> Option<(u64, u32)> {
        self.items.pop()
    }
}
