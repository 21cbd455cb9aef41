//! What is to stay, whoever needs room: extents with a stamp of their own, on the medium.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::time::Duration;

use svf_core::RangeSet;

use super::entry_word::EntryWord;
use super::index::Index;
use super::{Pair, Room, block_charge, fixed_charge, page_charge};
use crate::directory::budget::{Budget, Section, within};
use crate::directory::eviction::Stamp;
use crate::pages::overlap;

/// How long a recount is waited for, and an evictor that is just giving back what is to be kept.
const PATIENCE: Duration = Duration::from_secs(10);

/// What of a pair cannot go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KeptOf {
    /// Bytes that are stored and to be kept.
    pub(crate) bytes: u64,
    /// Bytes that are charged for these, at least: also for the pair itself.
    pub(crate) charge: u64,
}

/// Extents that were not to be kept before, and how those of them were used that ever were.
#[derive(Debug, Default)]
struct Before {
    extents: RangeSet,
    stamps: HashMap<u64, Stamp>,
}

impl Pair {
    /// Has the extents of these pages stay, whoever uses them. False if there is no room to take that down; then all is
    /// as it was, as after an error. The pair is reconciled.
    ///
    /// A block of stamps is a section of its own, so that nobody who counts waits for all of them.
    pub(crate) fn keep(&self, budget: &Budget, room: &dyn Room, pages: &Range<u64>) -> io::Result<bool> {
        let Some((extents, blocks)) = self.extents_and_blocks(pages) else { return Ok(true) };
        let marked = || Ok::<_, io::Error>(self.index.marked(blocks.clone())?.len() as u64);
        let marked_before = marked()?;
        let missing = blocks.end - blocks.start - marked_before;
        // Before anything goes for it.
        if missing > 0 && !room.may_fit(missing.saturating_mul(block_charge(self.unit))) {
            return Ok(false);
        }
        let mut before = Before::default();
        let kept = self.mark_kept(budget, room, &extents, &mut before).and_then(|kept| {
            if kept {
                self.wait_for_evictors(&extents)?;
                // What was asked for once should not have to be asked for again after a power cut.
                self.sync()?;
            }
            Ok(kept)
        });
        if !matches!(kept, Ok(true)) {
            self.unmark_kept(budget, &before)?;
            // What was taken for it says nothing now, and is given back when all is counted.
            if marked()? > marked_before {
                budget.control().want_recount(true);
            }
        }
        kept
    }

    /// Has the extents of these pages go again when their time comes. The pair is reconciled.
    pub(crate) fn release(&self, budget: &Budget, pages: &Range<u64>) -> io::Result<()> {
        let Some((extents, blocks)) = self.extents_and_blocks(pages) else { return Ok(()) };
        let now = budget.now();
        for block in self.index.marked(blocks)? {
            let _section = enter(budget)?;
            if !self.may_be_stored_to(block)? {
                continue;
            }
            for (extent, _) in self.stamps_of(block, &extents)?.into_iter().filter(|(_, stamp)| stamp.is_kept()) {
                let released = |stamp: Stamp| if stamp.is_kept() { Stamp::NEVER.used(now, true) } else { stamp };
                self.index.restamp(extent, released)?;
            }
        }
        self.index.file().sync()
    }

    /// The pages whose extents are to be kept.
    pub(crate) fn kept(&self) -> io::Result<RangeSet> {
        self.index.kept()
    }

    /// Waits until all that is stored of it is on the medium, and what vouches for it.
    fn sync(&self) -> io::Result<()> {
        self.data.file().sync()?;
        self.index.file().sync()
    }

    /// The extents of some pages, and the blocks that have their stamps; none of no pages.
    fn extents_and_blocks(&self, pages: &Range<u64>) -> Option<(Range<u64>, Range<u64>)> {
        let layout = self.index.layout();
        let last = pages.end.checked_sub(1).filter(|&last| last >= pages.start)?;
        let extents = layout.extent_of(pages.start)..layout.extent_of(last) + 1;
        let blocks = layout.stamp_block_of(extents.start)..layout.stamp_block_of(extents.end - 1) + 1;
        Some((extents, blocks))
    }

    /// The stamps of a block that are those of some extents, each with its extent.
    fn stamps_of(&self, block: u64, extents: &Range<u64>) -> io::Result<Vec<(u64, Stamp)>> {
        let (stamps, all) = (self.index.stamps_of(block)?, self.index.layout().extents_of_stamp_block(block));
        Ok(all.zip(stamps).filter(|(extent, _)| extents.contains(extent)).collect())
    }

