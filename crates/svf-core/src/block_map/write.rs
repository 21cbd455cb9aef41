//! Writes: what is stored of them, and into which chunk.

use std::mem;
use std::ops::Range;

use bytes::Bytes;

use super::leaf_edit::LeafEdit;
use super::memory;
use super::slab::{Slab, Slot};
use super::tree::Chunk;
use super::{BlockMap, OnOverlap, Written, part_of};
use crate::error::WriteError;

/// Up to this length, in bytes, neighbours are copied into one chunk; so the chunks of a block are longer than half of
/// it on average, in whatever order it was written.
const SMALL: u64 = 512;
/// A shorter `Bytes` is copied, since it may keep alive a much larger allocation.
const TAKEN_OVER: usize = 1 << 10;
/// Longer writes get a chunk of their own.
pub(crate) const GATHERED: u64 = 16 << 10;
/// What gathered writes grow to.
pub(super) const GROWN: u64 = 64 << 10;
/// Longer writes become several chunks, so that the length of each fits into 32 bits.
const LONGEST: u64 = 1 << 30;

/// The data of a write.
#[derive(Debug)]
enum Piece<'a> {
    Borrowed(&'a [u8]),
    /// To be taken over, with the size of the allocation that it keeps alive, as far as it is known.
    Taken(Bytes, usize),
}

impl Piece<'_> {
    fn data(&self) -> &[u8] {
        match self {
            Self::Borrowed(data) => data,
            Self::Taken(data, _) => data,
        }
    }

    /// All of it as the content of one chunk. What was to be taken over is empty then.
    fn take(&mut self, scrub: bool, epoch: u64) -> Slot {
        match self {
            Self::Borrowed(data) => Slot::new(memory::copy_of(&[data], scrub), data.len(), true, epoch),
            Self::Taken(data, charge) => Slot::new(mem::take(data), *charge, false, epoch),
        }
    }

    /// A part of it. The allocation is counted once, with the part that comes last.
    fn part(&self, part: Range<usize>) -> Piece<'_> {
        match self {
            Self::Borrowed(data) => Piece::Borrowed(&data[part]),
            Self::Taken(data, charge) => {
                let rest = if part.end == data.len() { charge - data.len() } else { 0 };
                Piece::Taken(data.slice(part.clone()), part.len() + rest)
            }
        }
    }
}

