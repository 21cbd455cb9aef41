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

/// A division of files into windows that the system is able to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// A multiple of `granularity`, at most `isize::MAX`.
    window_size: NonZeroU64,
    /// Offsets of mappings are multiples of it: the page size, on Windows 64 KiB.
    granularity: NonZeroU64,
}

impl Grid {
    /// The longest window: a slice is never longer than `isize::MAX`.
    pub(crate) const LARGEST_WINDOW: u64 = isize::MAX as u64;

    /// A grid of windows of the given size, rounded up to the granularity of mappings.
    ///
    /// `None` if the rounded size is more than [`Grid::LARGEST_WINDOW`].
    pub(crate) fn new(window_size: NonZeroU64, granularity: NonZeroU64) -> Option<Self> {
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
    pub(crate) fn window_size(&self) -> u64 {
        self.window_size.get()
    }

    /// The region in which to look for `range`, of a file of `len` bytes: the window that has all
    /// of it, else the pages that it touches; in both cases no further than the file goes.
    ///
    /// For a range that is not empty and ends at `len` or before, the region contains the range
    /// and starts at a multiple of the granularity.
    pub(crate) fn region_for(&self, range: &Range<u64>, len: u64) -> Range<u64> {
        let window = self.window_at(range.start, len);
        if range.end <= window.end {
            return window;
        }
        let start = round_down(range.start, self.granularity);
        let end = round_up(range.end, self.granularity).map_or(len, |end| end.min(len));
        start..end
    }

    /// The window in which `offset` lies.
    fn window_at(&self, offset: u64, len: u64) -> Range<u64> {
        let start = round_down(offset, self.window_size);
        let end = start.checked_add(self.window_size.get()).map_or(len, |end| end.min(len));
        start..end
    }
}

fn round_down(value: u64, multiple: NonZeroU64) -> u64 {
    value - value % multiple
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
