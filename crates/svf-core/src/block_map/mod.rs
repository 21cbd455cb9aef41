//! Byte ranges with their bytes: touching blocks are one block.
//!
//! ```text
//! tree     where the chunks lie: start, length, slot          leaf_edit: one leaf while it is changed
//! slab     by slot: the bytes, the stamp of their last use    memory: what the bytes are made of
//! cursor   walks over the tree: chunks, runs, blocks, gaps
//! write, remove, recency: what changes a map                  here: what reads it
//! eviction_queue: in which order chunks go
//! ```

mod cursor;
mod eviction_queue;
mod leaf_edit;
pub(crate) mod memory;
mod options;
mod recency;
mod remove;
mod slab;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use cursor::Runs;
pub use cursor::{Blocks, Need};
use eviction_queue::EvictionQueue;
pub use options::{BlockMapOptions, OnOverlap, Written};
pub(crate) use recency::{Evicted, LATEST};
use slab::Slab;
use tree::{Chunk, Tree};
pub(crate) use write::{GATHERED, compact};

use crate::NeedOptions;
use crate::chunks::Chunks;
use crate::error::Missing;
use crate::gaps::GapsBetween;

/// No memory holds more bytes in one piece.
const LONGEST_READ: u64 = isize::MAX as u64;

/// The bytes of a file that have arrived, keyed by their offset in it.
///
/// Blocks that touch or overlap are one block, always, whatever the order in which they were written. A block is a
/// run of chunks, of pieces that were written, so a write never copies the block that it joins:
///
/// ```text
/// chunks   14 ─► "ABCDEF"   20 ─► "GHIJ"     40 ─► "XY"
/// blocks  [14,                        24)   [40,    42)
/// ```
///
/// Finding, adding and removing cost O(log n) in the number of chunks, however long the blocks are, plus the chunks
/// that are added, removed or read. Beyond the data, memory of about 70 bytes a chunk is taken, and the allocator's
/// own for each.
///
/// # Examples
///
/// ```
/// use svf_core::BlockMap;
///
/// let mut map = BlockMap::new();
/// map.write(14, b"ABCDEF")?;
/// map.write(24, b"KLMN")?;
/// map.write(20, b"GHIJ")?;
/// assert_eq!(map.blocks().collect::<Vec<_>>(), [14..28]);
/// assert_eq!(map.read(18..26)?, "EFGHIJKL");
/// assert!(map.read(8..16).is_err());
/// # Ok::<(), svf_core::Error>(())
/// ```
pub struct BlockMap {
    tree: Tree,
    slab: Slab,
    /// See [`recency`].
    epoch: AtomicU64,
    eviction_queue: EvictionQueue,
    evicted: Evicted,
    options: BlockMapOptions,
    /// A limit beside that of the options, that somebody above keeps.
    limit_above: Option<u64>,
}

impl BlockMap {
    /// An empty map that rejects conflicting writes.
    pub const fn new() -> Self {
        Self::with_options(BlockMapOptions::new())
    }

    /// An empty map with another policy for writes over bytes that are held already.
    pub const fn with_on_overlap(on_overlap: OnOverlap) -> Self {
        Self::with_options(BlockMapOptions::new().on_overlap(on_overlap))
    }

    /// An empty map with these options.
    pub const fn with_options(options: BlockMapOptions) -> Self {
        Self {
            tree: Tree::new(),
            slab: Slab::new(),
            epoch: AtomicU64::new(0),
            eviction_queue: EvictionQueue::new(),
            evicted: Evicted { chunks: 0, bytes: 0 },
            options,
            limit_above: None,
        }
    }

