//! Making a pair agree with itself after the system was started anew, which may have been a power cut: then words may
//! speak of data that is not there, data may be there of which no word speaks, and the counter may be older than both.

use std::io;
use std::ops::Range;

use super::entry_word::EntryWord;
use super::words::withdraw;
use super::{Pair, Words, block_charge, fixed_charge};
use crate::directory::budget::{Budget, Section};
use crate::directory::charges::{PAGE_OVERHEAD, pair_overhead};
use crate::sys::{BootId, DiskFile};

impl Pair {
    /// Whether it was made to agree with itself since the system was started, so that it may be filled.
    pub(crate) fn is_reconciled(&self, budget: &Budget) -> bool {
        self.index.boot_id().is_ok_and(|boot_id| boot_id == budget.boot_id())
    }

    /// Whether it may be filled, by the caller who has none of its locks. What kept it from being reconciled when it
    /// was opened, somebody's locks, a recount or the disk, may have passed: so that is tried again, in pauses that
    /// grow.
    pub(crate) fn may_be_filled(&self, budget: &Budget) -> bool {
        self.is_reconciled(budget)
            || (self.retry.is_due() && {
                self.reconcile(budget);
                self.is_reconciled(budget)
            })
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
        let mut paid = self.unreconciled_charge()?;
        let agreed = self.agree(&section, &mut paid).and_then(|owed| {
            if owed > paid {
                section.charge(owed - paid);
                paid = owed;
            }
            self.index.set_boot_id(budget.boot_id())?;
            Ok(owed)
        });
        // Who begins with this again counts from what is taken then.
        let owed = agreed.as_ref().map_or_else(|_| self.unreconciled_charge(), |&owed| Ok(owed));
        match owed {
            Ok(owed) => section.uncharge(paid.saturating_sub(owed)),
            Err(_) => section.want_recount(),
        }
        agreed?;
        tracing::info!(pair = self.name, "reconciled after a restart of the system");
        Ok(())
    }

    /// Makes words and blocks agree, and returns what is owed for them then. What is charged on the way is added to
    /// `paid`.
    ///
    /// Nobody stores a word meanwhile: fillers need a page's lock, and all of these are the caller's. Readers of this
    /// boot may have checked any page already, so each word goes before its bytes do.
    fn agree(&self, section: &Section<'_>, paid: &mut u64) -> io::Result<u64> {
        let layout = *self.index.layout();
        self.allocate_fixed_part(section, paid)?;
        // A word that is lost on the way must not come again either, so the counter is raised before the first goes.
        self.index.skip_generations(self.last_generation()?)?;
        let blocks = self.keep_whole_blocks()?;

        let mut owed = fixed_charge(&layout, self.unit) + block_charge(self.unit) * blocks.len() as u64;
        let mut kept_end = 0;
        let runs = blocks.into_iter().filter(|block| layout.table_blocks().contains(block));
        let runs: Vec<Range<u64>> = runs.map(|block| layout.pages_of(block)).collect();
        for run in &runs {
            for (page, word) in run.clone().zip(self.index.load_run(run)?) {
                let bytes = self.pages().bytes(page);
                if word.is_present() && is_whole(self.data.file(), &bytes)? {
                    // What no word vouches for, up to here.
                    self.data.file().punch(kept_end..bytes.start)?;
                    kept_end = bytes.end.next_multiple_of(self.unit).max(bytes.end);
                    owed += self.page_charge(page);
                } else if word != EntryWord::EMPTY {
                    withdraw(&self.index, [page])?;
                }
            }
        }
        let end = self.pages().length.next_multiple_of(self.unit);
        if kept_end < end {
            self.data.file().punch(kept_end..end)?;
        }
        // Their blocks are gone, so the words that were withdrawn stand for nothing.
        for run in runs {
            for (page, word) in run.clone().zip(self.index.load_run(&run)?) {
                if word != EntryWord::EMPTY && !word.is_present() {
                    self.index.store(page, EntryWord::EMPTY)?;
                }
            }
        }
        Ok(owed)
    }

    /// Takes again what was lost of the part before the blocks: marks and the boot id are stored there, and a store
    /// into a hole may be a signal.
    ///
    /// Whatever the limit is: without it nothing of the pair could ever be given back.
    fn allocate_fixed_part(&self, section: &Section<'_>, paid: &mut u64) -> io::Result<()> {
        let (file, fixed) = (self.index.file(), 0..self.index.layout().blocks_offset);
        let lost = bytes_in_holes(file, &fixed, self.unit)?;
        if lost == 0 {
            return Ok(());
        }
        section.charge(lost);
        *paid = paid.saturating_add(lost);
        file.allocate(fixed)
    }

    /// The highest generation of all words, also of those in blocks without a mark: readers look at them all the same.
    fn last_generation(&self) -> io::Result<u32> {
        let (file, layout) = (self.index.file(), *self.index.layout());
        let (mut last, mut offset) = (0, layout.table_offset);
        while let Some(data) = file.next_data(offset)?.filter(|&data| data < layout.file_len) {
            let block = layout.block_at(data);
            let words = self.index.load_run(&layout.pages_of(block))?;
            last = words.iter().map(|word| word.generation()).fold(last, u32::max);
            offset = layout.block(block).end;
        }
        Ok(last)
    }

