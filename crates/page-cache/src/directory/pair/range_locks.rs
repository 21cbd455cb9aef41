//! Exclusive locks on numbered things of a pair, its pages or its index blocks: first among the threads of this
//! process, then among processes.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use svf_core::RangeSet;

use crate::sync::{Condvar, Mutex};
use crate::sys::{Lock, LockFile, process};

/// Where the bytes of page locks begin.
pub(crate) const PAGES: u64 = 1 << 48;
/// Where the bytes of the locks on index blocks begin.
pub(crate) const BLOCKS: u64 = 1 << 49;

/// Locks that are granted to one thread of one process at a time.
///
/// A thread asks for what it needs and is granted what nobody else has, without waiting; it gives all of it back before
/// it asks again, so no two can wait for each other.
#[derive(Debug)]
pub(crate) struct RangeLocks {
    /// The kernel's locks of one descriptor do not exclude each other, so threads are excluded here.
    granted: Mutex<RangeSet>,
    released: Condvar,
    file: Arc<LockFile>,
    /// The byte on which the lock of number 0 lies.
    base: u64,
    process: u32,
}

impl RangeLocks {
    pub(crate) fn new(file: Arc<LockFile>, base: u64) -> Self {
        Self { granted: Mutex::default(), released: Condvar::new(), file, base, process: process() }
    }

    /// Grants those parts of `wanted` that nobody has; maybe nothing.
    ///
    /// # Errors
    ///
    /// That the system gives no locks.
    pub(crate) fn try_claim(&self, wanted: &RangeSet) -> io::Result<Claim<'_>> {
        let free: RangeSet = {
            let mut granted = self.granted.lock();
            let mut free = RangeSet::new();
            wanted.iter().for_each(|range| free.extend(granted.gaps(range)));
            granted.extend(&free);
            free
        };
        // From here on its drop gives back what was granted, whatever happens.
        let mut claim = Claim { ranges: free, locks: self };
        match self.lock_parts(&claim.ranges) {
            Ok(refused) if refused.is_empty() => Ok(claim),
            Ok(refused) => {
                refused.iter().for_each(|range| _ = claim.ranges.remove(range));
                self.forget(refused.iter());
                Ok(claim)
            }
            Err(error) => {
                // Also what was not locked: that changes nothing.
                let refused = std::mem::take(&mut claim.ranges);
                refused.iter().for_each(|range| self.file.unlock(self.bytes(&range)));
                self.forget(refused.iter());
                Err(error)
            }
        }
    }

    /// Grants one range as a whole, or nothing.
    pub(crate) fn try_claim_all(&self, range: Range<u64>) -> io::Result<Option<Claim<'_>>> {
        let claim = self.try_claim(&[range.clone()].into_iter().collect())?;
        Ok(claim.ranges.contains(range).then_some(claim))
    }

    /// Waits until a thread of this process gives something back, or the time is over: of other processes nobody tells.
    pub(crate) fn wait(&self, timeout: Duration) {
        drop(self.released.wait_for(self.granted.lock(), timeout));
    }

    /// Takes the kernel's locks of what other processes have not locked, and returns the rest.
    fn lock_parts(&self, wanted: &RangeSet) -> io::Result<RangeSet> {
        let (mut refused, mut wanted, mut parts) = (RangeSet::new(), wanted.iter(), Vec::new());
        // Locks come and go between two calls; who finds no end of it has enough.
        for _ in 0..10_000 {
            let Some(range) = parts.pop().or_else(|| wanted.next()) else { break };
            if self.file.try_lock(self.bytes(&range), Lock::Exclusive)? {
                continue;
            }
            let Some(conflict) = self.file.conflict(self.bytes(&range))? else {
                parts.push(range);
                continue;
            };
            let within = |byte: u64| byte.saturating_sub(self.base).clamp(range.start, range.end);
            let (start, end) = (within(conflict.start), within(conflict.end));
            refused.insert(start..end);
            parts.extend([range.start..start, end..range.end].into_iter().filter(|part| !part.is_empty()));
        }
        refused.extend(parts.into_iter().chain(wanted));
        Ok(refused)
    }

    fn bytes(&self, range: &Range<u64>) -> Range<u64> {
        self.base.saturating_add(range.start)..self.base.saturating_add(range.end)
    }

    /// Lets other threads have these ranges.
    fn forget(&self, ranges: impl Iterator<Item = Range<u64>>) {
        let mut granted = self.granted.lock();
        ranges.for_each(|range| _ = granted.remove(range));
        self.released.notify_all();
    }

    fn release(&self, ranges: &RangeSet) {
        // A child has its parent's claims in its memory, and none of its own.
        if self.process != process() {
            return;
        }
        ranges.iter().for_each(|range| self.file.unlock(self.bytes(&range)));
        self.forget(ranges.iter());
    }
}

