//! Byte ranges with their bytes: touching blocks are one block.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;

use bytes::Bytes;

use crate::chunks::Chunks;
use crate::error::{Missing, WriteError};
use crate::gaps::GapsBetween;

/// What a write does with bytes that are held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnOverlap {
    /// Every overlapping byte is compared; a difference is a [`WriteError::Conflict`], and nothing has changed.
    #[default]
    Reject,
    /// Held bytes stay as they are; only what was missing is written.
    Keep,
    /// The new bytes take the place of the held ones.
    Replace,
}

/// What a write has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Written {
    /// How many bytes were not held before and are now.
    pub new: u64,
    /// How many bytes were held already.
    pub overlapping: u64,
}

/// The bytes of a file that have arrived, keyed by their offset in it.
///
/// Blocks that touch or overlap are one block, always, whatever the order in which they were written. A block is a
/// run of chunks, one for each piece that was written, so a write never copies the block that it joins:
///
/// ```text
/// chunks   14 ─► "ABCDEF"   20 ─► "GHIJ"     40 ─► "XY"
/// blocks  [14,                        24)   [40,    42)
/// ```
///
/// Finding, adding and removing cost O(log n) in the number of chunks, plus the chunks that are walked over.
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
#[derive(Clone, Default)]
pub struct BlockMap {
    /// By offset; none is empty, none overlap; they may touch, and then belong to one block.
    chunks: BTreeMap<u64, Bytes>,
    num_bytes: u64,
    num_blocks: usize,
    on_overlap: OnOverlap,
}

impl BlockMap {
    /// An empty map that rejects conflicting writes.
    pub const fn new() -> Self {
        Self::with_on_overlap(OnOverlap::Reject)
    }

    /// An empty map with another policy for writes over bytes that are held already.
    pub const fn with_on_overlap(on_overlap: OnOverlap) -> Self {
        Self { chunks: BTreeMap::new(), num_bytes: 0, num_blocks: 0, on_overlap }
    }

