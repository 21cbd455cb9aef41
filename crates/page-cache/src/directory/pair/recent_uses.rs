//! Which extents have just been used, so that what belongs together is counted as one use.
//!
//! A reader goes through an extent in many small pieces, and it may take a while: that is one use. Another one is one that
//! comes in another period, or so much later that nobody would call it the same.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::directory::eviction::Period;
use crate::sync::Mutex;

/// For how long what happens to an extent is one use of it, if nothing is filled meanwhile.
const ONE_USE: Duration = Duration::from_secs(10);
/// So many are remembered before those that are over are forgotten.
const REMEMBERED: usize = 1024;

/// The last uses of this process.
#[derive(Debug, Default)]
pub(super) struct RecentUses {
    uses: Mutex<HashMap<u64, (Period, Instant)>>,
}

impl RecentUses {
    /// Takes down that an extent is used; whether it is another use than the last one.
    pub(super) fn note(&self, extent: u64, now: Period) -> bool {
        let (mut uses, time) = (self.uses.lock(), Instant::now());
        let goes_on = |period, since| period == now && time.duration_since(since) < ONE_USE;
        if uses.get(&extent).is_some_and(|&(period, since)| goes_on(period, since)) {
            return false;
        }
        if uses.len() >= REMEMBERED && uses.len() == uses.capacity() {
            uses.retain(|_, (period, since)| goes_on(*period, *since));
        }
        uses.insert(extent, (now, time));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_one_use() {
        let recent = RecentUses::default();
        assert!(recent.note(5, Period(1)) && !recent.note(5, Period(1)));
        assert!(recent.note(6, Period(1)));
        assert!(recent.note(5, Period(2)) && !recent.note(5, Period(2)));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let recent = RecentUses::default();
        for extent in 0..100_000u64 {
            recent.note(extent, Period((extent / 100) as u16));
        }
        assert!(recent.uses.lock().len() < 10_000);
    }
}
