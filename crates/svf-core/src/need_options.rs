//! From missing ranges to requests worth sending.

use std::ops::Range;

/// How missing ranges become requests: fewer, larger, aligned, and never beyond the end of the file.
///
/// A request to a server costs a round trip, whatever its size, so asking for a little more than is needed is often
/// the cheaper way. The rules are applied in this order:
///
/// 1. **greedy**: a run of missing bytes is asked for at least `greedy` bytes long; a later run that starts at or
///    before the end reached so far becomes part of it;
/// 2. **align**: starts go down and ends go up to multiples of `align`;
/// 3. **max_gap**: two requests with at most so many bytes between them become one;
/// 4. **end_of_file**: nothing at or behind it is asked for;
/// 5. **max_len**: what is longer is split, at multiples of `align`.
///
/// The default changes nothing but the order: ranges are sorted, and those that touch or overlap are joined.
///
/// # Examples
///
/// ```
/// use svf_core::NeedOptions;
///
/// let missing = [100..200, 4_000..4_100, 70_000..70_001];
/// let requests = NeedOptions::new().align(4_096).max_gap(65_536).end_of_file(70_500).plan(missing);
/// assert_eq!(requests, [0..70_500]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct NeedOptions {
    greedy: u64,
    align: u64,
    max_gap: u64,
    end_of_file: Option<u64>,
    max_len: Option<u64>,
}

impl NeedOptions {
    /// Options that change nothing but the order.
    pub const fn new() -> Self {
        Self { greedy: 0, align: 1, max_gap: 0, end_of_file: None, max_len: None }
    }

    /// Asks for at least `bytes` from the start of each run of missing bytes. 0, the default, asks for no more than
    /// is missing.
    #[doc(alias = "greedy_length")]
    #[must_use = "the options are returned, not changed in place"]
    pub const fn greedy(self, bytes: u64) -> Self {
        Self { greedy: bytes, ..self }
    }

    /// Starts and ends requests at multiples of `bytes`, which need not be a power of two. 0 and 1 align nothing.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn align(self, bytes: u64) -> Self {
        Self { align: bytes, ..self }
    }

    /// Joins requests that have at most `bytes` between them; the bytes between are then asked for too.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn max_gap(self, bytes: u64) -> Self {
        Self { max_gap: bytes, ..self }
    }

    /// The length of the file, if it is known: nothing at or behind it is asked for.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn end_of_file(self, offset: u64) -> Self {
        Self { end_of_file: Some(offset), ..self }
    }

    /// Splits requests that are longer than `bytes`, at multiples of the alignment: no piece is longer than the
    /// largest multiple of the alignment that fits into `bytes`, or than one alignment if none fits. 0 is taken as 1.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn max_len(self, bytes: u64) -> Self {
        Self { max_len: Some(bytes), ..self }
    }

    /// The requests to send for these missing ranges: in order, disjoint, and covering every missing byte before
    /// the end of the file.
    ///
    /// The ranges may come in any order and overlap; empty ones are dropped. O(n log n) in their number, O(n) if
    /// they come sorted; the result can be longer only by what `max_len` splits, which is a lot if a long range is
    /// split into short pieces.
    pub fn plan(&self, missing: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
        let mut requests: Vec<_> = missing.into_iter().filter(|range| !range.is_empty()).collect();
        requests.sort_by_key(|range| range.start);
        // In place, since most calls have one range, for which nothing more is allocated.
        let greedy = |range: &Range<u64>| range.start..range.end.max(range.start.saturating_add(self.greedy));
        requests.first_mut().into_iter().for_each(|first| *first = greedy(first));
        requests.dedup_by(|range, run| {
            // It begins where a run is fetched anyway, so it begins no greedy run of its own.
            let is_fetched = range.start <= run.end;
            if is_fetched {
                run.end = run.end.max(range.end);
            } else {
                *range = greedy(range);
            }
            is_fetched
        });

        requests.iter_mut().for_each(|run| *run = self.align_outward(run.clone()));
        requests.dedup_by(|next, last| {
            let is_near = next.start <= last.end.saturating_add(self.max_gap);
            if is_near {
                last.end = last.end.max(next.end);
            }
            is_near
        });

        let end_of_file = self.end_of_file.unwrap_or(u64::MAX);
        requests.iter_mut().for_each(|request| request.end = request.end.min(end_of_file));
        requests.retain(|request| !request.is_empty());
        if requests.iter().all(|request| self.first_piece(request) == *request) {
            return requests;
        }
        requests.into_iter().flat_map(|request| self.pieces(request)).collect()
    }

    /// Options that split nothing, for who splits the requests one by one as they are sent.
    pub(crate) const fn unsplit(self) -> Self {
        Self { max_len: None, ..self }
    }

    /// The first piece of a request that is not split yet; all of it without a `max_len`.
    pub(crate) fn first_piece(&self, range: &Range<u64>) -> Range<u64> {
        let Some(max_len) = self.max_len else {
            return range.clone();
        };
        let align = self.align.max(1);
        let piece = (max_len - max_len % align).max(align);
        // Counted from a multiple of the alignment, a multiple of it ends at one.
        let start = range.start - range.start % align;
        range.start..start.saturating_add(piece).min(range.end)
    }

    /// The same for a request of `len` bytes: being greedy for less than was asked for means nothing.
    pub(crate) const fn for_length(self, len: u64) -> Self {
        if len < self.greedy { self } else { self.greedy(0) }
    }

    pub(crate) const fn known_end(&self) -> Option<u64> {
        self.end_of_file
    }

    /// An end that cannot be rounded up within `u64` becomes the greatest offset.
    fn align_outward(&self, range: Range<u64>) -> Range<u64> {
        let align = self.align.max(1);
        let start = range.start - range.start % align;
        let end = range.end.checked_next_multiple_of(align).unwrap_or(u64::MAX);
        start..end
    }

    fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let mut rest = range;
        std::iter::from_fn(move || {
            let piece = self.first_piece(&rest);
            rest.start = piece.end;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

impl Default for NeedOptions {
    fn default() -> Self {
        Self::new()
    }
}