    /// Whether every byte of `range` is held. An empty range always is. O(log n), whatever its length.
    #[doc(alias = "has_data")]
    #[doc(alias = "has")]
    pub fn contains(&self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return true;
        }
        let place = self.tree.find(range.start);
        match place.before() {
            Some(chunk) if range.end <= chunk.end() => true,
            Some(chunk) if range.start < chunk.end() => range.end <= self.tree.run_end(range.start, range.end),
            _ => false,
        }
    }

    /// The parts of `range` that are not held, in order. O(log n) each; inside of a block, whatever its length.
    ///
    /// [`NeedOptions::plan`] makes requests of them, and [`need_requests`](Self::need_requests) is both at once.
    pub fn need(&self, range: Range<u64>) -> Need<'_> {
        Need(GapsBetween::new(Runs::new(&self.tree, range.clone()), range))
    }

    /// The requests to send for what is missing of `range`.
    ///
    /// [`greedy`](NeedOptions::greedy) counts only if it exceeds the length of `range`.
    ///
    /// # Examples
    ///
    /// ```
    /// use svf_core::{BlockMap, NeedOptions};
    ///
    /// let mut map = BlockMap::new();
    /// for offset in [8, 16, 32] {
    ///     map.write(offset, b"held")?;
    /// }
    /// assert_eq!(map.need_requests(8..48, &NeedOptions::new().greedy(64)), [12..76]);
    /// assert_eq!(map.need_requests(8..48, &NeedOptions::new().greedy(40)), [12..16, 20..32, 36..48]);
    /// # Ok::<(), svf_core::Error>(())
    /// ```
    #[doc(alias = "greedy_length")]
    pub fn need_requests(&self, range: Range<u64>, options: &NeedOptions) -> Vec<Range<u64>> {
        options.for_length(range.end.saturating_sub(range.start)).plan(self.need(range))
    }

    /// The requests to send for what is missing of all `ranges`, which may come in any order and overlap.
    pub fn need_many(&self, ranges: impl IntoIterator<Item = Range<u64>>, options: &NeedOptions) -> Vec<Range<u64>> {
        options.plan(ranges.into_iter().flat_map(|range| self.need(range)))
    }

    /// The bytes of `range`: without a copy if one chunk holds them all, else in one copy.
    ///
    /// The result stays valid whatever happens to the map. An empty range gives empty bytes.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held; of a range that is longer than any memory, with what lies
    /// behind the first `isize::MAX` bytes, if all is held.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, Missing> {
        let len = range.end.saturating_sub(range.start) as usize;
        let (mut whole, mut copy) = (Bytes::new(), Vec::new());
        self.visit_held(range, |bytes, part| {
            if part.len() == len {
                whole = bytes.slice(part);
            } else {
                if copy.is_empty() {
                    copy.reserve_exact(len);
                }
                copy.extend_from_slice(&bytes[part]);
            }
        })?;
        Ok(match (copy.is_empty(), self.options.scrub) {
            (true, _) => whole,
            (false, true) => memory::scrubbed(copy),
            (false, false) => copy.into(),
        })
    }

    /// Fills `out` with the bytes at `offset`.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held; `out` is unchanged then.
    pub fn read_into(&self, offset: u64, out: &mut [u8]) -> Result<(), Missing> {
        // No byte from 2^64 - 1 on can be held, so this read cannot be answered whatever is held before.
        let Some(end) = offset.checked_add(out.len() as u64) else {
            let requested = offset..u64::MAX;
            let first = self.need(requested.clone()).next().unwrap_or(u64::MAX..u64::MAX);
            return Err(Missing { requested, first });
        };
        let mut rest = out;
        self.visit_held(offset..end, |bytes, part| {
            if let Some(out) = rest.split_off_mut(..part.len()) {
                out.copy_from_slice(&bytes[part]);
            }
        })
    }

    /// The bytes of `range` as the chunks in which they are held; nothing is copied.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held.
    pub fn chunks(&self, range: Range<u64>) -> Result<Chunks, Missing> {
        let mut chunks = Chunks::default();
        self.visit_held(range, |bytes, part| chunks.push(bytes.slice(part)))?;
        Ok(chunks)
    }

    /// What is held of a range, with its offsets; nothing is copied. It counts as used.
    pub(crate) fn held(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        let epoch = self.epoch();
        self.overlapping(range.clone()).map(move |chunk| {
            let slot = self.slab.get(chunk.slot);
            slot.touch(epoch);
            (chunk.start.max(range.start), slot.bytes.slice(part_of(&chunk, &range)))
        })
    }

    /// The chunks in order: offset, bytes, and the epoch of the last use.
    #[cfg(feature = "serde")]
    pub(crate) fn chunks_with_epochs(&self) -> impl Iterator<Item = (u64, Bytes, u64)> + '_ {
        self.tree.cursor(0).map(|chunk| {
            let slot = self.slab.get(chunk.slot);
            (chunk.start, slot.bytes.clone(), slot.stamp())
        })
    }

    /// The blocks, in order. O(log n) each.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks(Runs::new(&self.tree, 0..u64::MAX))
    }

    /// The block that holds the byte at `offset`. O(log n), whatever its length.
    #[doc(alias = "block_size")]
    pub fn block_at(&self, offset: u64) -> Option<Range<u64>> {
        self.tree.find(offset).before().filter(|chunk| offset < chunk.end())?;
        Some(self.tree.run_start(offset)..self.tree.run_end(offset, u64::MAX))
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        drop(self.take());
    }

    /// Takes everything out, and leaves an empty map that behaves as this one did.
    #[must_use = "to drop what was held, clear the map"]
    pub fn take(&mut self) -> Self {
        let empty = Self {
            epoch: AtomicU64::new(self.epoch()),
            evicted: self.evicted,
            limit_above: self.limit_above,
            ..Self::with_options(self.options)
        };
        std::mem::replace(self, empty)
    }

    /// How many bytes are held. O(1).
    pub fn num_bytes(&self) -> u64 {
        self.tree.root.bytes
    }

    /// How many blocks there are. O(1).
    pub fn num_blocks(&self) -> usize {
        self.tree.num_blocks
    }

    /// How many chunks the blocks consist of. O(1).
    pub fn num_chunks(&self) -> usize {
        self.slab.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.num_blocks() == 0
    }

    /// The end of the last block, 0 if nothing is held.
    #[doc(alias = "last_file_position")]
    pub fn end(&self) -> u64 {
        self.tree.root.end
    }

    /// How many bytes of memory the map has allocated: the data, room for more of it, and all that finds it.
    ///
    /// The whole allocation of `Bytes` that were taken over counts, as far as it is known: if nobody else shared it
    /// at that time. `Bytes` that were handed out may keep more alive, and the allocator has memory of its own for
    /// each allocation. O(n) in a hundredth of the chunks.
    #[doc(alias = "size_of")]
    pub fn memory_size(&self) -> usize {
        size_of::<Self>() + self.tree.memory_size() + self.slab.memory_size() + self.eviction_queue.memory_size()
    }

    /// What a write does with bytes that are held already.
    pub fn on_overlap(&self) -> OnOverlap {
        self.options.on_overlap
    }

    /// How this map behaves.
    #[doc(alias = "config")]
    pub fn options(&self) -> BlockMapOptions {
        self.options
    }

    /// Reads a range, chunk by chunk, if all of it is held.
    fn visit_held(&self, range: Range<u64>, mut visit: impl FnMut(&Bytes, Range<usize>)) -> Result<(), Missing> {
        // The same memory can be held at many offsets; nothing is longer than memory for all that.
        if LONGEST_READ < range.end.saturating_sub(range.start) {
            let first = self.need(range.clone()).next().unwrap_or(range.start + LONGEST_READ..range.end);
            return Err(Missing { requested: range, first });
        }
        let epoch = self.epoch();
        let mut visit = |chunk: Chunk| {
            let slot = self.slab.get(chunk.slot);
            slot.touch(epoch);
            visit(&slot.bytes, part_of(&chunk, &range));
        };
        if let Some(chunks) = self.chunks_in_one_leaf(&range) {
            chunks.iter().copied().for_each(visit);
            return Ok(());
        }
        if !self.contains(range.clone()) {
            let first = self.need(range.clone()).next().unwrap_or_else(|| range.clone());
            return Err(Missing { requested: range, first });
        }
        self.overlapping(range.clone()).for_each(&mut visit);
        Ok(())
    }

    /// The chunks that hold all of a range, if they lie in one leaf, as those of most reads do: found in one descent.
    fn chunks_in_one_leaf(&self, range: &Range<u64>) -> Option<&[Chunk]> {
        let place = self.tree.find(range.start);
        let first = place.rank.checked_sub(1)?;
        let mut end = place.before()?.end();
        if range.is_empty() || end <= range.start {
            return None;
        }
        let mut last = first;
        while end < range.end {
            last += 1;
            end = place.chunks.get(last).filter(|chunk| chunk.start == end)?.end();
        }
        place.chunks.get(first..=last)
    }

    /// The chunks that share a byte with `range`, whole.
    fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = Chunk> + '_ {
        let end = if range.is_empty() { 0 } else { range.end };
        self.tree.cursor(range.start).take_while(move |chunk| chunk.start < end)
    }
}

