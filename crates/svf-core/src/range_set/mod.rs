//! A coalescing set of byte ranges.

mod ordered;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::FusedIterator;
use std::ops::Range;

use self::ordered::Ordered;
pub use self::ordered::{IntoRanges, Ranges};
use crate::gaps::GapsBetween;

/// A set of offsets, kept as ranges: ranges that touch or overlap are one range.
///
/// ```text
/// insert(0..4)    [0, 4)
/// insert(8..12)   [0, 4)      [8, 12)
/// insert(4..8)    [0,               12)
/// ```
///
/// Every operation costs O(log n) in the number of ranges, plus the ranges that it removes or walks over. A set of one
/// range takes no memory of its own.
///
/// # Examples
///
/// ```
/// use svf_core::RangeSet;
///
/// let mut held: RangeSet = [0..4, 8..12].into_iter().collect();
/// assert_eq!(held.gaps(2..20).collect::<Vec<_>>(), [4..8, 12..20]);
/// assert_eq!(held.insert(2..10), 4); // the bytes that are new
/// assert!(held.contains(0..12));
/// assert_eq!(held.num_ranges(), 1);
/// ```
#[derive(Clone, Default)]
pub struct RangeSet {
    /// Neither empty, nor overlapping, nor touching.
    ranges: Ordered,
    num_bytes: u64,
}

impl RangeSet {
    /// An empty set.
    #[inline]
    pub const fn new() -> Self {
        Self { ranges: Ordered::new(), num_bytes: 0 }
    }

    /// Adds a range and returns how many bytes of it are new. An empty range adds nothing.
    #[inline]
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        // Most sets are what one read misses.
        if self.is_empty() {
            self.num_bytes = range.end - range.start;
            self.ranges.insert(range);
            return self.num_bytes;
        }
        self.join(range)
    }

    /// Adds a range, which is not empty, to those that are there.
    fn join(&mut self, range: Range<u64>) -> u64 {
        let mut joined = range;
        let mut absorbed = 0;
        // From the back: every range that starts at or before the new end and reaches the new start becomes part
        // of it. They are disjoint and in order, so the first that does not reach the start ends the search.
        while let Some(Range { start, end }) = self.ranges.last_from(joined.end) {
            if end < joined.start {
                break;
            }
            self.ranges.remove(start);
            absorbed += end - start;
            joined = joined.start.min(start)..joined.end.max(end);
        }
        let new = (joined.end - joined.start) - absorbed;
        self.ranges.insert(joined);
        self.num_bytes += new;
        new
    }

    /// Takes a range out, splitting what it cuts, and returns how many bytes were removed.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let mut removed = 0;
        // It is not empty, so that it ends behind 0.
        while let Some(Range { start, end }) = self.ranges.last_from(range.end - 1) {
            if end <= range.start {
                break;
            }
            self.ranges.remove(start);
            if range.end < end {
                self.ranges.insert(range.end..end);
            }
            if start < range.start {
                self.ranges.insert(start..range.start);
            }
            removed += end.min(range.end) - start.max(range.start);
        }
        self.num_bytes -= removed;
        removed
    }

    /// Whether every byte of `range` is in the set. An empty range always is.
    #[inline]
    pub fn contains(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.range_at(range.start).is_some_and(|held| range.end <= held.end)
    }

    /// The range of the set that holds the byte at `offset`.
    #[inline]
    pub fn range_at(&self, offset: u64) -> Option<Range<u64>> {
        self.ranges.last_from(offset).filter(|held| offset < held.end)
    }

    /// The parts of `range` that are not in the set, in order.
    #[inline]
    pub fn gaps(&self, range: Range<u64>) -> Gaps<'_> {
        Gaps(GapsBetween::new(self.overlapping(&range), range))
    }

    /// The parts of `range` that are in the set, in order.
    #[inline]
    pub fn intersection(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        self.overlapping(&range).map(move |held| held.start.max(range.start)..held.end.min(range.end))
    }

    /// The ranges, in order.
    #[inline]
    pub fn iter(&self) -> Ranges<'_> {
        self.ranges.iter()
    }

    /// How many ranges there are. O(1).
    pub fn num_ranges(&self) -> usize {
        self.ranges.len()
    }

    /// How many bytes all ranges have together. O(1).
    #[inline]
    pub fn num_bytes(&self) -> u64 {
        self.num_bytes
    }

    /// Whether nothing is in the set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ranges.len() == 0
    }

    /// The end of the last range, 0 for an empty set.
    pub fn end(&self) -> u64 {
        self.ranges.last_from(u64::MAX).map_or(0, |last| last.end)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The held ranges that share a byte with `range`, whole.
    #[inline]
    fn overlapping(&self, range: &Range<u64>) -> Ranges<'_> {
        if range.is_empty() { Ranges::none() } else { self.ranges.overlapping(range) }
    }
}

impl PartialEq for RangeSet {
    fn eq(&self, other: &Self) -> bool {
        self.num_bytes == other.num_bytes && self.iter().eq(other)
    }
}

impl Eq for RangeSet {}

impl Hash for RangeSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.iter().for_each(|range| range.hash(state));
        self.num_bytes.hash(state);
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl Extend<Range<u64>> for RangeSet {
    fn extend<T: IntoIterator<Item = Range<u64>>>(&mut self, ranges: T) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<T: IntoIterator<Item = Range<u64>>>(ranges: T) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

impl<'a> IntoIterator for &'a RangeSet {
    type Item = Range<u64>;
    type IntoIter = Ranges<'a>;

    #[inline]
    fn into_iter(self) -> Ranges<'a> {
        self.iter()
    }
}

impl IntoIterator for RangeSet {
    type Item = Range<u64>;
    type IntoIter = IntoRanges;

    fn into_iter(self) -> IntoRanges {
        self.ranges.into_ranges()
    }
}

/// The parts of a range that a [`RangeSet`] does not hold, in order.
#[derive(Debug, Clone)]
pub struct Gaps<'a>(GapsBetween<Ranges<'a>>);

impl Iterator for Gaps<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        self.0.next()
    }
}

impl FusedIterator for Gaps<'_> {}
