//! Which extents have just been used, so that what belongs together is counted as one use.
//!
//! A reader goes through an extent in many small pieces, and others may fill a great deal meanwhile: that is one use,
//! as long as it goes forward. Otherwise another use is one for which so much was filled since, or so much time has
//! passed, that nobody would call it the same. What lies between is counted for each extent by itself: the border of a
//! period would make two uses of one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// For how long what happens to an extent is one use of it, if nothing is filled meanwhile.
const ONE_USE: Duration = Duration::from_secs(10);
/// So many are remembered before those that are long over are forgotten.
const REMEMBERED: usize = 1024;
/// Of more than so many the older half is forgotten, though some of them may go on.
const MOST: usize = 1 << 16;

/// How many bytes have to be filled before what happens to an extent of so many bytes may be another use of it: several
/// extents, or a reader who goes through one would count again and again; and a 32nd of the limit, since the uses of
/// what is stored are written down so often where room is made ahead of need. But not most of a cache that is small.
pub(crate) fn length_of_use(limit: u64, extent: u64) -> u64 {
    (limit / 32).max(extent.saturating_mul(4).min(limit / 4))
}

/// What came of another look at an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It belongs to the last use.
    Same,
    /// It belongs to the last use, which has lasted for long.
    GoesOn,
    Another,
}

/// The last uses of this process.
#[derive(Debug, Default)]
pub(crate) struct RecentUses(Mutex<Uses>);

#[derive(Debug, Default)]
struct Uses {
    by_extent: ByExtent,
    /// When there are so many, some are forgotten: so rarely that it costs each use the same.
    full: usize,
}

type ByExtent = HashMap<u64, LastUse, BuildHasherDefault<Spread>>;

/// Extents are numbers that nobody chooses to collide.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
struct LastUse {
    /// The end of the pages that it has come to.
    reach: u64,
    /// When it last went forward: how many bytes had been filled by then, and when that was.
    filled: u64,
    time: Instant,
}

impl RecentUses {
    /// Takes down that pages of an extent are used now, when so many bytes have been `filled`, where a use is `length`
    /// bytes long.
    pub(crate) fn note(&self, extent: u64, pages: &Range<u64>, filled: u64, length: u64, time: Instant) -> Use {
        let mut uses = self.0.lock();
        if let Some(last) = uses.by_extent.get_mut(&extent) {
            // Another limit is another measure, by which it may be less than it was.
            let is_over =
                filled.abs_diff(last.filled) >= length || time.saturating_duration_since(last.time) >= ONE_USE;
            // A piece may begin in the page that the last one ended in.
            let goes_forward = pages.end > last.reach && (pages.start..=pages.start + 1).contains(&last.reach);
            if goes_forward || !is_over {
                last.reach = last.reach.max(pages.end);
                if goes_forward {
                    (last.filled, last.time) = (filled, time);
                }
                return if is_over { Use::GoesOn } else { Use::Same };
            }
        }
        if uses.by_extent.len() >= uses.full.max(REMEMBERED) {
            forget(&mut uses.by_extent, filled, length);
            uses.full = 2 * uses.by_extent.len();
        }
        uses.by_extent.insert(extent, LastUse { reach: pages.end, filled, time });
        Use::Another
    }
}

fn forget(uses: &mut ByExtent, filled: u64, length: u64) {
    // A reader may go on for longer than a use lasts that does not go forward.
    uses.retain(|_, last| filled.abs_diff(last.filled) < length.saturating_mul(4));
    if uses.len() >= MOST {
        let mut ages: Vec<u64> = uses.values().map(|last| filled.abs_diff(last.filled)).collect();
        let middle = ages.len() / 2;
        let (_, &mut median, _) = ages.select_nth_unstable(middle);
        uses.retain(|_, last| filled.abs_diff(last.filled) < median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 100;

    struct Noted(RecentUses, Instant);

    impl Noted {
        fn new() -> Self {
            Self(RecentUses::default(), Instant::now())
        }

        fn note(&self, extent: u64, pages: Range<u64>, filled: u64) -> Use {
            self.0.note(extent, &pages, filled, LENGTH, self.1)
        }
    }

    #[test]
    fn what_belongs_together_is_one_use() {
        let uses = Noted::new();
        assert_eq!(uses.note(5, 0..1, 1_000), Use::Another);
        assert_eq!(uses.note(5, 0..1, 1_099), Use::Same, "whatever borders lie between");
        assert_eq!(uses.note(6, 0..1, 1_099), Use::Another, "another extent");
        assert_eq!(uses.note(5, 0..1, 1_100), Use::Another);
        assert_eq!(uses.note(5, 0..1, 1_199), Use::Same);
    }

    #[test]
    fn a_reader_who_goes_forward_makes_one_use_however_slow_it_is() {
        let uses = Noted::new();
        assert_eq!(uses.note(5, 0..2, 1_000), Use::Another);
        assert_eq!(uses.note(5, 2..3, 2_000), Use::GoesOn);
        assert_eq!(uses.note(5, 2..5, 2_050), Use::Same, "it begins in a page that was seen");
        assert_eq!(uses.note(5, 5..8, 3_000), Use::GoesOn);
        assert_eq!(uses.note(5, 0..2, 3_050), Use::Same, "and back, at once");
        assert_eq!(uses.note(5, 0..2, 4_000), Use::Another, "and once more from the start");
        assert_eq!(uses.note(5, 4..6, 5_000), Use::Another, "a jump");
        assert_eq!(uses.note(5, 5..6, 6_000), Use::Another, "a page that is read again and again");
    }

    #[test]
    fn what_is_used_much_later_is_used_again_though_nothing_was_filled() {
        let uses = Noted::new();
        assert_eq!(uses.note(5, 0..1, 0), Use::Another);
        let later = uses.1 + ONE_USE;
        assert_eq!(uses.0.note(5, &(0..1), 0, LENGTH, later), Use::Another);
        assert_eq!(uses.0.note(5, &(0..1), 0, LENGTH, later), Use::Same);
    }

    #[test]
    fn a_lower_limit_does_not_stop_the_count() {
        let uses = Noted::new();
        assert_eq!(uses.note(5, 0..1, 1 << 40), Use::Another);
        assert_eq!(uses.note(5, 0..1, 1_000), Use::Another);
    }

    #[test]
    fn what_is_over_is_forgotten_and_of_too_many_the_older_half() {
        let uses = Noted::new();
        (0..100_000).for_each(|extent| _ = uses.note(extent, 0..1, extent));
        assert!(uses.0.0.lock().by_extent.len() < 10_000);
        (0..300_000).for_each(|extent| _ = uses.note(extent, 0..1, 1_000_000 + extent / 10_000));
        assert!(uses.0.0.lock().by_extent.len() <= 2 * MOST);
        assert_eq!(uses.note(299_999, 0..1, 1_000_030), Use::Same);
    }

    #[test]
    fn a_use_is_several_extents_long_and_not_most_of_a_small_cache() {
        let mib = 1 << 20;
        for (limit, length) in [(4, 1), (8, 2), (64, 4), (128, 4), (1024, 32)] {
            assert_eq!(length_of_use(limit * mib, mib), length * mib, "{limit} MiB");
        }
        assert_eq!(length_of_use(64 * mib, 4 * mib), 16 * mib);
    }
}
