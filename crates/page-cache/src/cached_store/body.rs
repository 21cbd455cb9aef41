//! The bytes of a long result, in bounded memory: pieces, of which a few are on their way while one is taken.

use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::Result;
use object_store::path::Path;

use super::error;
use crate::cached_file::CachedFile;
use crate::fetch::MAX_REQUEST;

/// The first piece of many, in bytes: what comes of it is wanted soon.
pub(super) const FIRST_PIECE: u64 = 1 << 20;
/// So many are read at once.
const PIECES_AT_ONCE: usize = 3;

/// The bytes of pieces, read as the stream is: whoever drops it has a few of them read for nothing at most. `changed`
/// is told if the object is found to be another one.
pub(super) fn pieces(
    file: CachedFile,
    path: Path,
    changed: impl Fn() + Clone + Send + 'static,
    pieces: impl Iterator<Item = Range<u64>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes>> {
    let read = move |piece| {
        let (file, path, changed) = (file.clone(), path.clone(), changed.clone());
        async move {
            let read = file.bytes_async(piece).await;
            read.inspect_err(|error| {
                if error::is_change(error) {
                    changed()
                }
            })
            .map_err(|error| error::of_read(&path, error))
        }
    };
    stream::iter(pieces).map(read).buffered(PIECES_AT_ONCE).boxed()
}

/// Cuts a range that is longer than a request into pieces that double from the first one on, and end with pages.
pub(super) fn cut(range: Range<u64>, page_size: u64, first: u64) -> impl Iterator<Item = Range<u64>> + Send + 'static {
    let mut start = range.start;
    let mut length = if range.end - range.start <= MAX_REQUEST { MAX_REQUEST } else { first };
    std::iter::from_fn(move || {
        let left = range.end.checked_sub(start).filter(|&left| left > 0)?;
        let end = if left <= length { range.end } else { start + length };
        // At the last page that ends in it, if one does.
        let aligned = end - end % page_size;
        let end = if end < range.end && aligned > start { aligned } else { end };
        length = (length * 2).min(MAX_REQUEST);
        Some(std::mem::replace(&mut start, end)..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_and_end_with_pages() {
        let ranges = [0..0, 5..6, 100..MAX_REQUEST, 100..100_000_001, 7..90_000_000, 0..u64::MAX];
        for (range, page_size) in
            ranges.into_iter().flat_map(|range| [4096, 64 << 20].map(|size| (range.clone(), size)))
        {
            let mut at = range.start;
            for piece in cut(range.clone(), page_size, FIRST_PIECE).take(20) {
                assert!(piece.start == at && piece.end > at && piece.end <= range.end);
                assert!(piece.end - piece.start <= MAX_REQUEST);
                let is_first_of_many = at == range.start && piece != range;
                assert!(!is_first_of_many || piece.end - piece.start <= FIRST_PIECE);
                at = piece.end;
                assert!(at == range.end || at % page_size == 0 || page_size > MAX_REQUEST);
            }
            assert!(at == range.end || range.end > 20 * FIRST_PIECE);
        }
    }
}
