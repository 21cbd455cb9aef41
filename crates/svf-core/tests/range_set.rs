//! `RangeSet` against a flag for each byte, and against the `rangemap` crate.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::ops::Range;

use proptest::prelude::*;
use svf_core::RangeSet;

const SPAN: usize = 64;

/// Simple, and infeasibly slow for real files: one flag a byte, from `base` on.
struct Model {
    base: u64,
    held: [bool; SPAN],
}

impl Model {
    fn slots(&self, range: &Range<u64>) -> Range<usize> {
        (range.start - self.base) as usize..(range.end - self.base) as usize
    }

    /// The runs of slots in `range` whose flag is `held`.
    fn runs(&self, range: Range<u64>, held: bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for offset in range {
            if self.held[(offset - self.base) as usize] == held {
                match runs.last_mut() {
                    Some(run) if run.end == offset => run.end += 1,
                    _ => runs.push(offset..offset + 1),
                }
            }
        }
        runs
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Insert(Range<u64>),
    Remove(Range<u64>),
}

/// Ranges in `SPAN` bytes from an offset on, reversed ones among them.
fn range() -> impl Strategy<Value = Range<u64>> {
    (0..=SPAN as u64, 0..=SPAN as u64).prop_map(|(start, end)| start..end)
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![3 => range().prop_map(Operation::Insert), 1 => range().prop_map(Operation::Remove)];
    prop::collection::vec(operation, 0..24)
}

fn at(base: u64, range: &Range<u64>) -> Range<u64> {
    base + range.start..base + range.end
}

proptest! {
    #[test]
    fn agrees_with_a_flag_for_each_byte(
        base in prop_oneof![Just(0), Just(1 << 40), Just(u64::MAX - SPAN as u64)],
        operations in operations(),
        asked in range(),
    ) {
        let mut set = RangeSet::new();
        let mut model = Model { base, held: [false; SPAN] };
        for operation in operations {
            let (range, held) = match operation {
                Operation::Insert(range) => (at(base, &range), true),
                Operation::Remove(range) => (at(base, &range), false),
            };
            let changed = model.runs(range.clone(), !held).iter().map(|run| run.end - run.start).sum::<u64>();
            if !range.is_empty() {
                let slots = model.slots(&range);
                model.held[slots].fill(held);
            }
            let reported = if held { set.insert(range) } else { set.remove(range) };
            prop_assert_eq!(reported, changed);

            let whole = base..base + SPAN as u64;
            let runs = model.runs(whole.clone(), true);
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), runs.clone(), "sorted, disjoint, never touching");
            prop_assert_eq!(set.num_ranges(), runs.len());
            prop_assert_eq!(set.num_bytes(), runs.iter().map(|run| run.end - run.start).sum::<u64>());
            prop_assert_eq!(set.end(), runs.last().map_or(0, |run| run.end));
            prop_assert_eq!(set.gaps(whole.clone()).collect::<Vec<_>>(), model.runs(whole, false));
        }
        let asked = at(base, &asked);
        prop_assert_eq!(set.gaps(asked.clone()).collect::<Vec<_>>(), model.runs(asked.clone(), false));
        prop_assert_eq!(set.intersection(asked.clone()).collect::<Vec<_>>(), model.runs(asked.clone(), true));
        prop_assert_eq!(set.contains(asked.clone()), model.runs(asked, false).is_empty());
        for offset in base..base + SPAN as u64 {
            let holding = model.runs(base..base + SPAN as u64, true).into_iter().find(|run| run.contains(&offset));
            prop_assert_eq!(set.range_at(offset), holding);
        }
    }

    #[test]
    fn agrees_with_rangemap(ranges in prop::collection::vec((any::<u64>(), any::<u64>()), 0..64)) {
        let mut set = RangeSet::new();
        let mut oracle = rangemap::RangeSet::new();
        for (start, end) in ranges {
            set.insert(start..end);
            if start < end {
                oracle.insert(start..end);
            }
        }
        prop_assert!(set.iter().eq(oracle.iter().cloned()));
        prop_assert!(set.gaps(0..u64::MAX).eq(oracle.gaps(&(0..u64::MAX))));
    }
}

#[test]
fn an_empty_or_reversed_range_changes_nothing_and_is_contained() {
    let mut set = RangeSet::new();
    #[expect(clippy::reversed_empty_ranges, reason = "a reversed range is what is tested")]
    let reversed = 9..3;
    assert_eq!(set.insert(5..5), 0);
    assert_eq!(set.insert(reversed.clone()), 0);
    assert!(set.is_empty());
    assert!(set.contains(5..5));
    assert!(set.contains(reversed.clone()));
    assert_eq!(set.gaps(reversed.clone()).count(), 0);
    set.insert(0..20);
    assert_eq!(set.remove(reversed.clone()), 0);
    assert_eq!(set.intersection(reversed).count(), 0);
}

#[test]
fn the_greatest_range_fits() {
    let mut set = RangeSet::new();
    assert_eq!(set.insert(0..u64::MAX), u64::MAX);
    assert_eq!(set.num_bytes(), u64::MAX);
    assert_eq!(set.remove(1..u64::MAX - 1), u64::MAX - 2);
    assert_eq!(set.iter().collect::<Vec<_>>(), [0..1, u64::MAX - 1..u64::MAX]);
}

/// One range is kept in another way than many.
#[test]
fn sets_are_equal_by_their_ranges_however_they_came_about() {
    let one: RangeSet = [0..4, 20..24].into_iter().collect();
    let mut other: RangeSet = [20..24].into_iter().collect();
    other.insert(0..4);
    assert_eq!((&one, hash(&one)), (&other, hash(&other)));
    for set in [&mut other, &mut RangeSet::new()] {
        set.insert(20..24);
        set.remove(0..4);
        let alone: RangeSet = [20..24].into_iter().collect();
        assert_eq!((&*set, hash(set)), (&alone, hash(&alone)));
        assert!(*set != one && set.clone().into_iter().eq([20..24]));
        set.remove(20..24);
        assert_eq!((&*set, hash(set)), (&RangeSet::new(), hash(&RangeSet::new())));
    }
}

fn hash(set: &RangeSet) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(set)
}
