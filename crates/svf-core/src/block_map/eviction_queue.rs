//! The order in which chunks are evicted, made once and used up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// When a chunk was used last, and where it starts.
pub(super) type Use = (u64, u64);

/// Everything that was used up to some epoch, the oldest first. What has been used or removed since is still in it, and
/// is to be passed over; what is not in it was used later.
///
/// A sorted array: a heap would be made in two thirds of the time, but takes three times as long for each eviction.
#[derive(Debug)]
pub(super) struct EvictionQueue {
    /// The oldest last.
    sorted: Vec<Use>,
    /// Chunks that others were cut into since, with the stamp that those had.
    cut: BinaryHeap<Reverse<Use>>,
    until: u64,
}

impl EvictionQueue {
    pub(super) const fn new() -> Self {
        Self { sorted: Vec::new(), cut: BinaryHeap::new(), until: 0 }
    }

    /// All chunks that there are, none of which was used behind `until`.
    pub(super) fn of_all(mut uses: Vec<Use>, until: u64) -> Self {
        uses.sort_unstable_by_key(|&used| Reverse(used));
        Self { sorted: uses, cut: BinaryHeap::new(), until }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty() && self.cut.is_empty()
    }

    pub(super) fn first(&self) -> Option<Use> {
        let cut = self.cut.peek().map(|&Reverse(used)| used);
        match (self.sorted.last().copied(), cut) {
            (Some(sorted), Some(cut)) => Some(sorted.min(cut)),
            (sorted, cut) => sorted.or(cut),
        }
    }

    pub(super) fn remove_first(&mut self) {
        if self.first() == self.sorted.last().copied() {
            self.sorted.pop();
        } else {
            self.cut.pop();
        }
    }

    /// What is left of a chunk that was cut, of `num_chunks` that there are now.
    pub(super) fn add_cut(&mut self, used: Use, num_chunks: usize) {
        let (stamp, _) = used;
        if self.is_empty() || self.until < stamp {
            return;
        }
        self.cut.push(Reverse(used));
        // More that is passed over than chunks: to begin anew is no more work.
        if 2 * num_chunks + 64 < self.cut.len() {
            *self = Self::new();
        }
    }

    pub(super) fn memory_size(&self) -> usize {
        (self.sorted.capacity() + self.cut.capacity()) * size_of::<Use>()
    }
}
