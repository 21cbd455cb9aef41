//! What is to be read of an object that may have to be looked at before, and the bytes that come with such a look.

use std::ops::Range;

use bytes::Bytes;
use object_store::{GetOptions, GetRange};

use super::body::FIRST_PIECE;
use crate::fetch::MAX_REQUEST;

/// What is to be read of an object.
#[derive(Debug)]
pub(super) enum Wanted {
    Metadata,
    Range(GetRange),
    Ranges(Vec<Range<u64>>),
}

/// Bytes that came along with the version.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Piece {
    /// What it has of a range, if that is all of it. One who keeps a little of it does not keep all of it in memory.
    fn part(&self, range: &Range<u64>) -> Option<Bytes> {
        let (start, end) = (range.start.checked_sub(self.start)?, range.end.checked_sub(self.start)?);
        let part = (start <= end && end <= self.bytes.len() as u64).then_some(start as usize..end as usize)?;
        let is_little = part.len() < self.bytes.len() / 2;
        Some(if is_little { Bytes::copy_from_slice(&self.bytes[part]) } else { self.bytes.slice(part) })
    }
}

/// The first bytes of a range, as many as one of the pieces has.
pub(super) fn beginning(pieces: &[Piece], range: &Range<u64>) -> Option<Bytes> {
    let reaches = |piece: &Piece| range.end.min(piece.start + piece.bytes.len() as u64);
    let begins = |piece: &Piece| (range.start < reaches(piece)).then(|| range.start..reaches(piece));
    pieces.iter().find_map(|piece| piece.part(&begins(piece)?))
}

/// The bytes of a range, if one of the pieces has all of them.
pub(super) fn part(pieces: &[Piece], range: &Range<u64>) -> Option<Bytes> {
    pieces.iter().find_map(|piece| piece.part(range))
}

impl Wanted {
    pub(super) fn of(options: &GetOptions) -> Self {
        match &options.range {
            _ if options.head => Self::Metadata,
            Some(range) => Self::Range(range.clone()),
            None => Self::Range(GetRange::Offset(0)),
        }
    }

    /// What to ask for: whole pages around it, as far as requests go, but for what is held of an object of the length
    /// that is known, if one is. Nothing if only the metadata are wanted, or all of it is held. No two of several have
    /// a byte in common.
    pub(super) fn requests(
        &self,
        page_size: u64,
        known: Option<u64>,
        is_held: impl Fn(&Range<u64>) -> bool,
    ) -> Vec<GetRange> {
        // What the known version does not have is an error unless there is another one, which is read then.
        let is_held = |range: &GetRange| {
            known.is_some_and(|length| range.as_range(length).map_or(true, |range| range.is_empty() || is_held(&range)))
        };
        match self {
            Self::Metadata => Vec::new(),
            Self::Range(range) => around(range, page_size).filter(|_| !is_held(range)).into_iter().collect(),
            Self::Ranges(ranges) => {
                let absent = ranges.iter().filter(|range| !is_held(&GetRange::Bounded((*range).clone())));
                together(absent, page_size).into_iter().map(GetRange::Bounded).collect()
            }
        }
    }
}

/// Whole pages around a range, as far as one request goes.
fn pages(range: &Range<u64>, page_size: u64) -> Range<u64> {
    let start = range.start - range.start % page_size;
    let longest = MAX_REQUEST.max(page_size);
    let end = range.end.min(start.saturating_add(longest));
    start..end.checked_next_multiple_of(page_size).unwrap_or(end)
}

fn around(range: &GetRange, page_size: u64) -> Option<GetRange> {
    let bounded = |range: Range<u64>| {
        let pages = pages(&range, page_size);
        (range.start < range.end && !pages.is_empty()).then_some(GetRange::Bounded(pages))
    };
    match range {
        GetRange::Bounded(range) => bounded(range.clone()),
        GetRange::Offset(start) => bounded(*start..start.saturating_add(FIRST_PIECE)),
        // In so many more bytes there is the beginning of the first page that is touched.
        &GetRange::Suffix(length) if length <= MAX_REQUEST => {
            (length > 0).then_some(GetRange::Suffix(length + page_size))
        }
        GetRange::Suffix(_) => None,
    }
}

