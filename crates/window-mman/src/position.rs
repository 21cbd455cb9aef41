//! Where in a file: positions, and ends that are counted from either side. Pure, total arithmetic.

use std::io::{self, SeekFrom};
use std::ops::{Bound, Range, RangeBounds};

/// The position of a reader of `len` bytes after a seek. Behind the end is allowed, as in files.
pub(crate) fn seek(position: u64, len: u64, to: SeekFrom) -> io::Result<u64> {
    let (from, by) = match to {
        SeekFrom::Start(offset) => (offset, 0),
        SeekFrom::Current(by) => (position, by),
        SeekFrom::End(by) => (len, by),
    };
    from.checked_add_signed(by).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{by} bytes from {from} is not a position in any file"))
    })
}

/// The place of the byte that is counted from the start, or from the end if negative: -1 is the last one.
#[inline]
pub(crate) fn index(index: i64, len: u64) -> Option<u64> {
    let place = if index < 0 { len.checked_add_signed(index)? } else { index.unsigned_abs() };
    (place < len).then_some(place)
}

/// The range of which either end is counted from the start, or from the end if negative. What is counted to before
/// the start is the start; what is behind the end stays behind it, for others to clip or refuse.
pub(crate) fn range(range: impl RangeBounds<i64>, len: u64) -> Range<u64> {
    let place = |end: i64| if end < 0 { len.saturating_add_signed(end) } else { end.unsigned_abs() };
    // The byte behind the last one is no byte, so -1 included is up to the end.
    let behind = |end: i64| place(end).saturating_add(1);
    let start = match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(start) => place(*start),
        Bound::Excluded(start) => behind(*start),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => len.max(start),
        Bound::Included(end) => behind(*end),
        Bound::Excluded(end) => place(*end),
    };
    start..end
}

/// Both ends of a range of offsets; `None` for an open end.
#[inline]
pub(crate) fn ends(range: &impl RangeBounds<u64>) -> (u64, Option<u64>) {
    let start = match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => None,
        Bound::Included(end) => Some(end.saturating_add(1)),
        Bound::Excluded(end) => Some(*end),
    };
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_what_files_have() {
        assert_eq!(seek(5, 10, SeekFrom::Start(3)).unwrap(), 3);
        assert_eq!(seek(5, 10, SeekFrom::Current(-5)).unwrap(), 0);
        assert_eq!(seek(5, 10, SeekFrom::End(3)).unwrap(), 13);
        assert_eq!(seek(5, 10, SeekFrom::Start(u64::MAX)).unwrap(), u64::MAX);
        for to in [SeekFrom::Current(-6), SeekFrom::End(-11), SeekFrom::End(i64::MIN)] {
            assert_eq!(seek(5, 10, to).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert!(seek(u64::MAX, 10, SeekFrom::Current(1)).is_err());
    }

    #[test]
    fn indices_count_from_either_side() {
        assert_eq!(index(0, 3), Some(0));
        assert_eq!(index(2, 3), Some(2));
        assert_eq!(index(3, 3), None);
        assert_eq!(index(-1, 3), Some(2));
        assert_eq!(index(-3, 3), Some(0));
        assert_eq!(index(-4, 3), None);
        assert_eq!(index(0, 0), None);
        assert_eq!((index(i64::MIN, u64::MAX), index(i64::MAX, u64::MAX)), (Some((1 << 63) - 1), Some((1 << 63) - 1)));
        assert_eq!(index(-1, 0), None);
    }

    /// What Python does, and what it does not know.
    #[test]
    fn ranges_count_from_either_side() {
        assert_eq!(range(2..5, 10), 2..5);
        assert_eq!(range(-3.., 10), 7..10);
        assert_eq!(range(..-3, 10), 0..7);
        assert_eq!(range(-5..-2, 10), 5..8);
        assert_eq!(range(-5..=-1, 10), 5..10);
        assert_eq!(range(-50..4, 10), 0..4);
        assert_eq!(range(.., 10), 0..10);
        assert_eq!(range(4..400, 10), 4..400, "clipped by who uses it");
        assert_eq!(range(12.., 10), 12..12, "refused by who uses it");
        assert_eq!(range(Range { start: 5, end: 2 }, 10), Range { start: 5, end: 2 });
        assert_eq!(range((Bound::Excluded(1), Bound::Included(i64::MAX)), 10), 2..1 << 63);
    }

    #[test]
    fn open_ends_are_open() {
        assert_eq!(ends(&(3..5)), (3, Some(5)));
        assert_eq!(ends(&(3..)), (3, None));
        assert_eq!(ends(&(..=4)), (0, Some(5)));
        assert_eq!(ends(&(..=u64::MAX)), (0, Some(u64::MAX)));
    }
}
