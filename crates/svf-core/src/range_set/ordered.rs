//! Disjoint ranges by their start: one in place, more in a tree.
//!
//! Most sets have one range, such as what a read misses, and are made and dropped for each of them.

use std::collections::{BTreeMap, btree_map};
use std::iter::FusedIterator;
use std::ops::Range;
use std::option;

/// Ranges that do not overlap, in order of their start.
#[derive(Debug, Clone)]
pub(super) enum Ordered {
    One(Option<Range<u64>>),
    /// Start to end. It stays a tree when ranges go.
    Many(BTreeMap<u64, u64>),
}

impl Ordered {
    #[inline]
    pub(super) const fn new() -> Self {
        Self::One(None)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(one) => usize::from(one.is_some()),
            Self::Many(tree) => tree.len(),
        }
    }

    /// The last range that starts at `offset` or before it.
    #[inline]
    pub(super) fn last_from(&self, offset: u64) -> Option<Range<u64>> {
        match self {
            Self::One(one) => one.clone().filter(|range| range.start <= offset),
            Self::Many(tree) => tree.range(..=offset).next_back().map(|(&start, &end)| start..end),
        }
    }

    /// Adds a range where none is.
    #[inline]
    pub(super) fn insert(&mut self, range: Range<u64>) {
        match self {
            Self::One(one @ None) => *one = Some(range),
            Self::One(Some(one)) => *self = Self::Many([one, &range].map(|range| (range.start, range.end)).into()),
            Self::Many(tree) => _ = tree.insert(range.start, range.end),
        }
    }

    /// Takes out the range that starts at `start`.
    #[inline]
    pub(super) fn remove(&mut self, start: u64) {
        match self {
            Self::One(one) => *one = one.take().filter(|range| range.start != start),
            Self::Many(tree) => _ = tree.remove(&start),
        }
    }

    /// All of them.
    #[inline]
    pub(super) fn iter(&self) -> Ranges<'_> {
        Ranges(match self {
            Self::One(one) => Walk::One(one.clone().into_iter()),
            Self::Many(tree) => Walk::Many(tree.range(..)),
        })
    }

    /// Those that share a byte with `range`, which is not empty.
    #[inline]
    pub(super) fn overlapping(&self, range: &Range<u64>) -> Ranges<'_> {
        let overlaps = |one: &Range<u64>| one.start < range.end && range.start < one.end;
        Ranges(match self {
            Self::One(one) => Walk::One(one.clone().filter(overlaps).into_iter()),
            Self::Many(tree) => {
                let before = self.last_from(range.start).filter(overlaps);
                Walk::Many(tree.range(before.map_or(range.start, |before| before.start)..range.end))
            }
        })
    }

    pub(super) fn into_ranges(self) -> IntoRanges {
        IntoRanges(match self {
            Self::One(one) => Walk::One(one.into_iter()),
            Self::Many(tree) => Walk::Many(tree.into_iter()),
        })
    }
}

impl Default for Ordered {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Clone)]
enum Walk<I> {
    One(option::IntoIter<Range<u64>>),
    Many(I),
}

/// The ranges of a [`RangeSet`](super::RangeSet) that was taken over, in order.
#[derive(Debug)]
pub struct IntoRanges(Walk<btree_map::IntoIter<u64, u64>>);

impl Iterator for IntoRanges {
    type Item = Range<u64>;

    #[inline]
    fn next(&mut self) -> Option<Range<u64>> {
        match &mut self.0 {
            Walk::One(one) => one.next(),
            Walk::Many(tree) => tree.next().map(|(start, end)| start..end),
        }
    }
}

impl FusedIterator for IntoRanges {}

/// The ranges of a [`RangeSet`](super::RangeSet), in order.
#[derive(Debug, Clone)]
pub struct Ranges<'a>(Walk<btree_map::Range<'a, u64, u64>>);

impl Ranges<'_> {
    pub(super) fn none() -> Self {
        Self(Walk::One(None.into_iter()))
    }
}

impl Iterator for Ranges<'_> {
    type Item = Range<u64>;

    #[inline]
    fn next(&mut self) -> Option<Range<u64>> {
        match &mut self.0 {
            Walk::One(one) => one.next(),
            Walk::Many(tree) => tree.next().map(|(&start, &end)| start..end),
        }
    }
}

impl DoubleEndedIterator for Ranges<'_> {
    fn next_back(&mut self) -> Option<Range<u64>> {
        match &mut self.0 {
            Walk::One(one) => one.next_back(),
            Walk::Many(tree) => tree.next_back().map(|(&start, &end)| start..end),
        }
    }
}

impl FusedIterator for Ranges<'_> {}
