//! When an extent was used, and how often, in two bytes.
//!
//! Time is what has been stored: it goes on by one [`PERIODS`]th each time that so much of the limit has been filled
//! anew. So a cache that nobody fills does not age, no clock can jump, and the same numbers are right for a directory
//! of a megabyte and of a petabyte.
//!
//! Recency and frequency are one number: the moment at which something that was used once would have to have been used
//! to be worth as much. If each use counts one and loses half of that in [`HALF_LIFE`], the sum of all uses is worth
//! `2^((stamp - now) / HALF_LIFE)`, and another use makes it one more. That is LRFU (Lee et al., 2001) in a form that
//! does not change by itself: stamps are compared as they stand, the smallest goes. Something that is used a second
//! time gains `HALF_LIFE`, so it outlives whatever is used once and comes within `HALF_LIFE` behind it, as a scan does.
//!
//! What is used again only after it had to go counts for less ([`GHOST`]): of a loop that does not fit, some must stay
//! and be hit, and not all come and go with equal rights.

/// A use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u16);

/// A moment, in periods; counts round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Period(pub(crate) u16);

/// Into how many periods the time is divided in which the whole limit is filled anew.
pub(crate) const PERIODS: u64 = 256;
/// In so many periods the worth of a use is halved.
const HALF_LIFE: f64 = 8.0 * PERIODS as f64;
/// How far ahead of now a stamp may be, however often something was used: what is popular no more has to go, too.
const LEAD: u16 = 14 * PERIODS as u16;
/// What former uses count for something that is stored anew.
const GHOST: f64 = 0.25;

impl Stamp {
    /// Nobody has ever used it, as far as is known: it goes first. So a hole is a run of these.
    pub(crate) const NEVER: Self = Self(0);
    /// Somebody wants it to stay, whoever uses it.
    pub(crate) const KEPT: Self = Self(u16::MAX);

    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn is_kept(self) -> bool {
        self.0 == Self::KEPT.0
    }

    /// After another use: of what is stored, or of what is stored anew because of this use.
    pub(crate) fn used(self, now: Period, anew: bool) -> Self {
        if self.is_kept() {
            return self;
        }
        let before = match self.age(now) {
            None => 0.0,
            Some(age) => 2f64.powf(-f64::from(age) / HALF_LIFE) * if anew { GHOST } else { 1.0 },
        };
        let gained = (HALF_LIFE * (1.0 + before).log2()).round().clamp(0.0, f64::from(LEAD)) as u16;
        let stamp = now.0.wrapping_add(gained);
        // Two numbers have a meaning of their own; one period more does not matter.
        Self(if stamp == Self::NEVER.0 || stamp == Self::KEPT.0 { 1 } else { stamp })
    }

    /// After a use that is not over yet: it lasts until now, and counts once.
    pub(crate) fn lasting(self, now: Period) -> Self {
        let once = Self::NEVER.used(now, false);
        if self.is_kept() || self.staleness(now) <= once.staleness(now) { self } else { once }
    }

    /// The order in which extents go, the largest first. What is kept has to be left out before.
    pub(crate) fn staleness(self, now: Period) -> i32 {
        self.age(now).unwrap_or(i32::MAX)
    }

    /// By how many periods it is behind now: less than nothing for what was used often. None if it was never used, or
    /// says something that cannot be, since it was written by somebody else.
    fn age(self, now: Period) -> Option<i32> {
        let ahead = self.0.wrapping_sub(now.0);
        if self == Self::NEVER {
            None
        // One more, since the end of a period is a matter of who looks at the clock.
        } else if ahead <= LEAD + 1 {
            Some(-i32::from(ahead))
        } else {
            (ahead > 1 << 15).then(|| i32::from(now.0.wrapping_sub(self.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Period = Period(30_000);

    fn later(periods: u16) -> Period {
        Period(NOW.0.wrapping_add(periods))
    }

    #[test]
    fn what_was_used_once_goes_before_what_was_used_twice() {
        let once = Stamp::NEVER.used(NOW, true);
        let twice = once.used(NOW, false);
        assert!(once.staleness(NOW) > twice.staleness(NOW));
        let scanned = Stamp::NEVER.used(later(7 * 256), true);
        assert!(scanned.staleness(later(7 * 256)) > twice.staleness(later(7 * 256)), "a scan of seven times the cache");
        let scanned = Stamp::NEVER.used(later(9 * 256), true);
        assert!(scanned.staleness(later(9 * 256)) < twice.staleness(later(9 * 256)), "it is popular no more");
        assert!(Stamp::NEVER.staleness(NOW) > once.staleness(later(20_000)));
    }

    #[test]
    fn uses_before_it_had_to_go_count_for_less() {
        let once = Stamp::NEVER.used(NOW, true);
        let [hit, anew] = [false, true].map(|anew| once.used(later(256), anew).staleness(later(256)));
        assert!(hit < anew && anew < 0);
    }

    #[test]
    fn a_use_that_lasts_counts_once_and_now() {
        let once = Stamp::NEVER.used(NOW, true);
        assert_eq!(once.lasting(later(100)), Stamp::NEVER.used(later(100), true));
        let twice = once.used(NOW, false);
        assert_eq!(twice.lasting(later(100)), twice);
        assert_eq!((Stamp::KEPT.lasting(NOW), Stamp::NEVER.lasting(NOW)), (Stamp::KEPT, once));
    }

    #[test]
    fn no_number_of_uses_lasts_for_ever() {
        let mut stamp = Stamp::NEVER.used(NOW, true);
        for _ in 0..1_000_000 {
            stamp = stamp.used(NOW, false);
        }
        assert_eq!(stamp.staleness(NOW), -i32::from(LEAD));
        assert!(stamp.staleness(later(LEAD + 1)) > 0);
    }

    #[test]
    fn what_is_kept_stays_kept_and_nothing_else_becomes_so() {
        assert!(Stamp::KEPT.used(NOW, false).is_kept());
        for now in 0..=u16::MAX {
            let used = Stamp::NEVER.used(Period(now), true);
            assert!(!used.is_kept() && used != Stamp::NEVER && used.staleness(Period(now)) <= 0);
        }
    }

    #[test]
    fn time_counts_round_and_nonsense_goes_first() {
        for start in [0, 1, 30_000, 65_000, u16::MAX] {
            let used = Stamp::NEVER.used(Period(start), true);
            for age in [2, 1_000, 32_000] {
                let staleness = used.staleness(Period(start.wrapping_add(age)));
                assert!((staleness - i32::from(age)).abs() <= 2, "{start} {age} {staleness}");
            }
        }
        assert_eq!(Stamp::from_bits(NOW.0 + LEAD + 2).staleness(NOW), i32::MAX, "of the future");
    }
}
