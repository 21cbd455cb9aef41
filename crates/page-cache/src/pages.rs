//! Pure arithmetic between byte ranges and pages. Everything is checked where the numbers come from outside.

use std::ops::Range;

/// The smallest page that can be a hole of its own on common file systems.
pub(crate) const MIN_PAGE_SIZE: u64 = 4 << 10;
/// A larger page would make a word of the index vouch for more than can be fetched and checked at once.
pub(crate) const MAX_PAGE_SIZE: u64 = 64 << 20;

/// An object of `length` bytes, cut into pages of `page_size`, a power of two; the last one is as long as the object
/// lets it be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pages {
    pub(crate) page_size: u64,
    pub(crate) length: u64,
}

impl Pages {
    pub(crate) fn count(&self) -> u64 {
        self.touching(&(0..self.length)).end
    }

    /// The bytes of a page, only those that the object has.
    pub(crate) fn bytes(&self, page: u64) -> Range<u64> {
        let start = page * self.page_size;
        start..start.saturating_add(self.page_size).min(self.length)
    }

    /// The bytes of a run of pages.
    pub(crate) fn bytes_of_run(&self, pages: Range<u64>) -> Range<u64> {
        if pages.is_empty() {
            return 0..0;
        }
        self.bytes(pages.start).start..self.bytes(pages.end - 1).end
    }

    /// The pages that share a byte with `range`.
    #[inline]
    pub(crate) fn touching(&self, range: &Range<u64>) -> Range<u64> {
        if range.is_empty() {
            return 0..0;
        }
        self.page_of(range.start)..self.page_of(range.end - 1) + 1
    }

    /// The page that has the byte at an offset. By a shift: a division takes ten times as long, and a hit would make
    /// several.
    #[inline]
    fn page_of(&self, offset: u64) -> u64 {
        debug_assert!(self.page_size.is_power_of_two());
        offset >> self.page_size.trailing_zeros()
    }
}

/// What two byte ranges share; empty if nothing.
pub(crate) fn overlap(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_whole_pages_and_one_byte_more_and_less() {
        for (length, count, last) in
            [(0, 0, 0..0), (1, 1, 0..1), (4095, 1, 0..4095), (4096, 1, 0..4096), (4097, 2, 4096..4097)]
        {
            let pages = Pages { page_size: 4096, length };
            assert_eq!(pages.count(), count);
            if count > 0 {
                assert_eq!(pages.bytes(count - 1), last);
                assert_eq!(pages.bytes_of_run(0..count), 0..length);
                assert_eq!(pages.touching(&(0..length)), 0..count);
            }
        }
    }

    #[test]
    fn nothing_overflows_at_the_greatest_length() {
        let pages = Pages { page_size: 4096, length: u64::MAX };
        let last = pages.count() - 1;
        assert_eq!(pages.bytes(last), u64::MAX - 4095..u64::MAX);
        assert_eq!(pages.touching(&(u64::MAX - 1..u64::MAX)), last..last + 1);
        assert_eq!(pages.touching(&(5..5)), 0..0);
    }
}
