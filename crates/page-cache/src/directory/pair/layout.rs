//! Where everything stands in an index file. Pure arithmetic; `docs/on-disk-format.md` draws it.

use std::ops::Range;

use crate::pages::Pages;

/// The unit in which the index's table is allocated and given back, in bytes.
pub(crate) const BLOCK: u64 = 4096;
/// How many words a block of the table has.
pub(crate) const WORDS_IN_BLOCK: u64 = BLOCK / 8;
/// The block behind the header: the generation counter and the boot id.
pub(crate) const VITAL_OFFSET: u64 = 4096;
/// The map of allocated blocks, a bit each.
pub(crate) const MAP_OFFSET: u64 = 8192;
/// What the bound works on: an extent is this long, or a page if that is longer.
pub(crate) const EXTENT: u64 = 1 << 20;
/// Bytes of the recency table for each extent.
const RECENCY_BYTES: u64 = 2;

/// The places of an index file for an object of these pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) pages: Pages,
    /// Where the blocks begin that the map speaks of: first the recency table, then the words.
    pub(crate) blocks_offset: u64,
    /// Where the words begin.
    pub(crate) table_offset: u64,
    pub(crate) file_len: u64,
}

impl Layout {
    /// None if no file could be so long.
    pub(crate) fn of(pages: Pages) -> Option<Self> {
        let in_blocks = |bytes: u64| bytes.checked_next_multiple_of(BLOCK);
        let extents = pages.length.div_ceil(pages.page_size.max(EXTENT));
        let recency = in_blocks(extents.checked_mul(RECENCY_BYTES)?)?;
        let table = in_blocks(pages.count().checked_mul(8)?)?;
        let blocks = recency.checked_add(table)? / BLOCK;
        let blocks_offset = MAP_OFFSET.checked_add(in_blocks(blocks.div_ceil(8))?.max(BLOCK))?;
        let table_offset = blocks_offset.checked_add(recency)?;
        let file_len = table_offset.checked_add(table).filter(|&len| len < i64::MAX as u64)?;
        Some(Self { pages, blocks_offset, table_offset, file_len })
    }

    /// The blocks of the table of words.
    pub(crate) fn table_blocks(&self) -> Range<u64> {
        (self.table_offset - self.blocks_offset) / BLOCK..(self.file_len - self.blocks_offset) / BLOCK
    }

    /// Where in the file a block is.
    pub(crate) fn block(&self, block: u64) -> Range<u64> {
        let start = self.blocks_offset + block * BLOCK;
        start..start + BLOCK
    }

    /// The block that an offset behind the map is in.
    pub(crate) fn block_at(&self, offset: u64) -> u64 {
        offset.saturating_sub(self.blocks_offset) / BLOCK
    }

    /// Where in the file the word of a page is.
    pub(crate) fn word(&self, page: u64) -> u64 {
        self.table_offset + page * 8
    }

    /// The block that has the word of a page.
    pub(crate) fn block_of(&self, page: u64) -> u64 {
        self.table_blocks().start + page / WORDS_IN_BLOCK
    }

    /// How many pages an extent has, but for the last: a power of two.
    fn pages_in_extent(&self) -> u64 {
        (EXTENT >> self.pages.page_size.trailing_zeros()).max(1)
    }

    /// How long an extent is, in bytes, but for the last.
    pub(crate) fn extent_len(&self) -> u64 {
        self.pages.page_size.max(EXTENT)
    }

    /// How many extents the object has.
    pub(crate) fn extents(&self) -> u64 {
        self.pages.count().div_ceil(self.pages_in_extent())
    }

    /// The extent that has a page.
    pub(crate) fn extent_of(&self, page: u64) -> u64 {
        page >> self.pages_in_extent().trailing_zeros()
    }

    pub(crate) fn pages_of_extent(&self, extent: u64) -> Range<u64> {
        let count = self.pages.count();
        let start = extent.saturating_mul(self.pages_in_extent()).min(count);
        start..start.saturating_add(self.pages_in_extent()).min(count)
    }

