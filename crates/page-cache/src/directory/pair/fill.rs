//! What a filler does: charge, mark as charged, write, publish; in this order, so that whoever dies in between leaves
//! too much charged, and never too little.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::entry_word::{EntryWord, PageState};
use super::reconcile::is_whole;
use super::words::{publish, withdraw};
use super::{Pair, Words, block_charge};
use crate::directory::budget::{Budget, Section, within};

/// How long a filler waits for another one that is just taking the same block of the index.
const BLOCK_PATIENCE: Duration = Duration::from_millis(500);

/// What became of pages that were to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    All,
    /// For some there was no room, or it could not be done now.
    NotAll,
}

/// Who charges, and sees to it that there is room.
pub(crate) trait Room {
    /// Whether there could be room for so much. Nothing is evicted to find out.
    fn may_fit(&self, bytes: u64) -> bool;

    /// Charges bytes within the limit; false if there is no room for them.
    fn reserve(&self, section: &Section<'_>, bytes: u64) -> bool;
}

impl Pair {
    /// Stores whole pages, whose locks the caller has. That it fails is no reason for a read to fail.
    pub(crate) fn store(&self, budget: &Budget, room: &dyn Room, start: u64, bytes: &[u8]) -> Stored {
        let pages = self.pages();
        let run = pages.touching(&(start..start + bytes.len() as u64));
        debug_assert_eq!(pages.bytes_of_run(run.clone()), start..start + bytes.len() as u64, "whole pages");
        // Before the section, so that nobody who recounts waits for it.
        let (one, many);
        let sums = if run.end - run.start == 1 {
            one = self.checksum(run.start, bytes);
            std::slice::from_ref(&one)
        } else {
            let pieces = run.clone().zip(bytes.chunks(pages.page_size as usize));
            many = pieces.map(|(page, bytes)| self.checksum(page, bytes)).collect::<Vec<u32>>();
            &many
        };
        let Some(section) = budget.enter() else { return Stored::NotAll };
        if !self.is_reconciled(budget) {
            return Stored::NotAll;
        }
        if let Err(error) = self.data.check_writable(&(start..start + bytes.len() as u64)) {
            self.warn("a page cannot be stored", &error);
            return Stored::NotAll;
        }
        let mut stored = Stored::All;
        let mut rest = run.clone();
        while !rest.is_empty() {
            let ready = match self.make_ready(&section, room, &rest) {
                Ok(ready) => ready,
                Err(error) => {
                    self.warn("a page cannot be stored", &error);
                    return Stored::NotAll;
                }
            };
            if ready.is_empty() {
                stored = Stored::NotAll;
                rest.start = ready.end + 1;
                continue;
            }
            let first = ready.start - run.start;
            let part = pages.bytes_of_run(ready.clone());
            let part = &bytes[(part.start - start) as usize..(part.end - start) as usize];
            let sums = &sums[first as usize..(ready.end - run.start) as usize];
            if let Err(error) = self.write_and_publish(&ready, part, sums) {
                self.warn("a page cannot be stored", &error);
                return Stored::NotAll;
            }
            self.note_fill(budget, &ready);
            rest.start = ready.end;
        }
        stored
    }

    /// Charges the first pages of `run`, as many as there is room for; those have a word that says so, now.
    /// What is returned starts at `run`'s start, or is empty behind one page that is to be passed over.
    fn make_ready(&self, section: &Section<'_>, room: &dyn Room, run: &Range<u64>) -> io::Result<Range<u64>> {
        let mut ready = run.start..run.start;
        for page in run.clone() {
            if !self.is_ready(section, room, page)? {
                break;
            }
            ready.end = page + 1;
        }
        Ok(ready)
    }

    /// Whether the page may be written: it is charged, and nobody reads it.
    fn is_ready(&self, section: &Section<'_>, room: &dyn Room, page: u64) -> io::Result<bool> {
        let layout = self.index.layout();
        for block in [layout.block_of(page), layout.stamp_block_of(layout.extent_of(page))] {
            if !self.ensure_block(section, room, block)? {
                return Ok(false);
            }
        }
        match self.index.load(page)?.state() {
            // What a dead process left, or a write that failed, or what was just withdrawn: it is charged already.
            PageState::Charged => return Ok(true),
            // Stored meanwhile, or damaged and not withdrawn: it stays as it is.
            PageState::Present => return Ok(false),
            // What cannot be is not believed to be charged either.
            PageState::Empty | PageState::Invalid => {}
        }
        let charge = self.page_charge(page);
        if !room.reserve(section, charge) {
            return Ok(false);
        }
        // A word that could not be stored is what it was: nothing stands for the charge.
        withdraw(&self.index, [page]).inspect_err(|_| section.uncharge(charge))?;
        Ok(true)
    }

