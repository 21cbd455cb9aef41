//! Who was used last: stamps that cost a store, and an order that is mended only as far as somebody has to go.
//!
//! A use stores a number that is larger than any that its thread has stored before; the number comes from the thread
//! alone, so that threads do not write to a common place. Whatever is let go of for the first time is entered in the
//! order with its stamp, and stays there with that stamp when it is used again. When somebody has to go, who comes
//! first in the order is looked at: if its stamp is still the same it is the oldest, since stamps only grow; else it is
//! entered again with its stamp of now. So the order is that of a list into which every use moves its item to the end,
//! without the list; an eviction looks at no more than was used since it was last looked at, and what is held is looked
//! at once.
//!
//! Between threads stamps agree to within [`LEAD`] uses: as far as a thread may be ahead of the common clock before it
//! moves that on. And whoever misses moves it past all that anybody has stored, so that every use after a miss is
//! younger than every use before it, on whatever thread.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
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
            let now = if number == self.number { before.max(common) + 1 } else { self.advance() };
            place.set((self.number, now));
            if now - common.min(now) >= LEAD {
                self.common.fetch_max(now, Ordering::Relaxed);
            }
            now
        })
    }

    /// A stamp that is younger than all that were given, and older than all that will be: moves the clock to it.
    #[inline]
    pub(crate) fn advance(&self) -> u64 {
        self.common.fetch_add(LEAD + 1, Ordering::Relaxed) + LEAD + 1
    }
}

/// What was let go of, by the stamp that it had when it was entered.
///
/// Most of it comes in the order of its stamps and stands in a row; what comes out of turn is in a heap (Williams,
/// 1964).
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Rising.
    row: VecDeque<(u64, u32)>,
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    /// How many have come to be looked at: the work that evictions have done.
    #[cfg(test)]
    pub(crate) looks: usize,
}

impl Order {
    #[inline]
    pub(crate) fn enter(&mut self, stamp: u64, number: u32) {
        let item = (stamp, number);
        if self.row.back().is_none_or(|last| *last < item) {
            self.row.push_back(item);
        } else {
            self.heap.push(Reverse(item));
        }
    }

    /// Takes out the oldest, with the stamp that it was entered with.
    pub(crate) fn next(&mut self) -> Option<(u64, u32)> {
        let out_of_turn = match (self.row.front(), self.heap.peek()) {
            (Some(first), Some(Reverse(other))) => other < first,
            (first, _) => first.is_none(),
        };
        let next = if out_of_turn { self.heap.pop().map(|Reverse(item)| item) } else { self.row.pop_front() };
        #[cfg(test)]
        {
            self.looks += usize::from(next.is_some());
        }
        next
    }
}
