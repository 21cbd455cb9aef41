//! Removal: of whole chunks, and of parts of them.

use std::ops::Range;

use bytes::Bytes;

use super::leaf_edit::LeafEdit;
use super::slab::{Slab, Slot};
use super::tree::Chunk;
use super::write::GROWN;
use super::{BlockMap, memory};

impl BlockMap {
    /// Removes what is held of `range`, splitting blocks that it cuts, and returns how many bytes were removed.
    ///
    /// `Bytes` that were handed out stay valid. What remains of a chunk that is cut stays where it is; it is copied if
    /// less than half of its allocation remains and that costs no more than 64 KiB or the bytes removed, and always
    /// with [`scrub`](crate::BlockMapOptions::scrub). O(log n) a hundred chunks.
    #[doc(alias = "erase")]
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        let before = self.num_bytes();
        let scrub = self.options.scrub;
        while !range.is_empty()
            && let Some(first) = self.tree.cursor(range.start).next()
            && first.start < range.end
        {
            let slab = &mut self.slab;
            // The range has two ends, so it cuts two chunks at most, or one into two.
            let mut left = [None; 2];
            self.tree.change(first.start, |leaf| {
                let Some((first, _)) = leaf.floor() else {
                    return;
                };
                let mut index = first;
                while let Some(chunk) = leaf.get(index).filter(|chunk| chunk.start < range.end) {
                    if chunk.start < range.start || range.end < chunk.end() {
                        let inside = chunk.start < range.start && range.end < chunk.end();
                        let stamp = slab.get(chunk.slot).stamp();
                        cut(leaf, slab, index, &range, scrub);
                        if chunk.start < range.start {
                            left[0] = Some((stamp, chunk.start));
                        }
                        if range.end < chunk.end() {
                            left[1] = Some((stamp, range.end));
                        }
                        index += 1;
                        // The leaf has room for one more chunk, and what is cut in its middle is the last one.
                        if inside {
                            return;
                        }
                    } else {
                        leaf.remove(index);
                        slab.remove(chunk.slot);
                    }
                }
            });
            left.into_iter().flatten().for_each(|used| self.eviction_queue.add_cut(used, self.slab.len()));
        }
        before - self.num_bytes()
    }

    /// Removes the whole block that holds the byte at `offset`, and returns what it was.
    #[doc(alias = "erase")]
    pub fn remove_block(&mut self, offset: u64) -> Option<Range<u64>> {
        let block = self.block_at(offset)?;
        self.remove(block.clone());
        Some(block)
    }
}

/// Takes `range` out of a chunk that is not wholly inside of it.
fn cut(leaf: &mut LeafEdit<'_>, slab: &mut Slab, index: usize, range: &Range<u64>, scrub: bool) {
    let Some(chunk) = leaf.get(index) else {
        return;
    };
    let whole = slab.remove(chunk.slot);
    let left_len = range.start.saturating_sub(chunk.start) as usize;
    let right_start = whole.bytes.len() - chunk.end().saturating_sub(range.end) as usize;
    let removed = right_start - left_len;
    let left = whole.bytes.slice(..left_len);
    let right = whole.bytes.slice(right_start..);

    let is_copied = |part: &Bytes| {
        let is_cheap = part.len() as u64 <= GROWN || part.len() <= removed;
        scrub || (is_cheap && part.len() * 2 <= whole.charge())
    };
    // The allocation is counted once, with the last part that keeps it.
    let right_keeps = !right.is_empty() && !is_copied(&right);
    let content = |part: &Bytes, charge: usize| {
        if is_copied(part) {
            Slot::new(memory::copy_of(&[part], scrub), part.len(), true, whole.stamp())
        } else {
            Slot::new(part.clone(), charge, false, whole.stamp())
        }
    };
    let left_keeps = !left.is_empty() && !is_copied(&left);
    let (left_charge, right_charge) = match (left_keeps, right_keeps) {
        (true, true) => (left.len(), whole.charge() - left.len()),
        _ => (whole.charge(), whole.charge()),
    };
    let mut index = index;
    let mut is_set = false;
    for (start, part, charge) in [(chunk.start, left, left_charge), (range.end, right, right_charge)] {
        if part.is_empty() {
            continue;
        }
        let piece = Chunk { start, len: part.len() as u32, slot: slab.insert(content(&part, charge)) };
        if is_set {
            leaf.insert(index, piece);
        } else {
            leaf.set(index, piece);
        }
        is_set = true;
        index += 1;
    }
}