    /// Writes pages that are charged, and lets readers have them. If it fails they stay charged.
    fn write_and_publish(&self, run: &Range<u64>, bytes: &[u8], sums: &[u32]) -> io::Result<()> {
        let generations = self.index.reserve_generations(sums.len() as u32)?;
        let range = self.pages().bytes_of_run(run.clone());
        self.data.write(range.start, bytes)?;
        for ((page, &sum), generation) in run.clone().zip(sums).zip(generations..) {
            let word = EntryWord::present(sum, generation);
            publish(&self.index, page, word)?;
            self.verified.insert_stored(page, word);
        }
        // What was just written is what is read next.
        self.data.map(&range);
        Ok(())
    }

    /// Takes damaged pages, whose locks the caller has, away from readers; whether none is left. What cannot be taken
    /// away now stays; nobody can read it, since it does not agree with its word.
    ///
    /// Before the pair is reconciled nothing is: its counter may not have seen the generations that would go.
    pub(crate) fn withdraw_damaged(&self, budget: &Budget, damaged: &[(u64, EntryWord)]) -> bool {
        if damaged.is_empty() {
            return true;
        }
        let Some(_section) = budget.enter() else { return false };
        if !self.is_reconciled(budget) {
            return false;
        }
        let unchanged = damaged
            .iter()
            .filter(|(page, word)| self.index.load(*page).is_ok_and(|now| now == *word))
            .map(|(page, _)| *page);
        let withdrawn = withdraw(&self.index, unchanged);
        withdrawn.inspect_err(|error| self.warn("the index cannot be written", error)).is_ok()
    }

    /// Makes sure that a block of the index may be stored to; false if there is no room for it, or another process is
    /// just doing it.
    ///
    /// Charged, allocated, marked: in this order, so that a mark is never ahead of its block. One that is all the same,
    /// because a bit of the map has flipped, is found before this process first stores there: a store into a hole would
    /// be a signal on a full disk, and a block that nobody has charged on any other.
    pub(super) fn ensure_block(&self, section: &Section<'_>, room: &dyn Room, block: u64) -> io::Result<bool> {
        if self.is_known_whole(block)? {
            return Ok(true);
        }
        let lock = || self.blocks.try_claim_all(block..block + 1).transpose();
        // Who has it needs as long as it takes to allocate a block.
        let claim = within(BLOCK_PATIENCE, lock).transpose()?;
        let Some(_claim) = claim else { return Ok(false) };
        // What was allocated and never stored to looks like a hole, and is charged twice until the next recount.
        if self.may_be_stored_to(block)? {
            return Ok(true);
        }
        let charge = block_charge(self.unit);
        if !room.reserve(section, charge) {
            return Ok(false);
        }
        let (file, range) = (self.index.file(), self.index.layout().block(block));
        let marked = file.allocate(range.clone()).and_then(|()| self.index.mark(block, true));
        if marked.is_ok() {
            self.whole_blocks.lock().insert(block..block + 1);
        } else if self.index.is_marked(block)? {
            // There is a mark already, and there may be words: how much of it was taken only a recount can tell.
            section.want_recount();
        } else {
            // Nobody stores into a block without a mark, so what was taken of it can go; and then its charge.
            match file.punch(range) {
                Ok(()) => section.uncharge(charge),
                Err(_) => section.want_recount(),
            }
        }
        marked.map(|()| true)
    }

    /// Whether a block is allocated, as its mark says, and may be stored to. The first look at each block is at the
    /// disk.
    pub(super) fn may_be_stored_to(&self, block: u64) -> io::Result<bool> {
        if self.is_known_whole(block)? {
            return Ok(true);
        }
        let whole = self.index.is_marked(block)? && is_whole(self.index.file(), &self.index.layout().block(block))?;
        if whole {
            self.whole_blocks.lock().insert(block..block + 1);
        }
        Ok(whole)
    }

    /// The same without a look at the disk, so that it may be so though this process does not know it.
    fn is_known_whole(&self, block: u64) -> io::Result<bool> {
        Ok(self.index.is_marked(block)? && self.whole_blocks.lock().contains(block..block + 1))
    }
}
