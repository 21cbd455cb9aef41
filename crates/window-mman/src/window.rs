//! Where regions lie: the arithmetic of the grid, and nothing else.
//!
//! Nothing here touches a file, allocates or fails; every function is total, and checked at the
//! far end of `u64`.

use std::num::NonZeroU64;
use std::ops::Range;

/// The window size where none is asked for, in bytes.
///
/// Large enough that a parser's structures seldom cross a window and that mapping (about 3 µs) is
/// nothing beside reading, small enough that a thousand scattered looks are a gigabyte of address
/// space and not a terabyte.
pub(crate) const DEFAULT_WINDOW_SIZE: u64 = 1 << 20;

/// How files are divided into regions.
///
/// # Examples
///
/// ```
/// use window_mman::{MapManager, Strategy};
/// # fn main() -> Result<(), window_mman::Error> {
/// let manager = MapManager::builder().strategy(Strategy::Static).build()?;
/// assert_eq!(manager.strategy(), Strategy::Static);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Windows of a fixed size, which are mapped where somebody looks, and unmapped when others are needed: for files
    /// that are huge, or many, or both.
    #[default]
    #[doc(alias = "SlidingWindowMapManager")]
    Sliding,
    /// Whole files: one region each. For few files that fit the address space; the fewest mappings there can be.
    #[doc(alias = "StaticWindowMapManager")]
    Static,
}

/// A division of files into windows that the system is able to map: pure arithmetic.
///
/// A manager has one of these inside ([`MapManager::grid`](crate::MapManager::grid)); it is public for those who want
/// to lay their own reads out along the windows.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU64;
/// use window_mman::Grid;
///
/// # fn example() -> Option<()> {
/// let page = NonZeroU64::new(4096)?;
/// let grid = Grid::new(NonZeroU64::new(16_000)?, page)?;
/// assert_eq!(grid.window_size(), 16_384); // rounded up to whole pages
/// assert_eq!(grid.window_at(20_000, 1 << 30), 16_384..32_768);
/// assert_eq!(grid.region_for(&(20_000..20_010), 1 << 30), 16_384..32_768); // a window has it
/// assert_eq!(grid.region_for(&(16_000..16_400), 1 << 30), 12_288..20_480); // else its pages
/// # Some(())
/// # }
/// # assert!(example().is_some());
/// ```
#[doc(alias = "MapWindow")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// A multiple of `granularity`, at most `isize::MAX`.
    window_size: NonZeroU64,
    /// Offsets of mappings are multiples of it: the page size, on Windows 64 KiB.
    granularity: NonZeroU64,
}

impl Grid {
    /// The longest window: a slice is never longer than `isize::MAX`.
    pub const LARGEST_WINDOW: u64 = isize::MAX as u64;

    /// A grid of windows of the given size in bytes, rounded up to `granularity`, of which offsets of mappings are
    /// multiples.
    ///
    /// `None` if the rounded size is more than [`Grid::LARGEST_WINDOW`].
    #[must_use]
    pub fn new(window_size: NonZeroU64, granularity: NonZeroU64) -> Option<Self> {
        let rounded = round_up(window_size.get(), granularity)?;
        let window_size = NonZeroU64::new(rounded).filter(|size| size.get() <= Self::LARGEST_WINDOW)?;
        Some(Self { window_size, granularity })
    }

    /// The grid of [`DEFAULT_WINDOW_SIZE`], or of one granule where that is more.
    pub(crate) fn with_default_window(granularity: NonZeroU64) -> Self {
        NonZeroU64::new(DEFAULT_WINDOW_SIZE)
            .and_then(|size| Self::new(size, granularity))
            .unwrap_or(Self { window_size: granularity, granularity })
    }

    /// The size of every window but the last of a file, in bytes.
    #[must_use]
    pub fn window_size(&self) -> u64 {
        self.window_size.get()
    }

    /// What offsets of mappings are multiples of, in bytes.
    #[must_use]
    pub fn granularity(&self) -> u64 {
        self.granularity.get()
    }

    /// `offset`, or the last before it at which a mapping may start.
    #[doc(alias = "align_to_mmap")]
    #[must_use]
    pub fn align_down(&self, offset: u64) -> u64 {
        round_down(offset, self.granularity)
    }

    /// `offset`, or the next behind it at which a mapping may start; `None` if there is none.
    #[doc(alias = "align_to_mmap")]
    #[must_use]
    pub fn align_up(&self, offset: u64) -> Option<u64> {
        round_up(offset, self.granularity)
    }

