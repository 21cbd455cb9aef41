//! The bytes of the chunks, by slot.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Segments are never moved once they are full, so that a large map does not keep twice its size for growth.
const SEGMENT: usize = 1024;
/// The end of the list of free slots.
const NO_SLOT: u32 = u32::MAX;

/// The bytes of a chunk, when they were used, and what memory they keep.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) bytes: Bytes,
    /// The epoch of the last use. Readers store it through a shared reference.
    stamp: AtomicU64,
    /// The size of the allocation, at least the length of the bytes; in a free slot, the next free slot.
    charge: u32,
    /// Whether this map made the allocation, and not the caller.
    copied: bool,
}

impl Slot {
    pub(super) fn new(bytes: Bytes, charge: usize, copied: bool, epoch: u64) -> Self {
        let charge = u32::try_from(charge.max(bytes.len())).unwrap_or(u32::MAX);
        Self { bytes, stamp: AtomicU64::new(epoch), charge, copied }
    }

    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// Stores only what differs, so that readers of hot chunks do not take the cache line from each other.
    pub(super) fn touch(&self, epoch: u64) {
        if self.stamp() < epoch {
            self.stamp.store(epoch, Ordering::Relaxed);
        }
    }

    pub(super) fn charge(&self) -> usize {
        self.charge as usize
    }

    pub(super) fn is_copied(&self) -> bool {
        self.copied
    }

    /// Whether there is room behind the bytes, unless a reader shares them.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.copied && len <= self.charge() - self.bytes.len()
    }
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            stamp: AtomicU64::new(self.stamp()),
            charge: self.charge,
            copied: self.copied,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Slab {
    segments: Vec<Vec<Slot>>,
    first_free: u32,
    /// How many slots there are, taken or free.
    num_slots: u32,
    /// How many slots are taken.
    len: usize,
    /// The allocations behind them, in bytes.
    charged: u64,
}

impl Slab {
    pub(super) const fn new() -> Self {
        Self { segments: Vec::new(), first_free: NO_SLOT, num_slots: 0, len: 0, charged: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, slot: u32) -> &Slot {
        &self.segments[slot as usize / SEGMENT][slot as usize % SEGMENT]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.segments[slot as usize / SEGMENT][slot as usize % SEGMENT]
    }

    /// 2^32 chunks do not fit into the memory of any machine, each taking a hundred bytes.
    pub(super) fn insert(&mut self, content: Slot) -> u32 {
        self.len += 1;
        self.charged += u64::from(content.charge);
        if self.first_free != NO_SLOT {
            let slot = self.first_free;
            let free = self.get_mut(slot);
            let next = mem::replace(free, content).charge;
            self.first_free = next;
            return slot;
        }
        match self.segments.last_mut() {
            Some(last) if last.len() < SEGMENT => last.push(content),
            _ => {
                // A small map begins small; the capacities of its first segment are powers of two.
                let mut segment = Vec::with_capacity(if self.segments.is_empty() { 1 } else { SEGMENT });
                segment.push(content);
                self.segments.push(segment);
            }
        }
        let slot = self.num_slots;
        self.num_slots += 1;
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> Slot {
        let next = self.first_free;
        let free = Slot { bytes: Bytes::new(), stamp: AtomicU64::new(0), charge: next, copied: false };
        let removed = mem::replace(self.get_mut(slot), free);
        self.first_free = slot;
        self.len -= 1;
        self.charged -= u64::from(removed.charge);
        removed
    }

    /// Gives a slot other content, and returns the old one.
    pub(super) fn replace(&mut self, slot: u32, content: Slot) -> Slot {
        self.charged += u64::from(content.charge);
        let old = mem::replace(self.get_mut(slot), content);
        self.charged -= u64::from(old.charge);
        old
    }

    /// The heap memory of the slots and of the bytes behind them.
    pub(super) fn memory_size(&self) -> usize {
        self.segments.capacity() * size_of::<Vec<Slot>>()
            + self.segments.iter().map(|segment| segment.capacity() * size_of::<Slot>()).sum::<usize>()
            + self.charged as usize
    }

    #[cfg(test)]
    pub(super) fn check(&self, taken: &std::collections::HashSet<u32>) {
        let mut free = std::collections::HashSet::new();
        let mut next = self.first_free;
        while next != NO_SLOT {
            assert!(free.insert(next) && !taken.contains(&next), "a slot is free once, or taken");
            assert!(self.get(next).bytes.is_empty(), "a free slot holds nothing");
            next = self.get(next).charge;
        }
        assert_eq!(taken.len(), self.len);
        assert_eq!(taken.len() + free.len(), self.num_slots as usize);
        assert_eq!(taken.iter().map(|&slot| u64::from(self.get(slot).charge)).sum::<u64>(), self.charged);
    }
}