/// The requests for several ranges: those that are near each other are one.
fn together<'a>(ranges: impl Iterator<Item = &'a Range<u64>>, page_size: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.filter(|range| range.start < range.end).collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut requests: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        let mut pages = pages(range, page_size);
        if let Some(last) = requests.last_mut() {
            let (end, touch) = (last.end.max(pages.end), pages.start <= last.end);
            let length = end - last.start;
            if length <= FIRST_PIECE || (touch && length <= MAX_REQUEST) {
                last.end = end;
                continue;
            }
            pages.start = pages.start.max(last.end);
        }
        if !pages.is_empty() {
            requests.push(pages);
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;
    const MIB: u64 = 1 << 20;

    #[test]
    fn requests_are_whole_pages_and_near_ranges_are_one() {
        let asked = |ranges: &[Range<u64>]| together(ranges.iter(), PAGE);
        assert_eq!(asked(&[]), []);
        assert_eq!(asked(&[100_000..100_010, 5..10, 200_000..200_001]), [0..200_704]);
        assert_eq!(asked(&[3 * MIB..3 * MIB + 1, 5..10]), [0..PAGE, 3 * MIB..3 * MIB + PAGE]);
        // Longer than a request: the rest is not asked for, and nothing of the first part twice.
        assert_eq!(asked(&[0..20 * MIB, 7 * MIB..9 * MIB]), [0..MAX_REQUEST, MAX_REQUEST..9 * MIB]);
        // Within another one, in the same page, and at the end of all numbers.
        assert_eq!(asked(&[0..2 * MIB, MIB..MIB + 5, 2 * MIB + 1..2 * MIB + 2]), [0..2 * MIB + PAGE]);
        assert_eq!(asked(&[u64::MAX - 1..u64::MAX]), [u64::MAX - PAGE + 1..u64::MAX]);
        let requests = asked(&[0..5 * MIB, 5 * MIB - 1..12 * MIB, 11 * MIB..30 * MIB]);
        assert!(requests.windows(2).all(|pair| pair[0].end <= pair[1].start), "{requests:?}");
    }

    #[test]
    fn what_is_held_is_not_asked_for() {
        let wanted = Wanted::Ranges(vec![0..10, 5 * MIB..5 * MIB + 10, 10 * MIB..10 * MIB + 10]);
        let asked = wanted.requests(PAGE, Some(6 * MIB), |range| range.start == 0);
        assert_eq!(asked, [GetRange::Bounded(5 * MIB..5 * MIB + PAGE)]);
        assert_eq!(wanted.requests(PAGE, None, |_| true).len(), 3);
        assert_eq!(Wanted::Range(GetRange::Offset(6 * MIB)).requests(PAGE, Some(6 * MIB), |_| false), []);
        assert_eq!(Wanted::Range(GetRange::Suffix(0)).requests(PAGE, None, |_| false), []);
        assert_eq!(Wanted::Metadata.requests(PAGE, None, |_| false), []);
    }

    #[test]
    fn a_piece_gives_what_it_has_all_of() {
        let piece = Piece { start: 100, bytes: Bytes::from((0..100).collect::<Vec<u8>>()) };
        assert_eq!(piece.part(&(100..200)), Some(piece.bytes.clone()));
        assert_eq!(piece.part(&(110..112)).as_deref(), Some(&[10, 11][..]));
        for range in [99..101, 199..201, 0..1] {
            assert_eq!(piece.part(&range), None, "{range:?}");
        }
        let pieces = [piece.clone()];
        assert_eq!(beginning(&pieces, &(190..300)).as_deref(), Some(&[90, 91, 92, 93, 94, 95, 96, 97, 98, 99][..]));
        assert_eq!(beginning(&pieces, &(198..199)).as_deref(), Some(&[98][..]));
        assert_eq!([90..150, 200..300].map(|range| beginning(&pieces, &range)), [None, None]);
        let little = piece.part(&(110..112)).unwrap();
        assert!(!piece.bytes.as_ptr_range().contains(&little.as_ptr()), "a copy");
    }
}
