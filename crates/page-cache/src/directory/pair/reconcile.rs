//! Making a pair agree with itself after the system was started anew, which may have been a power cut: then words may
//! speak of data that is not there, data may be there of which no word speaks, and the counter may be older than both.

use std::io;
use std::ops::Range;

use super::entry_word::EntryWord;
use super::words::withdraw;
use super::{Pair, Words, block_charge, fixed_charge};
use crate::directory::budget::{Budget, PAIR_OVERHEAD};
use crate::sys::BootId;

impl Pair {
    /// Whether it was made to agree with itself since the system was started, so that it may be filled.
    pub(crate) fn is_reconciled(&self, budget: &Budget) -> bool {
        self.index.boot_id().is_ok_and(|boot_id| boot_id == budget.boot_id())
    }

    /// Makes it agree with itself, if that has not been done since the system was started. Not if anybody else is just
    /// working on it, or recounts: then nothing is stored in it for now.
    pub(crate) fn reconcile(&self, budget: &Budget) {
        if self.is_reconciled(budget) || !budget.is_counted() {
            return;
        }
        if let Err(error) = self.try_reconcile(budget) {
            self.warn("a pair cannot be made to agree with itself", &error);
        }
    }

    fn try_reconcile(&self, budget: &Budget) -> io::Result<()> {
        let Some(section) = budget.enter() else { return Ok(()) };
        let pages = 0..self.pages().count();
        let all = if pages.is_empty() { None } else { self.page_locks().try_claim_all(pages.clone())? };
        if (all.is_none() && !pages.is_empty()) || self.is_reconciled(budget) {
            return Ok(());
        }
        // It is charged as a recount does it that finds it in this state, whoever began with this before.
        let charged = self.unreconciled_charge()?;
        let owed = self.agree(pages)?;
        if owed > charged {
            section.charge(owed - charged);
        }
        self.index.set_boot_id(budget.boot_id())?;
        if owed < charged {
            section.uncharge(charged - owed);
        }
        tracing::info!(pair = self.name, "reconciled after a restart of the system");
        Ok(())
    }

    /// Makes words and blocks agree, and returns what is owed for them then.
    fn agree(&self, pages: Range<u64>) -> io::Result<u64> {
        let (index, layout) = (&self.index, *self.index.layout());
        // Blocks without a mark are nobody's. The recency table is nobody's yet.
        let mut next = layout.blocks_offset;
        for block in index.marked(layout.table_blocks())? {
            let range = layout.block(block);
            index.file().punch(next..range.start)?;
            next = range.end;
            // Of a mark whose block was lost the words are lost, and the block is needed for the next store.
            index.file().allocate(range)?;
        }
        index.file().punch(next..layout.file_len)?;

        let mut owed = fixed_charge(&layout, self.unit);
        let mut kept_end = 0;
        let mut last_generation = 0;
        for block in index.marked(layout.table_blocks())? {
            owed += block_charge(self.unit);
            let run = layout.pages_of(block);
            for (page, word) in run.clone().zip(index.load_run(&run)?) {
                last_generation = last_generation.max(word.generation());
                if word.is_present() && self.has_no_hole(page)? {
                    let bytes = self.pages().bytes(page);
                    // What no word vouches for, up to here.
                    self.data.file().punch(kept_end..bytes.start)?;
                    kept_end = bytes.end.next_multiple_of(self.unit).max(bytes.end);
                    owed += self.page_charge(page);
                } else if word != EntryWord::EMPTY {
                    // Readers of this boot may have checked it already: its word goes before its bytes do.
                    withdraw(index, [page])?;
                }
            }
        }
        index.skip_generations(last_generation)?;
        let end = self.pages().length.next_multiple_of(self.unit);
        if kept_end < end {
            self.data.file().punch(kept_end..end)?;
        }
        // Their blocks are gone, so the words that were withdrawn stand for nothing.
        for run in index.runs_with_words(&pages)? {
            for (page, word) in run.clone().zip(index.load_run(&run)?) {
                if word != EntryWord::EMPTY && !word.is_present() {
                    index.store(page, EntryWord::EMPTY)?;
                }
            }
        }
        Ok(owed)
    }

    fn has_no_hole(&self, page: u64) -> io::Result<bool> {
        let bytes = self.pages().bytes(page);
        let data = self.data.file().next_data(bytes.start)?;
        Ok(data == Some(bytes.start) && self.data.file().next_hole(bytes.start)? >= bytes.end)
    }

    /// What a pair is charged that has not been reconciled: what it takes.
    fn unreconciled_charge(&self) -> io::Result<u64> {
        let taken = self.data.file().allocated()?.saturating_add(self.index.file().allocated()?);
        Ok(taken.saturating_add(PAIR_OVERHEAD))
    }

    /// What a recount counts for this pair, which nobody is filling now, and how much of that stands for pages.
    pub(crate) fn count(&self, boot_id: BootId) -> io::Result<Counted> {
        let allocated = self.data.file().allocated()?.saturating_add(self.index.file().allocated()?);
        if self.index.boot_id()? != boot_id {
            return Ok(Counted { charge: self.unreconciled_charge()?, allocated, pages: 0 });
        }
        let layout = *self.index.layout();
        let mut counted = Counted { charge: fixed_charge(&layout, self.unit), allocated, pages: 0 };
        for block in self.index.marked(layout.table_blocks())? {
            counted.charge += block_charge(self.unit);
            let run = layout.pages_of(block);
            for (page, _) in run.clone().zip(self.index.load_run(&run)?).filter(|(_, word)| !word.is_empty()) {
                counted.charge += self.page_charge(page);
                counted.pages += 1;
            }
        }
        Ok(counted)
    }

    /// Gives back what dead processes left: pages that are charged and nobody is filling, blocks of the index that
    /// nothing is in, and those that were taken and not marked. Only while nobody is in a section, and before the pair is
    /// counted.
    pub(crate) fn give_back(&self) -> io::Result<()> {
        let (index, layout) = (&self.index, *self.index.layout());
        let mut next = layout.table_offset;
        for block in index.marked(layout.table_blocks())? {
            let run = layout.pages_of(block);
            let mut empty = true;
            for (page, word) in run.clone().zip(index.load_run(&run)?) {
                empty &= word == EntryWord::EMPTY || (!word.is_present() && self.empty_left(page)?);
            }
            if empty {
                index.mark(block, false)?;
                continue;
            }
            let range = layout.block(block);
            index.file().punch(next..range.start)?;
            next = range.end;
        }
        index.file().punch(next..layout.file_len)
    }

    /// Empties a page that is charged, unless somebody has its lock: then it is no dead process's. Whether it is empty.
    fn empty_left(&self, page: u64) -> io::Result<bool> {
        let Some(_claim) = self.page_locks().try_claim_all(page..page + 1)? else { return Ok(false) };
        if self.index.load(page)?.is_present() {
            return Ok(false);
        }
        let bytes = self.pages().bytes(page);
        self.data.file().punch(bytes.start..bytes.end.next_multiple_of(self.unit))?;
        self.index.store(page, EntryWord::EMPTY)?;
        Ok(true)
    }
}

/// What a pair costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    /// Bytes that are charged for it.
    pub(crate) charge: u64,
    /// Bytes of the disk that it takes.
    pub(crate) allocated: u64,
    /// Pages that are charged.
    pub(crate) pages: u64,
}
