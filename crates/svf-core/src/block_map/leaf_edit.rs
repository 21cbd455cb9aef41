//! One leaf of the tree while it is changed.

use super::tree::{Chunk, LEAF};

/// A leaf, the place in it where an offset belongs, and what lies around it, so that every change keeps the counts.
#[derive(Debug)]
pub(super) struct LeafEdit<'a> {
    pub(super) chunks: &'a mut Vec<Chunk>,
    /// How many chunks of the leaf start at or before the offset.
    pub(super) index: usize,
    /// The end of the last chunk before the leaf.
    pub(super) before: Option<u64>,
    /// The start of the first chunk behind the leaf.
    pub(super) after: Option<u64>,
    pub(super) bytes: &'a mut u64,
    pub(super) num_blocks: &'a mut usize,
}

impl LeafEdit<'_> {
    pub(super) fn get(&self, index: usize) -> Option<Chunk> {
        self.chunks.get(index).copied()
    }

    /// The last chunk that starts at or before the offset, and its index. If there is none in this leaf, there is
    /// none before it either.
    pub(super) fn floor(&self) -> Option<(usize, Chunk)> {
        let index = self.index.checked_sub(1)?;
        Some((index, self.get(index)?))
    }

    /// Where the next chunk behind the offset starts, in this leaf or the next.
    pub(super) fn next_start(&self) -> Option<u64> {
        self.get(self.index).map(|chunk| chunk.start).or(self.after)
    }

    pub(super) fn insert(&mut self, index: usize, chunk: Chunk) {
        let len = self.chunks.len();
        if len == self.chunks.capacity() && len >= LEAF / 8 {
            self.chunks.reserve_exact(LEAF.saturating_sub(len));
        }
        self.chunks.insert(index, chunk);
        *self.bytes += u64::from(chunk.len);
        *self.num_blocks += 1;
        *self.num_blocks -= self.touching(index);
    }

    pub(super) fn remove(&mut self, index: usize) -> Chunk {
        *self.num_blocks += self.touching(index);
        *self.num_blocks -= 1;
        let chunk = self.chunks.remove(index);
        *self.bytes -= u64::from(chunk.len);
        chunk
    }

    /// Gives a chunk other bounds, between those of its neighbours.
    pub(super) fn set(&mut self, index: usize, chunk: Chunk) {
        *self.num_blocks += self.touching(index);
        *self.bytes -= u64::from(self.chunks[index].len);
        self.chunks[index] = chunk;
        *self.bytes += u64::from(chunk.len);
        *self.num_blocks -= self.touching(index);
    }

    /// How many neighbours, none to two, a chunk touches.
    fn touching(&self, index: usize) -> usize {
        let chunk = self.chunks[index];
        let before = if index == 0 { self.before } else { Some(self.chunks[index - 1].end()) };
        let after = self.get(index + 1).map(|next| next.start).or(self.after);
        usize::from(before == Some(chunk.start)) + usize::from(after == Some(chunk.end()))
    }
}
