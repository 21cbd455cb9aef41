//! All pairs of a directory by what they take, so that one can be chosen at random.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stamp::{PERIODS, Period};
use crate::directory::files::Files;

/// After so many periods the directory is listed anew: by then a sixteenth of what is stored is other than it was.
const LISTED_FOR: u64 = PERIODS / 16;
/// Or once one part of so many of what was listed has gone, whose places are drawn in vain.
const GONE_PART: u64 = 16;
/// How often another pair is drawn in the place of one that has gone.
const DRAWS: usize = 8;

/// For so long what can just not be evicted is not chosen, if there is no new listing before.
const PASSED_OVER_FOR: Duration = Duration::from_secs(5);

/// The pairs of one listing.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Each pair with the sum of what it and those before it take, by name.
    sums: Vec<(u64, Arc<str>)>,
    /// Those that are not to be chosen any more, by their places, and what they take.
    out: HashSet<usize>,
    out_sum: u64,
    /// What all took that were listed, and those of them that have gone since.
    listed_sum: u64,
    gone_sum: u64,
    listed: Option<(Period, Instant)>,
    /// Whether some are not chosen though they are there.
    passes_over: bool,
}

impl Roster {
    /// Lists the directory. O(pairs), in the time in which a sixteenth of the limit is filled.
    pub(super) fn list(files: &Files, now: Period) -> io::Result<Self> {
        let (mut sums, mut sum) = (Vec::new(), 0u64);
        for name in names(files)? {
            // What is gone by now takes nothing.
            let sizes = files.pair(&name).map(|path| files.disk.size(&path).unwrap_or_default().allocated);
            sum = sum.saturating_add(sizes.iter().sum::<u64>().max(1));
            sums.push((sum, name.into()));
        }
        Ok(Self { sums, listed_sum: sum, listed: Some((now, Instant::now())), ..Self::default() })
    }

    /// Whether most of what it says is still there, so that it can be chosen from until there is a new listing.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_empty() && self.gone_sum <= self.listed_sum / 2
    }

    /// Whether it says well enough what there is.
    pub(super) fn is_good(&self, now: Period) -> bool {
        let is_young = |(listed, time): (Period, Instant)| {
            u64::from(now.0.wrapping_sub(listed.0)) < LISTED_FOR
                && (!self.passes_over || time.elapsed() < PASSED_OVER_FOR)
        };
        self.listed.is_some_and(is_young) && !self.is_empty() && self.gone_sum <= self.listed_sum / GONE_PART
    }

    /// Whether nothing was listed, or nothing was there.
    pub(super) fn is_empty(&self) -> bool {
        self.listed_sum == 0
    }

    /// Notes that a pair is there no more.
    pub(super) fn remove(&mut self, name: &str) {
        self.gone_sum += self.leave_out(name);
    }

    /// Notes that of a pair nothing can go just now, since all of it is to be kept, or the disk does not give it.
    pub(super) fn pass_over(&mut self, name: &str) {
        self.passes_over = true;
        self.leave_out(name);
    }

    /// What the pair takes, unless it is not chosen any more anyway.
    fn leave_out(&mut self, name: &str) -> u64 {
        let Ok(place) = self.sums.binary_search_by(|(_, listed)| (**listed).cmp(name)) else { return 0 };
        if !self.out.insert(place) {
            return 0;
        }
        let size = self.size(place);
        self.out_sum += size;
        // Else most draws would be in vain: each time half of what is left is gone over.
        if self.out_sum > self.sum() / 2 {
            let mut sum = 0;
            let left = (0..self.sums.len()).filter(|place| !self.out.contains(place)).map(|place| {
                sum += self.size(place);
                (sum, Arc::clone(&self.sums[place].1))
            });
            self.sums = left.collect();
            self.out.clear();
            self.out_sum = 0;
        }
        size
    }

    /// A pair, the more likely the more it takes.
    pub(super) fn choose(&self, random: &mut fastrand::Rng) -> Option<Arc<str>> {
        let draw = |_| {
            let drawn = random.u64(..self.sum().max(1));
            self.sums.partition_point(|&(sum, _)| sum <= drawn)
        };
        let place = (0..DRAWS).map(draw).find(|place| !self.out.contains(place))?;
        self.sums.get(place).map(|(_, name)| Arc::clone(name))
    }

    fn size(&self, place: usize) -> u64 {
        self.sums[place].0 - place.checked_sub(1).map_or(0, |before| self.sums[before].0)
    }

    fn sum(&self) -> u64 {
        self.sums.last().map_or(0, |&(sum, _)| sum)
    }
}

/// The names of all pairs of which there is an index, in order.
pub(crate) fn names(files: &Files) -> io::Result<Vec<String>> {
    let names = files.list(&files.pairs())?;
    let pairs = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".index"));
    // A set: a file system may list what is renamed meanwhile twice.
    let names: BTreeSet<&str> = pairs.filter(|name| !name.starts_with('.')).collect();
    Ok(names.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs `00`, `01`, ... that take as much as their number says.
    fn roster(count: u64) -> Roster {
        let sums = (0..count).map(|number| (number * (number + 1) / 2, format!("{number:02}").into()));
        let listed = Some((Period(7), Instant::now()));
        Roster { sums: sums.collect(), listed_sum: count * (count - 1) / 2, listed, ..Roster::default() }
    }

    #[test]
    fn the_more_a_pair_takes_the_more_likely_it_is_chosen() {
        let (roster, mut random) = (roster(20), fastrand::Rng::with_seed(1));
        let mut counts = [0u64; 20];
        for _ in 0..190_000 {
            counts[roster.choose(&mut random).unwrap().parse::<usize>().unwrap()] += 1;
        }
        for (number, count) in (0..).zip(counts) {
            assert!(count.abs_diff(number * 1_000) <= 60 + number * 80, "{number}: {count}");
        }
        assert_eq!(Roster::default().choose(&mut random), None);
    }

    #[test]
    fn what_has_gone_is_not_chosen_and_a_few_of_them_need_no_new_listing() {
        let (mut roster, mut random) = (roster(20), fastrand::Rng::with_seed(1));
        for name in ["05", "06", "no such pair", "05"] {
            roster.remove(name);
        }
        assert_eq!(roster.gone_sum, 11);
        assert!(roster.is_good(Period(7)) && roster.is_good(Period(22)) && !roster.is_good(Period(23)));
        for _ in 0..10_000 {
            assert!(!["05", "06"].contains(&&*roster.choose(&mut random).unwrap()));
        }
        roster.remove("01");
        assert!(!roster.is_good(Period(7)), "twelve of 190 are more than a sixteenth");
        assert!(roster.is_usable());
        (10..17).for_each(|number| roster.remove(&number.to_string()));
        assert!(!roster.is_usable());
    }

    #[test]
    fn what_is_passed_over_is_not_chosen_though_it_be_nearly_all() {
        let (mut roster, mut random) = (roster(20), fastrand::Rng::with_seed(1));
        (2..20).for_each(|number| roster.pass_over(&format!("{number:02}")));
        for _ in 0..100 {
            assert_eq!(&*roster.choose(&mut random).unwrap(), "01");
        }
        assert!(roster.is_usable() && roster.is_good(Period(7)), "it is still there");
        roster.pass_over("01");
        assert!(roster.choose(&mut random).is_none_or(|name| &*name == "00") && roster.is_usable());
        let long_ago = Instant::now().checked_sub(PASSED_OVER_FOR).unwrap();
        roster.listed = Some((Period(7), long_ago));
        assert!(!roster.is_good(Period(7)), "it may go by now");
    }
}
