//! Blocks of the index in which there is nothing any more: which they are, and giving them back.

use std::io;
use std::ops::Range;
use std::time::Instant;

use svf_core::RangeSet;

use super::entry_word::EntryWord;
use super::{Pair, block_charge};
use crate::directory::budget::Exclusion;
use crate::directory::eviction::Stamp;

/// So many blocks that lie beside each other go at once, before the time is looked at again.
const AT_ONCE: u64 = 64;

impl Pair {
    /// The block of words of an extent, if nothing is stored any more of all pages whose words are in it.
    pub(crate) fn hollow_block(&self, extent: u64) -> io::Result<Option<u64>> {
        let layout = self.index.layout();
        let block = layout.block_of(layout.pages_of_extent(extent).start);
        Ok(self.is_hollow(block)?.then_some(block))
    }

    /// Those of some blocks of words that are allocated and have nothing in them. Only while nobody is in a section
    /// does that hold for longer than the look.
    pub(crate) fn hollow_blocks(&self, blocks: &RangeSet) -> io::Result<RangeSet> {
        let mut hollow = RangeSet::new();
        for block in blocks.iter().flatten() {
            if self.is_hollow(block)? {
                hollow.insert(block..block + 1);
            }
        }
        Ok(hollow)
    }

    /// The same of those that have the words of some pages.
    pub(crate) fn hollow_blocks_of(&self, pages: &Range<u64>) -> io::Result<RangeSet> {
        let Some(last) = pages.end.checked_sub(1).filter(|&last| last >= pages.start) else {
            return Ok(RangeSet::new());
        };
        let layout = self.index.layout();
        let marked = self.index.marked(layout.block_of(pages.start)..layout.block_of(last) + 1)?;
        self.hollow_blocks(&marked.into_iter().map(|block| block..block + 1).collect())
    }

    fn is_hollow(&self, block: u64) -> io::Result<bool> {
        let words = || self.index.load_run(&self.index.layout().pages_of(block));
        Ok(self.index.is_marked(block)? && words()?.into_iter().all(EntryWord::is_empty))
    }

    /// Gives back those of these blocks of words in which there is nothing, and the blocks of stamps of which none is
    /// of use any more then; takes out of `blocks` what has been looked at when the time is over.
    ///
    /// # Errors
    ///
    /// That the index cannot be read or written: then what is charged may be too much, and somebody has to count it.
    pub(crate) fn give_back_hollow(
        &self,
        exclusion: &Exclusion<'_>,
        blocks: &mut RangeSet,
        end: Instant,
    ) -> io::Result<()> {
        while let Some(run) = blocks.iter().next().filter(|_| Instant::now() < end) {
            let run = run.start..run.end.min(run.start + AT_ONCE);
            blocks.remove(run.clone());
            for hollow in &self.hollow_blocks(&[run.clone()].into_iter().collect())? {
                self.give_back_run(exclusion, hollow)?;
            }
            self.give_back_stamps_of(exclusion, run)?;
        }
        Ok(())
    }

    /// Unmarked, punched, uncharged: in this order.
    fn give_back_run(&self, exclusion: &Exclusion<'_>, blocks: Range<u64>) -> io::Result<()> {
        let (layout, count) = (self.index.layout(), blocks.end - blocks.start);
        let bytes = layout.block(blocks.start).start..layout.block(blocks.end - 1).end;
        blocks.into_iter().try_for_each(|block| self.index.mark(block, false))?;
        self.index.file().punch(bytes)?;
        exclusion.uncharge(block_charge(self.unit) * count);
        Ok(())
    }

    fn give_back_stamps_of(&self, exclusion: &Exclusion<'_>, blocks: Range<u64>) -> io::Result<()> {
        let layout = self.index.layout();
        let stamp_block = |block| layout.stamp_block_of(layout.extent_of(layout.pages_of(block).start));
        for block in stamp_block(blocks.start)..=stamp_block(blocks.end - 1) {
            if self.index.is_marked(block)? && !self.needs_stamps(block)? {
                self.give_back_run(exclusion, block..block + 1)?;
            }
        }
        Ok(())
    }

    /// Whether a block of stamps says anything of what is stored, or is to be kept once it is.
    pub(super) fn needs_stamps(&self, block: u64) -> io::Result<bool> {
        let (index, layout) = (&self.index, self.index.layout());
        Ok(index.runs_with_words(&layout.pages_of_stamp_block(block))?.next().is_some()
            || index.stamps_of(block)?.into_iter().any(Stamp::is_kept))
    }
}