    /// `range` made larger, until a mapping may start and end there, and clipped at `len`.
    #[must_use]
    pub fn align(&self, range: &Range<u64>, len: u64) -> Range<u64> {
        let end = self.align_up(range.end).map_or(len, |end| end.min(len));
        self.align_down(range.start)..end
    }

    /// The window in which `offset` of a file of `len` bytes lies; the last one ends with the file.
    #[doc(alias = "from_region")]
    #[must_use]
    #[inline]
    pub fn window_at(&self, offset: u64, len: u64) -> Range<u64> {
        let start = round_down(offset, self.window_size);
        let end = start.checked_add(self.window_size.get()).map_or(len, |end| end.min(len));
        start..end
    }

    /// `range` made longer to the left, to start at `start` or as near to it as it gets without being longer than
    /// `longest`; where a mapping may start.
    #[doc(alias = "extend_left_to")]
    #[must_use]
    pub fn extend_left(&self, range: &Range<u64>, start: u64, longest: u64) -> Range<u64> {
        let nearest = range.end.saturating_sub(longest);
        let start = self.align_up(nearest).unwrap_or(range.start).max(self.align_down(start));
        start.min(range.start)..range.end
    }

    /// `range` made longer to the right, to end at `end` or as near to it as it gets without being longer than
    /// `longest`.
    #[doc(alias = "extend_right_to")]
    #[must_use]
    pub fn extend_right(&self, range: &Range<u64>, end: u64, longest: u64) -> Range<u64> {
        let nearest = range.start.saturating_add(longest);
        range.start..end.min(nearest).max(range.end)
    }

    /// The region in which to look for `range`, of a file of `len` bytes: the window that has all
    /// of it, else the pages that it touches; in both cases no further than the file goes.
    ///
    /// For a range that is not empty and ends at `len` or before, the region contains the range
    /// and starts at a multiple of the granularity.
    #[must_use]
    #[inline]
    pub fn region_for(&self, range: &Range<u64>, len: u64) -> Range<u64> {
        let window = self.window_at(range.start, len);
        if range.end <= window.end { window } else { self.align(range, len) }
    }
}

#[inline]
fn round_down(value: u64, multiple: NonZeroU64) -> u64 {
    // Divisions by numbers that the compiler does not know take longer than everything else here.
    if multiple.is_power_of_two() { value & !(multiple.get() - 1) } else { value - value % multiple }
}