/// The part of a chunk that lies in `range`, which it overlaps.
fn part_of(chunk: &Chunk, range: &Range<u64>) -> Range<usize> {
    let part = chunk.start.max(range.start)..chunk.end().min(range.end);
    (part.start - chunk.start) as usize..(part.end - chunk.start) as usize
}

impl Default for BlockMap {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for BlockMap {
    /// The bytes are shared, not copied.
    fn clone(&self) -> Self {
        Self {
            tree: self.tree.clone(),
            slab: self.slab.clone(),
            epoch: AtomicU64::new(self.epoch()),
            eviction_queue: EvictionQueue::new(),
            evicted: self.evicted,
            options: self.options,
            limit_above: None,
        }
    }
}

/// Two maps are equal if they hold the same bytes at the same offsets, in whatever chunks.
impl PartialEq for BlockMap {
    fn eq(&self, other: &Self) -> bool {
        self.num_bytes() == other.num_bytes()
            && self.num_blocks() == other.num_blocks()
            && self.blocks().eq(other.blocks())
            && self.tree.cursor(0).all(|chunk| {
                let mut rest = &self.slab.get(chunk.slot).bytes[..];
                let range = chunk.start..chunk.end();
                other.overlapping(range.clone()).all(|part| {
                    let theirs = &other.slab.get(part.slot).bytes[part_of(&part, &range)];
                    rest.split_off(..theirs.len()).is_some_and(|ours| ours == theirs)
                })
            })
    }
}

impl Eq for BlockMap {}

impl fmt::Debug for BlockMap {
    /// The first blocks and the options, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockMap")
            .field("blocks", &self.blocks().take(16).collect::<Vec<_>>())
            .field("num_blocks", &self.num_blocks())
            .field("num_bytes", &self.num_bytes())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