impl BlockMap {
    /// Writes a copy of `data` at `offset`. Empty data changes nothing.
    ///
    /// Small pieces that touch are gathered into chunks of up to 64 KiB, so that a block that is written in pieces of
    /// a few bytes does not keep an allocation for each. O(log n), and one copy; prepended to a chunk of less than
    /// 512 bytes, or appended while a reader holds a `Bytes` of it, that is copied too.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if a byte that is held differs and the policy is [`OnOverlap::Reject`];
    /// [`WriteError::OffsetOverflow`] if the data ends beyond 2^64 - 1. Nothing has changed then.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<Written, WriteError> {
        self.write_piece(offset, Piece::Borrowed(data))
    }

    /// Writes `data` at `offset` and takes it over without copying.
    ///
    /// The map then keeps alive whatever allocation `data` is a part of. What is shorter than 1 KiB is copied instead,
    /// and up to 64 KiB what is seen to be less than half of its allocation; with
    /// [`scrub`](crate::BlockMapOptions::scrub) everything is.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_bytes(&mut self, offset: u64, data: Bytes) -> Result<Written, WriteError> {
        if self.options.scrub || data.len() < TAKEN_OVER {
            return self.write(offset, &data);
        }
        let (data, charge) = memory::with_capacity(data);
        if is_wasteful(data.len(), charge) {
            return self.write(offset, &data);
        }
        self.write_piece(offset, Piece::Taken(data, charge))
    }

    fn write_piece(&mut self, offset: u64, mut piece: Piece<'_>) -> Result<Written, WriteError> {
        let len = piece.data().len() as u64;
        let end = offset.checked_add(len).ok_or(WriteError::OffsetOverflow { offset, len })?;
        if len == 0 {
            return Ok(Written::default());
        }
        let epoch = *self.epoch.get_mut() + 1;
        let is_placed = self.place_behind(offset, &mut piece, epoch)
            || self.place_whole(offset, &mut piece, epoch)
            || self.place(offset, &mut piece, epoch);
        let written =
            if is_placed { Written { new: len, overlapping: 0 } } else { self.write_over(offset..end, &piece, epoch)? };
        // Reads from now on are younger than this write.
        *self.epoch.get_mut() = epoch + 1;
        if let Some(limit) = self.options.max_bytes
            && limit < self.num_bytes()
        {
            self.make_room(limit, offset..end, epoch);
        }
        // Whoever keeps that limit drops whole chunks, and would leave nothing of this one.
        if let Some(limit) = self.limit_above
            && limit < len
        {
            self.remove_to_make_room(offset..end - limit);
        }
        Ok(written)
    }

    /// Adds a chunk behind all others as it is, used at `epoch`. Both offset and length must have been checked.
    #[cfg(feature = "serde")]
    pub(crate) fn append_chunk(&mut self, offset: u64, mut data: Bytes, epoch: u64) {
        let mut start = offset;
        while !data.is_empty() {
            let part = data.split_to(data.len().min(LONGEST as usize));
            let (bytes, charge) = if self.options.scrub {
                (memory::copy_of(&[&part], true), part.len())
            } else {
                memory::with_capacity(part)
            };
            let content = Slot::new(bytes, charge, false, epoch);
            let len = content.bytes.len() as u64;
            let Self { tree, slab, .. } = self;
            tree.change(start, |leaf| {
                let slot = slab.insert(content);
                leaf.insert(leaf.index, Chunk { start, len: len as u32, slot });
            });
            start += len;
        }
    }

    /// Stores the data behind all that is held, where whoever goes through a file writes: nothing can overlap there,
    /// and only one neighbour is looked at. False if it does not belong there, or wants a node or memory of its own.
    fn place_behind(&mut self, offset: u64, piece: &mut Piece<'_>, epoch: u64) -> bool {
        let len = piece.data().len() as u64;
        let end = self.tree.root.end;
        if offset < end || LONGEST < len {
            return false;
        }
        let chunks = self.tree.last_leaf();
        let Some(&last) = chunks.last() else {
            return false;
        };
        if let Piece::Borrowed(data) = piece
            && offset == end
        {
            let grown = u64::from(last.len) + len;
            let is_small = len <= GATHERED && grown <= grown_to(self.lowest_limit());
            let slot = self.slab.get_mut(last.slot);
            if !(is_small && slot.has_room(data.len()) && memory::extend(&mut slot.bytes, data)) {
                return false;
            }
            slot.touch(epoch);
            self.tree.change_end(len, offset + len, |chunks| {
                if let Some(last) = chunks.last_mut() {
                    last.len = grown as u32;
                }
            });
            return true;
        }
        if chunks.len() == chunks.capacity() {
            return false;
        }
        let slot = self.slab.insert(piece.take(self.options.scrub, epoch));
        self.tree.change_end(len, offset + len, |chunks| chunks.push(Chunk { start: offset, len: len as u32, slot }));
        self.tree.num_blocks += usize::from(end < offset);
        true
    }

    /// Stores the data as a chunk of its own where nothing is held, if the leaf has room and no neighbour is to be
    /// joined: most writes of scattered pieces, and of what is handed over.
    fn place_whole(&mut self, offset: u64, piece: &mut Piece<'_>, epoch: u64) -> bool {
        let len = piece.data().len() as u64;
        if LONGEST < len {
            return false;
        }
        let end = offset + len;
        // What is gathered is joined to what it touches.
        let may_touch = matches!(piece, Piece::Taken(..)) || GATHERED < len;
        let scrub = self.options.scrub;
        let Self { tree, slab, .. } = self;
        tree.add(offset, len as u32, |before, after| {
            let fits = before.is_none_or(|before| before < offset || may_touch && before == offset)
                && after.is_none_or(|after| end < after || may_touch && end == after);
            fits.then(|| slab.insert(piece.take(scrub, epoch)))
        })
    }

    /// Stores the data where nothing is held. False if anything is, or if it is too long for one chunk.
    fn place(&mut self, offset: u64, piece: &mut Piece<'_>, epoch: u64) -> bool {
        let len = piece.data().len() as u64;
        if LONGEST < len {
            return false;
        }
        let (limit, scrub) = (self.lowest_limit(), self.options.scrub);
        let Self { tree, slab, .. } = self;
        tree.change(offset, |leaf| {
            let overlaps = leaf.floor().is_some_and(|(_, chunk)| offset < chunk.end())
                || leaf.next_start().is_some_and(|next| next < offset + len);
            if !overlaps {
                Gather::new(leaf, slab, limit, scrub, epoch).store(offset, piece);
            }
            !overlaps
        })
    }

    /// Writes where something may be held already.
    fn write_over(&mut self, range: Range<u64>, piece: &Piece<'_>, epoch: u64) -> Result<Written, WriteError> {
        if self.options.on_overlap == OnOverlap::Reject {
            self.compare(range.clone(), piece.data())?;
        }
        let missing: Vec<_> = self.need(range.clone()).collect();
        let new: u64 = missing.iter().map(|gap| gap.end - gap.start).sum();
        let stored = if self.options.on_overlap == OnOverlap::Replace {
            self.remove(range.clone());
            vec![range.clone()]
        } else {
            missing
        };
        for gap in stored {
            let mut start = gap.start;
            while start < gap.end {
                let end = gap.end.min(start.saturating_add(LONGEST));
                let part = (start - range.start) as usize..(end - range.start) as usize;
                let is_placed = self.place(start, &mut piece.part(part), epoch);
                debug_assert!(is_placed, "nothing is held in a gap");
                start = end;
            }
        }
        // Whoever writes what is held already has used it.
        self.touch_at(range.clone(), epoch);
        Ok(Written { new, overlapping: (range.end - range.start) - new })
    }

    fn compare(&self, range: Range<u64>, data: &[u8]) -> Result<(), WriteError> {
        for chunk in self.overlapping(range.clone()) {
            let held = &self.slab.get(chunk.slot).bytes[part_of(&chunk, &range)];
            let offset = chunk.start.max(range.start);
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
}

/// The bytes, in memory of their own if they are the smaller part of an allocation that only they keep alive.
pub(crate) fn compact(bytes: Bytes) -> Bytes {
    let (bytes, capacity) = memory::with_capacity(bytes);
    if is_wasteful(bytes.len(), capacity) { Bytes::copy_from_slice(&bytes) } else { bytes }
}

/// Whether it is better to copy so much of an allocation than to keep all of it.
fn is_wasteful(len: usize, capacity: usize) -> bool {
    len as u64 <= GROWN && len < capacity / 2
}

/// How long a gathered chunk may become: eviction drops whole chunks, so a small limit wants small ones.
fn grown_to(limit: Option<u64>) -> u64 {
    limit.map_or(GROWN, |limit| GROWN.min(limit / 16))
}

/// One piece on its way into a leaf.
struct Gather<'a, 'leaf> {
    leaf: &'a mut LeafEdit<'leaf>,
    slab: &'a mut Slab,
    epoch: u64,
    scrub: bool,
    /// How long a gathered chunk may become.
    grown: u64,
}

impl<'a, 'leaf> Gather<'a, 'leaf> {
    fn new(leaf: &'a mut LeafEdit<'leaf>, slab: &'a mut Slab, limit: Option<u64>, scrub: bool, epoch: u64) -> Self {
        Self { leaf, slab, epoch, scrub, grown: grown_to(limit) }
    }

    fn store(&mut self, offset: u64, piece: &mut Piece<'_>) {
        let content = match piece {
            Piece::Borrowed(data) if data.len() as u64 <= GATHERED => {
                if self.append(offset, data) || self.prepend(offset, data) {
                    return;
                }
                self.new_chunk(offset, data)
            }
            _ => piece.take(self.scrub, self.epoch),
        };
        self.insert(offset, content);
    }

    /// A piece that goes on where a gathered chunk is full gets a larger one, with room for those to come.
    fn new_chunk(&self, offset: u64, data: &[u8]) -> Slot {
        let len = data.len() as u64;
        let goes_on = self.leaf.floor().filter(|(_, chunk)| {
            chunk.end() == offset && len <= GATHERED && !self.scrub && self.slab.get(chunk.slot).is_copied()
        });
        let capacity = goes_on.map_or(len, |(_, chunk)| (2 * u64::from(chunk.len)).min(self.grown).max(len));
        if len < capacity {
            let (bytes, capacity) = memory::growing(&[data], capacity as usize);
            Slot::new(bytes, capacity, true, self.epoch)
        } else {
            Slot::new(memory::copy_of(&[data], self.scrub), data.len(), true, self.epoch)
        }
    }

    fn insert(&mut self, offset: u64, content: Slot) {
        let len = content.bytes.len() as u32;
        let slot = self.slab.insert(content);
        self.leaf.insert(self.leaf.index, Chunk { start: offset, len, slot });
    }

    fn append(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some((index, chunk)) = self.leaf.floor().filter(|(_, chunk)| chunk.end() == offset) else {
            return false;
        };
        let Some(longer) = self.lengthen(chunk, data) else {
            return false;
        };
        self.leaf.set(index, longer);
        // The gap before the next chunk may be filled now.
        if let Some(next) = self.leaf.get(index + 1)
            && next.start == longer.end()
            && u64::from(longer.len) + u64::from(next.len) <= SMALL.min(self.grown)
        {
            let bytes = self.slab.get(next.slot).bytes.clone();
            if let Some(joined) = self.lengthen(longer, &bytes) {
                self.leaf.remove(index + 1);
                self.slab.remove(next.slot);
                self.leaf.set(index, joined);
            }
        }
        true
    }

    /// In place if there is room; a small chunk is copied to where there is more.
    fn lengthen(&mut self, chunk: Chunk, data: &[u8]) -> Option<Chunk> {
        let len = u64::from(chunk.len) + data.len() as u64;
        if self.grown < len {
            return None;
        }
        let slot = self.slab.get_mut(chunk.slot);
        if slot.has_room(data.len()) && memory::extend(&mut slot.bytes, data) {
            slot.touch(self.epoch);
        } else if len <= SMALL {
            let parts = [&slot.bytes[..], data];
            let (bytes, capacity) = if self.scrub {
                (memory::copy_of(&parts, true), len as usize)
            } else {
                memory::growing(&parts, (len as usize).next_power_of_two().max(32))
            };
            self.slab.replace(chunk.slot, Slot::new(bytes, capacity, true, self.epoch));
        } else {
            return None;
        }
        Some(Chunk { len: len as u32, ..chunk })
    }

    fn prepend(&mut self, offset: u64, data: &[u8]) -> bool {
        let len = data.len() as u64;
        let next = self
            .leaf
            .get(self.leaf.index)
            .filter(|next| next.start == offset + len && u64::from(next.len) + len <= SMALL.min(self.grown));
        let Some(next) = next else {
            return false;
        };
        let bytes = memory::copy_of(&[data, &self.slab.get(next.slot).bytes], self.scrub);
        let len = bytes.len();
        self.slab.replace(next.slot, Slot::new(bytes, len, true, self.epoch));
        self.leaf.set(self.leaf.index, Chunk { start: offset, len: len as u32, slot: next.slot });
        true
    }
}
