//! What files have in common that are in one file system: a clock of uses, and a limit on the sum of their bytes.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use super::SparseVirtualFile;
use super::state::Writing;
use crate::block_map::{BlockMap, LATEST};
use crate::sync::{Arc, Mutex, MutexGuard, lock};

/// The limit of a file system, and what counts towards it.
#[derive(Debug)]
pub(crate) struct SharedBound {
    /// The epoch of the latest write or eviction in any of the files: read by readers, advanced by writers.
    clock: AtomicU64,
    /// The bytes of all members.
    used: AtomicU64,
    /// `u64::MAX` for none.
    limit: AtomicU64,
    tickets: AtomicU64,
    /// The members that hold anything. One thread at a time evicts, and takes the locks of files meanwhile; so nobody
    /// takes this who has one of those.
    queue: Mutex<Queue>,
}

/// By an epoch before which nothing of the file was used, and the ticket of its membership.
type Queue = BTreeMap<(u64, u64), Weak<SparseVirtualFile>>;

impl SharedBound {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            clock: AtomicU64::new(0),
            used: AtomicU64::new(0),
            limit: AtomicU64::new(limit.unwrap_or(u64::MAX)),
            tickets: AtomicU64::new(0),
            queue: Mutex::default(),
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit != u64::MAX)
    }

    pub(crate) fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn keep_limit(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        if self.used() <= limit { 0 } else { self.evict_to(limit) }
    }

    /// Drops the least recently used chunks of all members until they hold at most `bytes` bytes together, and
    /// returns how many bytes were dropped.
    ///
    /// A member's chunks only ever get younger, so the epoch by which it is queued may be too early, and never too
    /// late: the first in the queue is asked for its oldest chunk, and queued again if another comes before it.
    pub(crate) fn evict_to(&self, bytes: u64) -> u64 {
        let mut dropped = 0;
        let mut queue = lock(&self.queue);
        while bytes < self.used()
            && let Some((place, file)) = queue.first_key_value().map(|(&place, file)| (place, file.upgrade()))
        {
            let Some(file) = file else {
                queue.remove(&place);
                continue;
            };
            let next = queue.keys().nth(1).map_or(u64::MAX, |&(next, _)| next);
            let mut state = file.state.write();
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
            // Moved while the file is locked, so that its place and what it remembers of it agree. If a destructor has
            // panicked above it stays where it was, which is not too late.
            if let Some(membership) = &mut state.membership {
                membership.requeue(&mut queue, unused_before);
            }
        }
        drop(queue);
        self.clock.fetch_add(1, Ordering::Relaxed);
        if 0 < dropped {
            tracing::debug!(dropped, limit = bytes, "evicted from the files of a file system");
        }
        dropped
    }

    /// Locks a file for a change. One that holds nothing is queued before, since it may hold something behind it.
    pub(super) fn lock_queued<'a>(&self, file: &'a SparseVirtualFile) -> Writing<'a> {
        let mut queue = lock(&self.queue);
        let mut state = file.state.write();
        if let Some(membership) = state.membership.as_mut().filter(|membership| membership.is_of(self)) {
            let now = self.clock.load(Ordering::Relaxed);
            let since = membership.place.map_or(now, |(since, _)| since);
            membership.requeue(&mut queue, Some(since));
        }
        state
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// A file's part in a file system.
#[derive(Debug)]
pub(super) struct Membership {
    bound: Arc<SharedBound>,
    file: Weak<SparseVirtualFile>,
    ticket: u64,
    /// Where in the queue the file is, if it is.
    place: Option<(u64, u64)>,
    /// How many bytes of the sum are this file's.
    counted: u64,
}

impl Membership {
    /// What the file holds counts from now on, and can be evicted.
    pub(super) fn begin(bound: &Arc<SharedBound>, file: &Arc<SparseVirtualFile>) -> bool {
        let mut queue = bound.queue();
        let mut state = file.state.write();
        if state.membership.is_some() {
            return false;
        }
        let mut membership = Self {
            bound: Arc::clone(bound),
            file: Arc::downgrade(file),
            ticket: bound.tickets.fetch_add(1, Ordering::Relaxed),
            place: None,
            counted: 0,
        };
        state.map.limit_also_to(bound.limit());
        membership.changed(&state.map);
        state.map.set_epoch(membership.now());
        membership.requeue(&mut queue, state.map.oldest_epoch());
        state.membership = Some(membership);
        true
    }

    /// The file stays as it is, does not count any more, and is not evicted from.
    pub(super) fn end(file: &SparseVirtualFile) {
        let Some(bound) = file.state.read().membership.as_ref().map(Self::bound) else { return };
        let mut queue = bound.queue();
        let mut state = file.state.write();
        if let Some(mut membership) = state.membership.take_if(|membership| membership.is_of(&bound)) {
            membership.requeue(&mut queue, None);
            membership.count(0);
            state.map.limit_also_to(None);
        }
    }

    pub(super) fn bound(&self) -> Arc<SharedBound> {
        Arc::clone(&self.bound)
    }

    /// The epoch of now, in all files.
    pub(super) fn now(&self) -> u64 {
        self.bound.clock.load(Ordering::Relaxed)
    }

    /// Tells uses before and after it apart, in all files.
    pub(super) fn advance(&self) {
        self.bound.clock.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the file can be evicted from. One that holds anything always can.
    pub(super) fn is_queued(&self) -> bool {
        self.place.is_some()
    }

    /// The map has changed.
    pub(super) fn changed(&mut self, map: &BlockMap) {
        self.count(map.num_bytes());
        self.bound.clock.fetch_max(map.epoch().min(LATEST), Ordering::Relaxed);
    }

    fn count(&mut self, bytes: u64) {
        // Added and subtracted in one step: the sum never passes through 0 while others look at it.
        self.bound.used.fetch_add(bytes.wrapping_sub(self.counted), Ordering::Relaxed);
        self.counted = bytes;
    }

    fn is_of(&self, bound: &SharedBound) -> bool {
        std::ptr::eq(&*self.bound, bound)
    }

    /// Nothing of the file was used before this; `None` if it holds nothing.
    fn requeue(&mut self, queue: &mut Queue, unused_before: Option<u64>) {
        let place = unused_before.map(|epoch| (epoch, self.ticket));
        if let Some(before) = std::mem::replace(&mut self.place, place) {
            queue.remove(&before);
        }
        if let Some(place) = place {
            queue.insert(place, Weak::clone(&self.file));
        }
    }
}