    /// Where in the file the stamp of an extent is.
    pub(crate) fn stamp(&self, extent: u64) -> u64 {
        self.blocks_offset + extent * RECENCY_BYTES
    }

    /// The block that has the stamp of an extent.
    pub(crate) fn stamp_block_of(&self, extent: u64) -> u64 {
        extent * RECENCY_BYTES / BLOCK
    }

    /// All blocks of which the map speaks: those of stamps, and behind them those of words.
    pub(crate) fn all_blocks(&self) -> Range<u64> {
        0..self.table_blocks().end
    }

    /// The pages whose extents have their stamps in a block.
    pub(crate) fn pages_of_stamp_block(&self, block: u64) -> Range<u64> {
        let extents = self.extents_of_stamp_block(block);
        self.pages_of_extent(extents.start).start..self.pages_of_extent(extents.end - 1).end
    }

    pub(crate) fn extents_of_stamp_block(&self, block: u64) -> Range<u64> {
        let extents = BLOCK / RECENCY_BYTES;
        block * extents..(block + 1) * extents
    }

    /// The pages whose words are in a block of the table.
    pub(crate) fn pages_of(&self, block: u64) -> Range<u64> {
        let first = block.saturating_sub(self.table_blocks().start) * WORDS_IN_BLOCK;
        first..(first + WORDS_IN_BLOCK).min(self.pages.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_as_documented() {
        let layout = Layout::of(Pages { page_size: 65_536, length: 1_000_000 }).unwrap();
        assert_eq!((layout.blocks_offset, layout.table_offset, layout.file_len), (12_288, 16_384, 20_480));
        assert_eq!((layout.table_blocks(), layout.block(1), layout.word(3)), (1..2, 16_384..20_480, 16_408));
        assert_eq!([16_383, 16_384, 20_479].map(|offset| layout.block_at(offset)), [0, 1, 1]);
        assert_eq!((layout.block_of(15), layout.pages_of(1)), (1, 0..16));

        let terabyte = Layout::of(Pages { page_size: 65_536, length: 1 << 40 }).unwrap();
        assert_eq!(terabyte.blocks_offset, 8192 + 8192, "a map of 32,768 + 512 bits");
        assert_eq!(terabyte.table_offset, terabyte.blocks_offset + (2 << 20));
        assert_eq!(terabyte.file_len, terabyte.table_offset + (128 << 20));
        assert_eq!((terabyte.block_of(512), terabyte.pages_of(513)), (513, 512..1024));

        assert_eq!((terabyte.extent_of(15), terabyte.extent_of(16), terabyte.pages_of_extent(1)), (0, 1, 16..32));
        assert_eq!((terabyte.stamp(3), terabyte.stamp_block_of(2047), terabyte.stamp_block_of(2048)), (16_390, 0, 1));
        assert_eq!(terabyte.pages_of_stamp_block(1), 32_768..65_536);
        assert_eq!(layout.pages_of_extent(0), 0..16);
        assert_eq!((layout.pages_of_extent(1), layout.pages_of_stamp_block(0)), (16..16, 0..16));
        let large = Layout::of(Pages { page_size: 4 << 20, length: 10 << 20 }).unwrap();
        assert_eq!((large.extent_of(2), large.pages_of_extent(2)), (2, 2..3));
        assert_eq!([layout, terabyte, large].map(|layout| layout.extents()), [1, 1 << 20, 3]);

        let empty = Layout::of(Pages { page_size: 4096, length: 0 }).unwrap();
        assert_eq!((empty.table_blocks(), empty.file_len), (0..0, 12_288));
        assert_eq!(
            Layout::of(Pages { page_size: 4096, length: u64::MAX }).map(|layout| layout.file_len > 1 << 50),
            Some(true)
        );
    }
}