    /// Whether there was room to take all of it down. What it has changed is in `before`, in any case.
    fn mark_kept(
        &self,
        budget: &Budget,
        room: &dyn Room,
        extents: &Range<u64>,
        before: &mut Before,
    ) -> io::Result<bool> {
        let layout = *self.index.layout();
        for block in layout.stamp_block_of(extents.start)..layout.stamp_block_of(extents.end - 1) + 1 {
            let section = enter(budget)?;
            if !self.ensure_block(&section, room, block)? {
                return Ok(false);
            }
            let not_kept = self.stamps_of(block, extents)?.into_iter().filter(|(_, stamp)| !stamp.is_kept());
            for (extent, stamp) in not_kept {
                before.extents.insert(extent..extent + 1);
                if stamp != Stamp::NEVER {
                    before.stamps.insert(extent, stamp);
                }
                self.index.restamp(extent, |_| Stamp::KEPT)?;
            }
            // It is no old one, though nobody has read anything of it yet.
            self.note_time();
        }
        Ok(true)
    }

    /// Makes stamps what they were.
    fn unmark_kept(&self, budget: &Budget, before: &Before) -> io::Result<()> {
        let layout = *self.index.layout();
        for run in &before.extents {
            for block in layout.stamp_block_of(run.start)..layout.stamp_block_of(run.end - 1) + 1 {
                let _section = enter(budget)?;
                for extent in overlap(&layout.extents_of_stamp_block(block), &run) {
                    let stamp = before.stamps.get(&extent).copied().unwrap_or(Stamp::NEVER);
                    self.index.restamp(extent, |_| stamp)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for those who looked whether these extents are to be kept before they were, and are giving them back: what
    /// is held afterwards stays. Who evicts looks under the locks of the pages, and takes them only from readers later.
    fn wait_for_evictors(&self, extents: &Range<u64>) -> io::Result<()> {
        for extent in self.extents()?.into_iter().filter(|extent| extents.contains(extent)) {
            let pages = self.pages_of_extent(extent);
            let is_free = || {
                let present = self.present_of(&pages)?;
                let claim = self.page_locks().try_claim(&present)?;
                Ok::<_, io::Error>((*claim.ranges() == present).then_some(()))
            };
            within(PATIENCE, || is_free().transpose()).transpose()?.ok_or_else(busy)?;
        }
        Ok(())
    }

    fn present_of(&self, pages: &Range<u64>) -> io::Result<RangeSet> {
        let mut present = RangeSet::new();
        for run in self.index.runs_with_words(pages)? {
            let words = run.clone().zip(self.index.load_run(&run)?);
            present.extend(words.filter(|(_, word)| word.is_present()).map(|(page, _)| page..page + 1));
        }
        Ok(present)
    }
}

impl Index {
    /// The pages whose extents are to be kept.
    pub(crate) fn kept(&self) -> io::Result<RangeSet> {
        let (layout, mut kept) = (*self.layout(), RangeSet::new());
        for block in self.marked(0..layout.table_blocks().start)? {
            let first = layout.extents_of_stamp_block(block);
            for (extent, _) in first.zip(self.stamps_of(block)?).filter(|(_, stamp)| stamp.is_kept()) {
                kept.insert(layout.pages_of_extent(extent));
            }
        }
        Ok(kept)
    }

    /// What is stored and to be kept, where the file system allocates by such units.
    pub(crate) fn kept_of(&self, unit: u64) -> io::Result<KeptOf> {
        let (layout, kept) = (*self.layout(), self.kept()?);
        let mut sum = KeptOf::default();
        if kept.is_empty() {
            return Ok(sum);
        }
        sum.charge = fixed_charge(&layout, unit).saturating_add(block_charge(unit));
        for pages in &kept {
            for run in self.runs_with_words(&pages)? {
                for (page, word) in run.clone().zip(self.load_run(&run)?) {
                    let bytes = layout.pages.bytes(page);
                    if word.is_present() {
                        sum.bytes += bytes.end - bytes.start;
                    }
                    if word != EntryWord::EMPTY {
                        sum.charge += page_charge(bytes.end - bytes.start, unit);
                    }
                }
            }
        }
        Ok(sum)
    }
}

fn enter(budget: &Budget) -> io::Result<Section<'_>> {
    budget.enter_within(PATIENCE).ok_or_else(busy)
}

fn busy() -> io::Error {
    io::ErrorKind::ResourceBusy.into()
}