    /// Gives back the blocks of the index that have no mark, and are nobody's, and the marks of those that were lost,
    /// as their words are. The blocks that are left.
    fn keep_whole_blocks(&self) -> io::Result<Vec<u64>> {
        let (index, layout) = (&self.index, *self.index.layout());
        let mut kept = Vec::new();
        let mut next = layout.blocks_offset;
        for block in index.marked(layout.all_blocks())? {
            let range = layout.block(block);
            if !is_whole(index.file(), &range)? {
                index.mark(block, false)?;
                continue;
            }
            index.file().punch(next..range.start)?;
            next = range.end;
            kept.push(block);
        }
        index.file().punch(next..layout.file_len)?;
        Ok(kept)
    }

    /// What a pair is charged that has not been reconciled: what it takes, and what as many pages as may be whole cost
    /// beyond that. So it is never charged more once it is reconciled, which would be beyond a limit that was kept.
    fn unreconciled_charge(&self) -> io::Result<u64> {
        let data = self.data.file().allocated()?;
        // The last page may be shorter than the others.
        let pages = (data / self.pages().page_size).saturating_add(1).min(self.pages().count());
        let taken = data.saturating_add(self.index.file().allocated()?);
        Ok(taken.saturating_add(pair_overhead(self.unit)).saturating_add(pages.saturating_mul(PAGE_OVERHEAD)))
    }

    /// What a recount counts for this pair, which nobody is filling now, and how much of that stands for pages.
    pub(crate) fn count(&self, boot_id: BootId) -> io::Result<Counted> {
        let allocated = self.data.file().allocated()?.saturating_add(self.index.file().allocated()?);
        if self.index.boot_id()? != boot_id {
            return Ok(Counted { charge: self.unreconciled_charge()?, allocated, pages: 0 });
        }
        let layout = *self.index.layout();
        let blocks = self.index.marked(layout.all_blocks())?;
        let charge = fixed_charge(&layout, self.unit) + block_charge(self.unit) * blocks.len() as u64;
        let mut counted = Counted { charge, allocated, pages: 0 };
        for block in blocks.into_iter().filter(|block| layout.table_blocks().contains(block)) {
            let run = layout.pages_of(block);
            for (page, _) in run.clone().zip(self.index.load_run(&run)?).filter(|(_, word)| !word.is_empty()) {
                counted.charge += self.page_charge(page);
                counted.pages += 1;
            }
        }
        Ok(counted)
    }

    /// Gives back what dead processes left: pages that are charged and nobody is filling, blocks of the index that
    /// nothing is in, and those that were taken and not marked. Only while nobody is in a section, and before the pair
    /// is counted.
    pub(crate) fn give_back(&self) -> io::Result<()> {
        let (index, layout) = (&self.index, *self.index.layout());
        self.mark_again()?;
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
        index.file().punch(next..layout.file_len)?;
        self.give_back_stamps()
    }

    /// Marks the blocks in which there are words though their mark was lost, as by a flipped bit: if the words were
    /// given back as nobody's, the data that they speak of would stay, and be charged to nobody.
    fn mark_again(&self) -> io::Result<()> {
        let (index, layout) = (&self.index, *self.index.layout());
        let marked = index.marked(layout.table_blocks())?.into_iter().map(|block| layout.block(block));
        let mut next = layout.table_offset;
        for range in marked.chain([layout.file_len..layout.file_len]) {
            while next < range.start
                && let Some(data) = index.file().next_data(next)?.filter(|&data| data < range.start)
            {
                let block = layout.block_at(data);
                if !index.load_run(&layout.pages_of(block))?.into_iter().all(EntryWord::is_empty) {
                    index.mark(block, true)?;
                }
                next = layout.block(block).end;
            }
            next = range.end;
        }
        Ok(())
    }

    /// Gives back the blocks of stamps that say nothing of what is stored, or is to be kept once it is.
    fn give_back_stamps(&self) -> io::Result<()> {
        let (index, layout) = (&self.index, *self.index.layout());
        let mut next = layout.blocks_offset;
        for block in index.marked(0..layout.table_blocks().start)? {
            if !self.needs_stamps(block)? {
                index.mark(block, false)?;
                continue;
            }
            let range = layout.block(block);
            index.file().punch(next..range.start)?;
            next = range.end;
        }
        index.file().punch(next..layout.table_offset)
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

/// Whether no byte of a range, which is not empty, is in a hole.
pub(super) fn is_whole(file: &dyn DiskFile, range: &Range<u64>) -> io::Result<bool> {
    Ok(file.next_data(range.start)? == Some(range.start) && file.next_hole(range.start)? >= range.end)
}

/// How many bytes of the disk a range takes at most for what is in holes of it now. What was allocated and never
/// written looks like a hole too.
fn bytes_in_holes(file: &dyn DiskFile, range: &Range<u64>, unit: u64) -> io::Result<u64> {
    let (mut bytes, mut offset) = (0, range.start);
    while offset < range.end {
        let hole = file.next_hole(offset)?.min(range.end);
        let data = file.next_data(hole)?.unwrap_or(range.end).min(range.end);
        bytes += data.next_multiple_of(unit) - hole / unit * unit;
        offset = data;
    }
    Ok(bytes)
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
