//! What files have in common that are in one file system: a clock of uses, and a limit on the sum of their bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use super::SparseVirtualFile;
use crate::block_map::{BlockMap, LATEST};
use crate::sync::{Arc, Mutex, lock};

/// The limit of a file system, and what counts towards it.
#[derive(Debug)]
pub(crate) struct SharedBound {
    /// The epoch of the latest write or eviction in any of the files: read by readers, advanced by writers.
    clock: AtomicU64,
    /// The bytes of all members.
    used: AtomicU64,
    /// `u64::MAX` for none.
    limit: AtomicU64,
    /// Each member once, by an epoch that none of its chunks was used before. One thread at a time evicts; it takes
    /// the locks of files meanwhile, so nobody may hold one who asks for this.
    members: Mutex<BinaryHeap<Reverse<Member>>>,
}

impl SharedBound {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            clock: AtomicU64::new(0),
            used: AtomicU64::new(0),
            limit: AtomicU64::new(limit.unwrap_or(u64::MAX)),
            members: Mutex::default(),
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit != u64::MAX)
    }

    /// Sets the limit, and evicts what exceeds it. Returns how many bytes were dropped.
    pub(crate) fn set_limit(&self, limit: Option<u64>) -> u64 {
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.keep_limit()
    }

    /// A file has been added that was last used so long ago at the earliest.
    pub(crate) fn add(&self, file: &Arc<SparseVirtualFile>) {
        let mut members = lock(&self.members);
        // Members that were removed are found when it is their turn, or when they are the greater part.
        if members.len() == members.capacity() {
            members.retain(|Reverse(member)| member.file.strong_count() != 0);
        }
        members.push(Reverse(Member { unused_before: 0, file: Arc::downgrade(file) }));
    }

    pub(crate) fn keep_limit(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        if self.used() <= limit { 0 } else { self.evict_to(limit) }
    }

    /// Drops the least recently used chunks of all members until they hold at most `bytes` bytes together, and
    /// returns how many bytes were dropped.
    ///
    /// A member's chunks only ever get younger, so the epoch by which it stands in the heap may be too early, and
    /// never too late: the first in the heap is asked for its oldest chunk, and put back if another comes before it.
    pub(crate) fn evict_to(&self, bytes: u64) -> u64 {
        let mut dropped = 0;
        let mut members = lock(&self.members);
        let mut empty = Vec::new();
        while bytes < self.used() {
            let Some(Reverse(member)) = members.pop() else {
                break;
            };
            let Some(file) = member.file.upgrade() else {
                continue;
            };
            let next = members.peek().map_or(u64::MAX, |Reverse(next)| next.unused_before);
            let mut state = file.state.write();
            if !state.membership.as_ref().is_some_and(|membership| membership.is_of(self)) {
                continue;
            }
            let before = state.map.num_bytes();
            let unused_before = state.change(|map| {
                loop {
                    match map.oldest_epoch() {
                        Some(oldest) if oldest <= next && bytes < self.used() - (before - map.num_bytes()) => {
                            map.evict_before(u64::MAX);
                        }
                        oldest => return oldest,
                    }
                }
            });
            dropped += before - state.map.num_bytes();
            drop(state);
            match unused_before {
                Some(unused_before) => members.push(Reverse(Member { unused_before, ..member })),
                // Whatever is written into it from now on is younger than everything that is held.
                None => empty.push(Member { unused_before: self.clock.load(Ordering::Relaxed), ..member }),
            }
        }
        members.extend(empty.into_iter().map(Reverse));
        self.clock.fetch_add(1, Ordering::Relaxed);
        dropped
    }
}

/// A file's part in a file system.
#[derive(Debug)]
pub(super) struct Membership(Arc<SharedBound>);

impl Membership {
    /// The bytes that the file holds count from now on.
    pub(super) fn new(bound: &Arc<SharedBound>, map: &BlockMap) -> Self {
        bound.used.fetch_add(map.num_bytes(), Ordering::Relaxed);
        bound.clock.fetch_max(map.epoch(), Ordering::Relaxed);
        Self(Arc::clone(bound))
    }

    pub(super) fn is_of(&self, bound: &SharedBound) -> bool {
        std::ptr::eq(&*self.0, bound)
    }

    pub(super) fn bound(&self) -> Arc<SharedBound> {
        Arc::clone(&self.0)
    }

    pub(super) fn now(&self) -> u64 {
        self.0.clock.load(Ordering::Relaxed)
    }

    /// Tells uses before and after it apart, in all files.
    pub(super) fn advance(&self) {
        self.0.clock.fetch_add(1, Ordering::Relaxed);
    }

    /// The map held so many bytes before, and has changed.
    pub(super) fn changed(&self, before: u64, map: &BlockMap) {
        // Added and subtracted in one step: the sum never passes through 0 while others look at it.
        self.0.used.fetch_add(map.num_bytes().wrapping_sub(before), Ordering::Relaxed);
        self.0.clock.fetch_max(map.epoch().min(LATEST), Ordering::Relaxed);
    }

    /// The bytes of the map do not count any more.
    pub(super) fn forget(&self, map: &BlockMap) {
        self.0.used.fetch_sub(map.num_bytes(), Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Member {
    /// None of the file's chunks was used before this epoch.
    unused_before: u64,
    file: Weak<SparseVirtualFile>,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.unused_before == other.unused_before
    }
}

impl Eq for Member {}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.unused_before.cmp(&other.unused_before)
    }
}
