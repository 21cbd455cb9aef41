//! A peer for searches: what an array can do that never takes a write.

use std::ops::Range;

/// Disjoint ranges in a sorted array, searched by halving: small, contiguous, and too slow to write to.
///
/// It stands beside the structures that take writes, to show what their searches cost over the plainest one. It is
/// no bound: a tree with wide nodes touches fewer cache lines.
///
/// # Examples
///
/// ```
/// let held = svf_benches::SortedRanges::new([8..12, 0..4]);
/// assert!(held.gaps(2..20).eq([4..8, 12..20]));
/// assert!(held.contains(8..10));
/// ```
#[derive(Debug, Clone)]
pub struct SortedRanges {
    /// In order; none empty, none overlapping or touching.
    ranges: Vec<Range<u64>>,
}

impl SortedRanges {
    /// These ranges, joined where they touch or overlap.
    pub fn new(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut given: Vec<_> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
        given.sort_unstable_by_key(|range| range.start);
        let mut ranges: Vec<Range<u64>> = Vec::with_capacity(given.len());
        for range in given {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    /// Whether every byte of `range` is in one of the ranges. An empty range always is.
    #[must_use]
    pub fn contains(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .ranges
                .get(self.first_ending_behind(range.start))
                .is_some_and(|held| held.start <= range.start && range.end <= held.end)
    }

    /// The parts of `range` that lie in none of the ranges, in order.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut held = self.ranges[self.first_ending_behind(range.start)..].iter();
        let mut position = range.start;
        std::iter::from_fn(move || {
            while position < range.end {
                let next = held.next();
                let gap = position..next.map_or(range.end, |next| next.start.min(range.end));
                position = next.map_or(range.end, |next| next.end);
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// The first range that has a byte at or behind `offset`, by its place in the array.
    fn first_ending_behind(&self, offset: u64) -> usize {
        self.ranges.partition_point(|range| range.end <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DenseFile, Random};

    #[test]
    fn it_agrees_with_the_model() {
        let mut random = Random::new(11);
        for _ in 0..200 {
            let mut model = DenseFile::new(100);
            let written: Vec<_> = (0..random.below(12))
                .map(|_| {
                    let start = random.below(95);
                    start..start + random.below(6)
                })
                .collect();
            for range in &written {
                model.write(range.start, &vec![1; range.end.saturating_sub(range.start) as usize]);
            }
            let ranges = SortedRanges::new(written);
            assert_eq!(ranges.ranges, model.blocks());
            for start in 0..110 {
                for len in [0, 1, 2, 7, 50, 200] {
                    let asked = start..start + len;
                    assert!(ranges.gaps(asked.clone()).eq(model.gaps(asked.clone())));
                    assert_eq!(ranges.contains(asked.clone()), model.contains(asked.clone()));
                }
            }
        }
    }
}
