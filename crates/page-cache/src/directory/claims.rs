//! Which thread of this process fetches which bytes: the first half of single flight.

use std::ops::Range;

use parking_lot::{Condvar, Mutex};
use svf_core::RangeSet;

/// The byte ranges of one pair that are being fetched now, each by one thread.
///
/// A thread asks for what it needs and is granted what nobody else has; it gives all of it back before it asks again,
/// so no two threads can wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    claimed: Mutex<RangeSet>,
    released: Condvar,
}

impl Claims {
    /// Grants those parts of `wanted` that nobody has. Blocks while others have all of it.
    pub(crate) fn claim(&self, wanted: &RangeSet) -> Claim<'_> {
        let mut claimed = self.claimed.lock();
        loop {
            let free: RangeSet = wanted.iter().flat_map(|range| claimed.gaps(range)).collect();
            if !free.is_empty() || wanted.is_empty() {
                claimed.extend(&free);
                return Claim { ranges: free, claims: self };
            }
            self.released.wait(&mut claimed);
        }
    }
}

/// The ranges that were granted; given back on drop, also by a panic.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    ranges: RangeSet,
    claims: &'a Claims,
}

impl Claim<'_> {
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter()
    }

    /// Gives back, before the rest, what was granted of a range.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        let granted: Vec<_> = self.ranges.intersection(range.clone()).collect();
        self.ranges.remove(range);
        let mut claimed = self.claims.claimed.lock();
        for part in granted {
            claimed.remove(part);
        }
        self.claims.released.notify_all();
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.claims.claimed.lock();
        for range in &self.ranges {
            claimed.remove(range);
        }
        self.claims.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    fn set(ranges: impl IntoIterator<Item = Range<u64>>) -> RangeSet {
        ranges.into_iter().collect()
    }

    #[test]
    fn what_another_has_is_not_granted() {
        let claims = Claims::default();
        let first = claims.claim(&set([0..10, 20..30]));
        let second = claims.claim(&set([5..25]));
        assert_eq!(first.ranges().collect::<Vec<_>>(), [0..10, 20..30]);
        assert_eq!(second.ranges().collect::<Vec<_>>(), [10..20]);
        drop(first);
        let mut third = claims.claim(&set([0..40]));
        assert_eq!(third.ranges().collect::<Vec<_>>(), [0..10, 20..40]);
        third.release(5..25);
        assert_eq!(claims.claim(&set([0..40])).ranges().collect::<Vec<_>>(), [5..10, 20..25]);
    }

    #[test]
    fn who_gets_nothing_waits_until_something_is_given_back() {
        let claims = Claims::default();
        let given_back = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let first = claims.claim(&set([0..10]));
            let waiter = scope.spawn(|| {
                let claim = claims.claim(&set([2..4]));
                assert!(given_back.load(Ordering::SeqCst), "granted while another had it");
                claim.ranges().collect::<Vec<_>>()
            });
            std::thread::sleep(Duration::from_millis(20));
            given_back.store(true, Ordering::SeqCst);
            drop(first);
            assert_eq!(waiter.join().unwrap(), [2..4]);
        });
        assert!(claims.claimed.lock().is_empty());
    }

    #[test]
    fn asking_for_nothing_does_not_wait() {
        assert_eq!(Claims::default().claim(&RangeSet::new()).ranges().count(), 0);
    }
}