    /// Writes a copy of `data` at `offset`. Empty data changes nothing.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if a byte that is held differs and the policy is [`OnOverlap::Reject`];
    /// [`WriteError::OffsetOverflow`] if the data ends beyond 2^64 - 1. Nothing has changed then.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<Written, WriteError> {
        let range = self.check_write(offset, data)?;
        // Only what will be stored is copied, each missing part by itself.
        self.store(range, |part| Bytes::copy_from_slice(&data[part]))
    }

    /// Writes `data` at `offset` and takes it over without copying.
    ///
    /// The map then keeps alive whatever allocation `data` is a part of.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_bytes(&mut self, offset: u64, data: Bytes) -> Result<Written, WriteError> {
        let range = self.check_write(offset, &data)?;
        self.store(range, |part| data.slice(part))
    }

    /// Whether every byte of `range` is held. An empty range always is.
    pub fn contains(&self, range: Range<u64>) -> bool {
        self.need(range).next().is_none()
    }

    /// The parts of `range` that are not held, in order.
    ///
    /// [`NeedOptions::plan`](crate::NeedOptions::plan) makes requests of them.
    pub fn need(&self, range: Range<u64>) -> Need<'_> {
        Need(GapsBetween::new(ChunkRanges(self.overlapping(range.clone())), range))
    }

    /// The bytes of `range`: without a copy if one chunk holds them all, else in one copy.
    ///
    /// The result stays valid whatever happens to the map. An empty range gives empty bytes.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, Missing> {
        let mut chunks = self.chunks(range)?;
        match chunks.len() {
            0 | 1 => Ok(chunks.next().unwrap_or_default()),
            _ => {
                let mut bytes = Vec::with_capacity(bytes::Buf::remaining(&chunks));
                chunks.for_each(|chunk| bytes.extend_from_slice(&chunk));
                Ok(bytes.into())
            }
        }
    }

    /// Fills `out` with the bytes at `offset`.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held; `out` is unchanged then.
    pub fn read_into(&self, offset: u64, out: &mut [u8]) -> Result<(), Missing> {
        let mut rest = out;
        // No byte from 2^64 - 1 on can be held, so this read cannot be answered whatever is held before.
        let Some(end) = offset.checked_add(rest.len() as u64) else {
            let requested = offset..u64::MAX;
            let first = self.need(requested.clone()).next().unwrap_or(u64::MAX..u64::MAX);
            return Err(Missing { requested, first });
        };
        for chunk in self.chunks(offset..end)? {
            let (part, behind) = rest.split_at_mut(chunk.len());
            part.copy_from_slice(&chunk);
            rest = behind;
        }
        Ok(())
    }

    /// The bytes of `range` as the chunks in which they are held; nothing is copied.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held.
    pub fn chunks(&self, range: Range<u64>) -> Result<Chunks, Missing> {
        if let Some(first) = self.need(range.clone()).next() {
            return Err(Missing { requested: range, first });
        }
        let mut chunks = Chunks::default();
        for (&start, chunk) in self.overlapping(range.clone()) {
            chunks.push(chunk.slice(part_of(start, chunk, &range)));
        }
        Ok(chunks)
    }

    /// The blocks, in order. O(chunks) for all of them.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks(ChunkRanges(self.chunks.range(..)))
    }

    /// The block that holds the byte at `offset`. O(chunks of the block).
    pub fn block_at(&self, offset: u64) -> Option<Range<u64>> {
        let mut back = self.chunks.range(..=offset).rev().map(|(&start, chunk)| range_of(start, chunk));
        let holding = back.next().filter(|chunk| offset < chunk.end)?;
        let start =
            back.try_fold(holding.start, |start, chunk| if chunk.end == start { Ok(chunk.start) } else { Err(start) });
        let mut forth = self.chunks.range(holding.end..).map(|(&start, chunk)| range_of(start, chunk));
        let end = forth.try_fold(holding.end, |end, chunk| if chunk.start == end { Ok(chunk.end) } else { Err(end) });
        let (Ok(start) | Err(start), Ok(end) | Err(end)) = (start, end);
        Some(start..end)
    }

    /// Removes what is held of `range`, splitting blocks that it cuts, and returns how many bytes were removed.
    ///
    /// `Bytes` that were handed out stay valid.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        let cut: Vec<u64> = self.overlapping(range.clone()).map(|(&start, _)| start).collect();
        let before = self.num_bytes;
        for start in cut {
            let Some(chunk) = self.take_chunk(start) else {
                continue;
            };
            let part = part_of(start, &chunk, &range);
            self.insert_chunk(start + part.end as u64, chunk.slice(part.end..));
            self.insert_chunk(start, chunk.slice(..part.start));
        }
        before - self.num_bytes
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        *self = Self::with_on_overlap(self.on_overlap);
    }

    /// How many bytes are held. O(1).
    pub fn num_bytes(&self) -> u64 {
        self.num_bytes
    }

    /// How many blocks there are. O(1).
    pub fn num_blocks(&self) -> usize {
        self.num_blocks
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The end of the last block, 0 if nothing is held.
    pub fn end(&self) -> u64 {
        self.chunks.last_key_value().map_or(0, |(&start, chunk)| range_of(start, chunk).end)
    }

    /// What a write does with bytes that are held already.
    pub fn on_overlap(&self) -> OnOverlap {
        self.on_overlap
    }

    /// The range of a write that may be done.
    fn check_write(&self, offset: u64, data: &[u8]) -> Result<Range<u64>, WriteError> {
        let len = data.len() as u64;
        let end = offset.checked_add(len).ok_or(WriteError::OffsetOverflow { offset, len })?;
        if self.on_overlap == OnOverlap::Reject {
            self.compare(offset..end, data)?;
        }
        Ok(offset..end)
    }

    fn compare(&self, range: Range<u64>, data: &[u8]) -> Result<(), WriteError> {
        for (&start, chunk) in self.overlapping(range.clone()) {
            let held = &chunk[part_of(start, chunk, &range)];
            let offset = start.max(range.start);
            let written = &data[(offset - range.start) as usize..][..held.len()];
            if held == written {
                continue;
            }
            let difference = held.iter().zip(written).enumerate().find(|(_, (held, written))| held != written);
            if let Some((index, (&held, &written))) = difference {
                return Err(WriteError::Conflict { offset: offset + index as u64, held, written });
            }
        }
        Ok(())
    }

    /// Stores the parts of `range` that the policy wants stored; `part_of_data` gives their bytes by their position
    /// in the data of the write.
    fn store(
        &mut self,
        range: Range<u64>,
        part_of_data: impl Fn(Range<usize>) -> Bytes,
    ) -> Result<Written, WriteError> {
        let missing: Vec<_> = self.need(range.clone()).collect();
        let new: u64 = missing.iter().map(|gap| gap.end - gap.start).sum();
        let stored = if self.on_overlap == OnOverlap::Replace {
            self.remove(range.clone());
            vec![range.clone()]
        } else {
            missing
        };
        for gap in stored {
            let part = (gap.start - range.start) as usize..(gap.end - range.start) as usize;
            self.insert_chunk(gap.start, part_of_data(part));
        }
        Ok(Written { new, overlapping: (range.end - range.start) - new })
    }

    /// Adds a chunk where nothing is held, and keeps the counts.
    fn insert_chunk(&mut self, start: u64, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.num_bytes += chunk.len() as u64;
        let neighbours = self.touching(range_of(start, &chunk));
        self.num_blocks = self.num_blocks + 1 - neighbours;
        self.chunks.insert(start, chunk);
    }

    /// Takes out the chunk that starts at `start`, and keeps the counts.
    fn take_chunk(&mut self, start: u64) -> Option<Bytes> {
        let chunk = self.chunks.remove(&start)?;
        self.num_bytes -= chunk.len() as u64;
        let neighbours = self.touching(range_of(start, &chunk));
        self.num_blocks = self.num_blocks + neighbours - 1;
        Some(chunk)
    }

    /// How many chunks, none to two, touch a range in which nothing is held.
    fn touching(&self, range: Range<u64>) -> usize {
        let before = self.chunks.range(..range.start).next_back();
        usize::from(before.is_some_and(|(&start, chunk)| range_of(start, chunk).end == range.start))
            + usize::from(self.chunks.contains_key(&range.end))
    }

    /// The chunks that share a byte with `range`, whole.
    fn overlapping(&self, range: Range<u64>) -> btree_map::Range<'_, u64, Bytes> {
        if range.is_empty() {
            return self.chunks.range(0..0);
        }
        let before = self.chunks.range(..=range.start).next_back();
        let first = before
            .filter(|&(&start, chunk)| range.start < range_of(start, chunk).end)
            .map_or(range.start, |(&start, _)| start);
        self.chunks.range(first..range.end)
    }
}