/// The ranges that were granted; given back on drop, also by a panic.
#[derive(Debug)]
#[must_use = "what was granted is given back as soon as this drops"]
pub(crate) struct Claim<'a> {
    ranges: RangeSet,
    locks: &'a RangeLocks,
}

impl Claim<'_> {
    pub(crate) fn ranges(&self) -> &RangeSet {
        &self.ranges
    }

    /// Gives back, before the rest, what was granted of a range.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        let granted = self.ranges.intersection(range.clone()).collect();
        // First, so that nothing is given back twice, whatever happens.
        self.ranges.remove(range);
        self.locks.release(&granted);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.ranges.is_empty() {
            self.locks.release(&self.ranges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Disk, LocalDisk};

    fn set(ranges: impl IntoIterator<Item = Range<u64>>) -> RangeSet {
        ranges.into_iter().collect()
    }

    /// The locks of two processes on one file: a descriptor each is what tells them apart.
    fn two() -> [RangeLocks; 2] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        LocalDisk.create(&path).unwrap();
        [(); 2].map(|()| RangeLocks::new(Arc::new(LocalDisk.open_lock(&path).unwrap()), PAGES))
    }

    fn claimed(locks: &RangeLocks, wanted: impl IntoIterator<Item = Range<u64>>) -> (Claim<'_>, Vec<Range<u64>>) {
        let claim = locks.try_claim(&set(wanted)).unwrap();
        let ranges = claim.ranges().iter().collect();
        (claim, ranges)
    }

    #[test]
    fn what_another_thread_or_process_has_is_not_granted() {
        let [here, there] = two();
        for other in [&here, &there] {
            let (first, ranges) = claimed(&here, [0..10, 20..30]);
            assert_eq!(ranges, [0..10, 20..30]);
            let (second, ranges) = claimed(other, [5..25]);
            assert_eq!(ranges, [10..20]);
            assert_eq!(claimed(other, [12..18]).1, []);
            assert!(other.try_claim_all(0..40).unwrap().is_none());
            drop(first);
            let (mut third, ranges) = claimed(other, [0..40]);
            assert_eq!(ranges, [0..10, 20..40]);
            third.release(5..25);
            assert_eq!(claimed(&here, [0..40]).1, [5..10, 20..25]);
            drop((second, third));
            assert!(there.try_claim_all(0..1 << 40).unwrap().is_some());
        }
    }

    #[test]
    fn locks_scattered_among_processes_are_all_found() {
        let [here, there] = two();
        let (_odd, ranges) = claimed(&there, (0..100).map(|number| 2 * number + 1..2 * number + 2));
        assert_eq!(ranges.len(), 100);
        let (_even, ranges) = claimed(&here, [0..200]);
        assert_eq!(ranges.len(), 100);
        assert!(ranges.iter().all(|range| range.start % 2 == 0 && range.end == range.start + 1), "{ranges:?}");
    }

    #[test]
    fn who_waits_is_woken_by_a_thread_that_gives_back() {
        let [here, _] = two();
        let claim = here.try_claim_all(0..10).unwrap().unwrap();
        let start = std::time::Instant::now();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while here.try_claim_all(2..4).unwrap().is_none() {
                    here.wait(Duration::from_millis(100));
                }
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiter.is_finished());
            drop(claim);
        });
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    /// It shares its parent's descriptor, and so would unlock for its parent.
    #[test]
    fn a_child_of_a_fork_gives_back_nothing_of_its_parents() {
        let [parent, other] = two();
        let claim = parent.try_claim_all(0..10).unwrap().unwrap();
        let inherited =
            RangeLocks { process: process().wrapping_add(1), ..RangeLocks::new(Arc::clone(&parent.file), PAGES) };
        drop(Claim { ranges: set([0..10]), locks: &inherited });
        assert!(other.try_claim_all(0..10).unwrap().is_none(), "the parent still has it");
        drop(claim);
        assert!(other.try_claim_all(0..10).unwrap().is_some());
    }

    #[test]
    fn asking_for_nothing_is_granted_nothing() {
        let [here, _] = two();
        assert!(here.try_claim(&RangeSet::new()).unwrap().ranges().is_empty());
    }
}
