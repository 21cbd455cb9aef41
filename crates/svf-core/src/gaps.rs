//! The one way in which gaps between held ranges are found, for sets and for maps.

use std::ops::Range;

/// The parts of a range that an ordered, disjoint sequence of held ranges leaves uncovered.
///
/// Lazy: it looks at no more of the held ranges than the caller takes gaps.
#[derive(Debug, Clone)]
pub(crate) struct GapsBetween<I> {
    /// Held ranges in ascending order; those before `position` are skipped, those behind `end` are not reached.
    held: I,
    /// Everything before this offset has been answered.
    position: u64,
    end: u64,
}

impl<I: Iterator<Item = Range<u64>>> GapsBetween<I> {
    #[inline]
    pub(crate) fn new(held: I, range: Range<u64>) -> Self {
        Self { held, position: range.start, end: range.end }
    }
}

impl<I: Iterator<Item = Range<u64>>> Iterator for GapsBetween<I> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        while self.position < self.end {
            let Some(held) = self.held.next() else {
                let gap = self.position..self.end;
                self.position = self.end;
                return Some(gap);
            };
            let gap = self.position..held.start.min(self.end);
            self.position = self.position.max(held.end);
            if gap.start < gap.end {
                return Some(gap);
            }
        }
        None
    }
}