/// A chunk was only stored after its end had been checked to be in range.
fn range_of(start: u64, chunk: &Bytes) -> Range<u64> {
    start..start + chunk.len() as u64
}

/// The part of the chunk at `start` that lies in `range`, which it overlaps.
fn part_of(start: u64, chunk: &Bytes, range: &Range<u64>) -> Range<usize> {
    let part = start.max(range.start)..range_of(start, chunk).end.min(range.end);
    (part.start - start) as usize..(part.end - start) as usize
}

/// Two maps are equal if they hold the same bytes at the same offsets, in whatever chunks.
impl PartialEq for BlockMap {
    fn eq(&self, other: &Self) -> bool {
        self.num_bytes == other.num_bytes
            && self.num_blocks == other.num_blocks
            && self.chunks.iter().all(|(&start, chunk)| {
                other.chunks(range_of(start, chunk)).is_ok_and(|mut others| {
                    let mut rest = &chunk[..];
                    others.all(|part| rest.split_off(..part.len()).is_some_and(|held| held == part))
                })
            })
    }
}

impl Eq for BlockMap {}

impl fmt::Debug for BlockMap {
    /// The blocks and the policy, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockMap")
            .field("blocks", &self.blocks().collect::<Vec<_>>())
            .field("num_bytes", &self.num_bytes)
            .field("on_overlap", &self.on_overlap)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct ChunkRanges<'a>(btree_map::Range<'a, u64, Bytes>);

impl Iterator for ChunkRanges<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        self.0.next().map(|(&start, chunk)| range_of(start, chunk))
    }
}

/// The blocks of a [`BlockMap`], in order.
#[derive(Debug, Clone)]
pub struct Blocks<'a>(ChunkRanges<'a>);

impl Iterator for Blocks<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let mut block = self.0.next()?;
        loop {
            let mut ahead = self.0.clone();
            match ahead.next() {
                Some(chunk) if chunk.start == block.end => block.end = chunk.end,
                _ => return Some(block),
            }
            self.0 = ahead;
        }
    }
}

impl FusedIterator for Blocks<'_> {}

/// The parts of a range that a [`BlockMap`] does not hold, in order.
#[derive(Debug, Clone)]
pub struct Need<'a>(GapsBetween<ChunkRanges<'a>>);

impl Iterator for Need<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        self.0.next()
    }
}

impl FusedIterator for Need<'_> {}