fn round_up(value: u64, multiple: NonZeroU64) -> Option<u64> {
    value.checked_next_multiple_of(multiple.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: u64 = 4096;

    fn grid(window_size: u64) -> Grid {
        Grid::new(NonZeroU64::new(window_size).unwrap(), NonZeroU64::new(PAGE).unwrap()).unwrap()
    }

    #[test]
    fn sizes_are_rounded_up_to_whole_pages() {
        assert_eq!(grid(1).window_size(), PAGE);
        assert_eq!(grid(PAGE).window_size(), PAGE);
        assert_eq!(grid(PAGE + 1).window_size(), 2 * PAGE);
    }

    #[test]
    fn sizes_that_no_slice_can_have_are_refused() {
        let page = NonZeroU64::new(PAGE).unwrap();
        assert_eq!(Grid::new(NonZeroU64::MAX, page), None);
        let beyond = NonZeroU64::new(Grid::LARGEST_WINDOW).unwrap();
        assert_eq!(Grid::new(beyond, page), None, "rounding goes beyond");
        let largest = NonZeroU64::new(Grid::LARGEST_WINDOW - (PAGE - 1)).unwrap();
        assert!(Grid::new(largest, page).is_some());
    }

    #[test]
    fn the_default_is_a_mebibyte_unless_pages_are_larger() {
        for page in [4096, 16_384, 65_536, 1 << 20] {
            let grid = Grid::with_default_window(NonZeroU64::new(page).unwrap());
            assert_eq!(grid.window_size(), 1 << 20);
        }
        let grid = Grid::with_default_window(NonZeroU64::new(1 << 24).unwrap());
        assert_eq!(grid.window_size(), 1 << 24);
    }

    #[test]
    fn a_range_inside_a_window_gets_the_window() {
        let grid = grid(4 * PAGE);
        let len = 100 * PAGE + 7;
        assert_eq!(grid.region_for(&(0..1), len), 0..4 * PAGE);
        assert_eq!(grid.region_for(&(0..4 * PAGE), len), 0..4 * PAGE);
        assert_eq!(grid.region_for(&(4 * PAGE..4 * PAGE + 1), len), 4 * PAGE..8 * PAGE);
    }

    #[test]
    fn the_last_window_ends_with_the_file() {
        let grid = grid(4 * PAGE);
        assert_eq!(grid.region_for(&(0..3), 3), 0..3);
        let len = 5 * PAGE + 7;
        assert_eq!(grid.region_for(&(len - 1..len), len), 4 * PAGE..len);
        assert_eq!(grid.region_for(&(4 * PAGE - 1..len), len), 3 * PAGE..len, "a cover ends there too");
    }

    #[test]
    fn a_range_that_crosses_gets_its_pages() {
        let grid = grid(4 * PAGE);
        let len = 100 * PAGE;
        assert_eq!(grid.region_for(&(4 * PAGE - 1..4 * PAGE + 1), len), 3 * PAGE..5 * PAGE);
        assert_eq!(grid.region_for(&(0..4 * PAGE + 1), len), 0..5 * PAGE);
        assert_eq!(grid.region_for(&(PAGE + 5..50 * PAGE + 5), len), PAGE..51 * PAGE);
    }

    #[test]
    fn the_far_end_of_the_offsets() {
        let grid = grid(4 * PAGE);
        let region = grid.region_for(&(u64::MAX - 1..u64::MAX), u64::MAX);
        assert_eq!(region, u64::MAX - 4 * PAGE + 1..u64::MAX);
        let region = grid.region_for(&(PAGE..u64::MAX), u64::MAX);
        assert_eq!(region, PAGE..u64::MAX);
    }

    #[test]
    fn ranges_are_aligned_outward() {
        let grid = grid(4 * PAGE);
        assert_eq!((grid.align_down(PAGE + 1), grid.align_up(PAGE + 1)), (PAGE, Some(2 * PAGE)));
        assert_eq!((grid.align_down(PAGE), grid.align_up(PAGE)), (PAGE, Some(PAGE)));
        assert_eq!(grid.align_up(u64::MAX), None);
        assert_eq!(grid.align(&(PAGE + 1..PAGE + 2), 100 * PAGE), PAGE..2 * PAGE);
        assert_eq!(grid.align(&(PAGE + 1..PAGE + 2), PAGE + 5), PAGE..PAGE + 5);
        assert_eq!(grid.align(&(PAGE..u64::MAX), u64::MAX), PAGE..u64::MAX);
    }

    #[test]
    fn windows_are_extended_to_their_neighbours_and_no_longer_than_allowed() {
        let grid = grid(4 * PAGE);
        let range = 10 * PAGE..12 * PAGE;
        assert_eq!(grid.extend_left(&range, 8 * PAGE, 100 * PAGE), 8 * PAGE..12 * PAGE);
        assert_eq!(grid.extend_left(&range, 0, 3 * PAGE), 9 * PAGE..12 * PAGE);
        assert_eq!(grid.extend_left(&range, 0, 3 * PAGE + 1), 9 * PAGE..12 * PAGE, "whole pages");
        assert_eq!(grid.extend_left(&range, 11 * PAGE, 100 * PAGE), range, "it is never made shorter");
        assert_eq!(grid.extend_left(&range, 0, 1), range);
        assert_eq!(grid.extend_right(&range, 14 * PAGE + 5, 100 * PAGE), 10 * PAGE..14 * PAGE + 5);
        assert_eq!(grid.extend_right(&range, u64::MAX, 3 * PAGE), 10 * PAGE..13 * PAGE);
        assert_eq!(grid.extend_right(&range, 11 * PAGE, 100 * PAGE), range);
        assert_eq!(grid.extend_right(&range, u64::MAX, u64::MAX), 10 * PAGE..u64::MAX);
    }

    proptest! {
        #[test]
        fn a_region_covers_its_range_and_not_much_more(
            window_size in 1..20 * PAGE,
            len in prop_oneof![1..200 * PAGE, Just(u64::MAX), Just(i64::MAX as u64)],
            start in any::<u64>(),
            size in prop_oneof![1..40 * PAGE, any::<u64>()],
        ) {
            let grid = grid(window_size);
            let start = start % len;
            let end = start.saturating_add(size.max(1)).min(len);
            let region = grid.region_for(&(start..end), len);
            prop_assert!(region.start <= start && end <= region.end && region.end <= len);
            prop_assert_eq!(region.start % PAGE, 0);
            prop_assert!(region.end == len || region.end.is_multiple_of(PAGE));
            let excess = (region.end - region.start) - (end - start);
            prop_assert!(excess < grid.window_size().max(2 * PAGE));
        }

        #[test]
        fn it_is_total(window_size in 1..20 * PAGE, start: u64, end: u64, len: u64) {
            let _ = grid(window_size).region_for(&Range { start, end }, len);
        }
    }
}
