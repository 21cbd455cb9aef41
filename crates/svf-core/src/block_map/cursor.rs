//! Walks over the tree, in order of offset.

use std::iter::FusedIterator;
use std::ops::Range;

use super::tree::{Chunk, Tree};
use crate::gaps::GapsBetween;

/// The chunks from some place on. The way to the next leaf is looked up when it is needed, once in a hundred chunks.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    tree: &'a Tree,
    chunks: &'a [Chunk],
    index: usize,
    after: Option<u64>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tree: &'a Tree, offset: u64) -> Self {
        let place = tree.find(offset);
        let holds = place.before().is_some_and(|chunk| offset < chunk.end());
        Self { tree, chunks: place.chunks, index: place.rank - usize::from(holds), after: place.after }
    }
}

impl Iterator for Cursor<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        loop {
            if let Some(&chunk) = self.chunks.get(self.index) {
                self.index += 1;
                return Some(chunk);
            }
            *self = Self::new(self.tree, self.after?);
        }
    }
}

/// What is held, in unbroken runs, up to the first that reaches `limit`. Whole subtrees inside a run are skipped.
#[derive(Debug, Clone)]
pub(super) struct Runs<'a> {
    cursor: Cursor<'a>,
    limit: u64,
}

impl<'a> Runs<'a> {
    /// The runs that share a byte with `range`; the first may begin inside of a block, with a chunk.
    pub(super) fn new(tree: &'a Tree, range: Range<u64>) -> Self {
        let limit = if range.is_empty() { 0 } else { range.end };
        Self { cursor: tree.cursor(range.start), limit }
    }
}

impl Iterator for Runs<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        if self.limit == 0 {
            return None;
        }
        let first = self.cursor.next().filter(|chunk| chunk.start < self.limit)?;
        let mut end = first.end();
        while end < self.limit {
            match self.cursor.chunks.get(self.cursor.index) {
                Some(chunk) if chunk.start == end => {
                    self.cursor.index += 1;
                    end = chunk.end();
                }
                None if self.cursor.after == Some(end) => {
                    end = self.cursor.tree.run_end(end, self.limit);
                    self.cursor = self.cursor.tree.cursor(end);
                }
                _ => break,
            }
        }
        Some(first.start..end)
    }
}

impl FusedIterator for Runs<'_> {}

/// The blocks of a [`BlockMap`](crate::BlockMap), in order.
#[derive(Debug, Clone)]
pub struct Blocks<'a>(pub(super) Runs<'a>);

impl Iterator for Blocks<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        self.0.next()
    }
}

impl FusedIterator for Blocks<'_> {}

/// The parts of a range that a [`BlockMap`](crate::BlockMap) does not hold, in order.
#[derive(Debug, Clone)]
pub struct Need<'a>(pub(super) GapsBetween<Runs<'a>>);

impl Iterator for Need<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        self.0.next()
    }
}

impl FusedIterator for Need<'_> {}
