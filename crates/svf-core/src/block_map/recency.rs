//! What was used when, and eviction of what was not used for longest.
//!
//! Every chunk has a stamp: the epoch of its last use. Readers store it into the chunk that they read, and nowhere
//! else, and only if it differs; nothing is kept in order. The order is made when it is shown, or when eviction has
//! nothing left to go by: all chunks sorted by stamp, of which each eviction takes the oldest. A chunk that was used or
//! removed since has another stamp or is gone, and is passed over; what is left of one that was cut is added; what was
//! written since is younger than all of them. So each sort is paid for by as many evictions, uses or removals as it
//! has chunks.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::BlockMap;
use super::eviction_queue::EvictionQueue;

/// No clock is set to a later epoch from outside, so that none can overflow.
pub(crate) const LATEST: u64 = u64::MAX / 2;

/// What has been dropped to keep a limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evicted {
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
}

impl BlockMap {
    /// Drops the chunks that were not used for longest until at most `bytes` bytes are held, and returns how many
    /// bytes were dropped.
    ///
    /// A chunk is what was written at once, or up to 64 KiB of small writes that touch. It is used when it is written
    /// (again) or read; [`contains`](Self::contains) and [`need`](Self::need) use nothing. Uses are told apart by the
    /// write, the eviction or the [`advance_epoch`](Self::advance_epoch) between them; of what was used between the
    /// same two, the lowest offset goes first. `Bytes` that were handed out stay valid.
    ///
    /// O(log n) a chunk, amortised over what is dropped and what is used.
    #[doc(alias = "lru_punt")]
    pub fn evict_to(&mut self, bytes: u64) -> u64 {
        let before = self.num_bytes();
        while bytes < self.num_bytes() && self.evict_before(u64::MAX) {}
        *self.epoch.get_mut() += 1;
        before - self.num_bytes()
    }

    /// Sets the limit that writes keep, and drops at once what exceeds it. Returns how many bytes were dropped.
    pub fn set_max_bytes(&mut self, max_bytes: Option<u64>) -> u64 {
        self.options.max_bytes = max_bytes;
        max_bytes.map_or(0, |limit| self.evict_to(limit))
    }

    /// Somebody above keeps this limit, on more than this map: chunks are small enough for it, and no write is longer.
    pub(crate) fn limit_also_to(&mut self, limit: Option<u64>) {
        self.limit_above = limit;
    }

    pub(super) fn lowest_limit(&self) -> Option<u64> {
        match (self.options.max_bytes, self.limit_above) {
            (Some(own), Some(above)) => Some(own.min(above)),
            (own, above) => own.or(above),
        }
    }

    /// Counts the chunks in `range` as used now, as a read of them does. What is not held is passed over.
    #[doc(alias = "block_touch")]
    pub fn touch(&self, range: Range<u64>) {
        self.touch_at(range, self.epoch());
    }

    pub(super) fn touch_at(&self, range: Range<u64>, epoch: u64) {
        for chunk in self.overlapping(range) {
            self.slab.get(chunk.slot).touch(epoch);
        }
    }

    /// The ranges that are held, those first that were not used for longest. O(n log n) in the number of chunks.
    ///
    /// Whoever writes them in this order into another map gives it the same order.
    #[doc(alias = "block_touches")]
    pub fn recency(&self) -> Vec<Range<u64>> {
        let mut uses: Vec<_> =
            self.tree.cursor(0).map(|chunk| (self.slab.get(chunk.slot).stamp(), chunk.start, chunk.end())).collect();
        uses.sort_unstable();
        let mut ranges: Vec<(u64, Range<u64>)> = Vec::new();
        for (stamp, start, end) in uses {
            match ranges.last_mut() {
                Some((last_stamp, last)) if *last_stamp == stamp && last.end == start => last.end = end,
                _ => ranges.push((stamp, start..end)),
            }
        }
        ranges.into_iter().map(|(_, range)| range).collect()
    }

    /// The clock of uses: what is used from now on gets this stamp. A successful write and an eviction advance it.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Advances the clock of uses to `epoch`, unless it is there already: so several maps can share one clock.
    pub fn set_epoch(&self, epoch: u64) {
        // Many readers call this, and most of them find nothing to change: they must not take the cache line.
        if self.epoch() < epoch {
            self.epoch.fetch_max(epoch.min(LATEST), Ordering::Relaxed);
        }
    }

    /// Advances the clock of uses by one, so that reads before and after it are told apart. Readers on other threads
    /// then write to the chunks that they read, once each.
    pub fn advance_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// The epoch of the least recent use of what is held: what the next eviction drops. Amortised as
    /// [`evict_to`](Self::evict_to).
    pub fn oldest_epoch(&mut self) -> Option<u64> {
        loop {
            if self.eviction_queue.is_empty() {
                self.queue_all();
            }
            let (stamp, start) = self.eviction_queue.first()?;
            let place = self.tree.find(start);
            if place.before().is_some_and(|chunk| chunk.start == start && self.slab.get(chunk.slot).stamp() == stamp) {
                return Some(stamp);
            }
            self.eviction_queue.remove_first();
        }
    }

    /// Keeps the limit after a write of `range`, in this order: what was not used for longest is dropped, but nothing
    /// of what was used by this write; then what lies outside of its range; then the front of the range itself.
    pub(super) fn make_room(&mut self, limit: u64, range: Range<u64>, epoch: u64) {
        while limit < self.num_bytes() && self.evict_before(epoch) {}
        if limit < self.num_bytes() {
            self.remove_to_make_room(0..range.start);
            self.remove_to_make_room(range.end..u64::MAX);
        }
        if limit < self.num_bytes() {
            self.remove_to_make_room(range.start..range.end - limit);
        }
    }

    pub(super) fn remove_to_make_room(&mut self, range: Range<u64>) {
        let chunks = self.num_chunks();
        self.evicted.bytes += self.remove(range);
        self.evicted.chunks += chunks.saturating_sub(self.num_chunks()) as u64;
    }

    /// What has been dropped to keep a limit since the map was made.
    pub(crate) fn evicted(&self) -> Evicted {
        self.evicted
    }

    /// Drops the chunk that was not used for longest, if that was before `epoch`.
    pub(crate) fn evict_before(&mut self, epoch: u64) -> bool {
        loop {
            if self.eviction_queue.is_empty() {
                self.queue_all();
            }
            let Some((stamp, start)) = self.eviction_queue.first().filter(|(stamp, _)| *stamp < epoch) else {
                return false;
            };
            self.eviction_queue.remove_first();
            let slab = &mut self.slab;
            let dropped = self.tree.change(start, |leaf| {
                let (index, chunk) = leaf.floor()?;
                let is_unused = chunk.start == start && slab.get(chunk.slot).stamp() == stamp;
                is_unused.then(|| {
                    leaf.remove(index);
                    slab.remove(chunk.slot)
                })
            });
            if let Some(slot) = dropped {
                self.evicted.chunks += 1;
                self.evicted.bytes += slot.bytes.len() as u64;
                return true;
            }
        }
    }

    fn queue_all(&mut self) {
        let mut uses = Vec::with_capacity(self.slab.len());
        uses.extend(self.tree.cursor(0).map(|chunk| (self.slab.get(chunk.slot).stamp(), chunk.start)));
        self.eviction_queue = EvictionQueue::of_all(uses, self.epoch());
        // Whatever is used from now on is younger than what is in the queue.
        *self.epoch.get_mut() += 1;
    }
}
