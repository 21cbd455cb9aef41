//! What goes: extents of pages, and which of them somebody uses or wants to keep.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use svf_core::RangeSet;

use super::entry_word::EntryWord;
use super::words::withdraw;
use super::{Pair, Words};
use crate::directory::budget::{Budget, Section};
use crate::directory::eviction::{Stamp, Use, length_of_use};

/// The longest range that is given back by one call: a hit that has to wait behind it waits no longer than that takes.
const LONGEST_PUNCH: u64 = 1 << 20;

impl Pair {
    /// See [`Index::any_extent`](super::index::Index::any_extent).
    pub(crate) fn any_extent(&self, random: u64) -> io::Result<Option<(u64, Stamp)>> {
        self.index.any_extent(random)
    }

    /// How an extent was used, as far as that is known.
    pub(crate) fn stamp(&self, extent: u64) -> io::Result<Stamp> {
        self.index.stamp(extent)
    }

    /// All extents of which something may be stored, in order.
    pub(crate) fn extents(&self) -> io::Result<Vec<u64>> {
        let layout = *self.index.layout();
        let mut extents: Vec<u64> = Vec::new();
        for block in self.index.marked(layout.table_blocks())? {
            let pages = layout.pages_of(block);
            for (page, _) in pages.clone().zip(self.index.load_run(&pages)?).filter(|(_, word)| !word.is_empty()) {
                let extent = layout.extent_of(page);
                if extents.last() != Some(&extent) {
                    extents.push(extent);
                }
            }
        }
        Ok(extents)
    }

    /// How many of its pages this process has evicted, while it had it open.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The pages of an extent.
    pub(crate) fn pages_of_extent(&self, extent: u64) -> Range<u64> {
        self.index.layout().pages_of_extent(extent)
    }

    /// Gives back what is stored of these pages, but for what others are just working on, and returns how much less is
    /// charged. The pair is reconciled.
    ///
    /// Withdrawn → punched → `EMPTY` → uncharged: in this order, so that whoever dies in between leaves too much charged.
    pub(crate) fn evict(&self, section: &Section<'_>, pages: Range<u64>) -> io::Result<u64> {
        self.evict_if(section, pages, || Ok(true))
    }

    /// The same of an extent, unless it is to be kept. Under the locks of its pages: who has had it kept waits for these.
    pub(crate) fn evict_extent(&self, section: &Section<'_>, extent: u64) -> io::Result<u64> {
        self.evict_if(section, self.pages_of_extent(extent), || Ok(!self.stamp(extent)?.is_kept()))
    }

    fn evict_if(
        &self,
        section: &Section<'_>,
        pages: Range<u64>,
        may_go: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<u64> {
        let claim = self.page_locks().try_claim(&[pages].into_iter().collect())?;
        let mut freed = 0;
        if !may_go()? {
            return Ok(freed);
        }
        for run in claim.ranges() {
            for part in self.index.runs_with_words(&run)?.collect::<Vec<_>>() {
                freed += self.evict_claimed(section, part)?;
            }
        }
        Ok(freed)
    }

    fn evict_claimed(&self, section: &Section<'_>, run: Range<u64>) -> io::Result<u64> {
        let words = run.clone().zip(self.index.load_run(&run)?);
        let stored: RangeSet = words.filter(|(_, word)| !word.is_empty()).map(|(page, _)| page..page + 1).collect();
        let mut freed = 0;
        for pages in &stored {
            withdraw(&self.index, pages.clone())?;
            self.punch(&pages)?;
            let (mut charge, count) = (0, pages.end - pages.start);
            for page in pages {
                self.index.store(page, EntryWord::EMPTY)?;
                charge += self.page_charge(page);
            }
            section.uncharge(charge);
            section.count_evicted(count);
            self.evicted.fetch_add(count, Ordering::Relaxed);
            freed += charge;
        }
        Ok(freed)
    }

    /// Gives back the blocks of pages.
    fn punch(&self, pages: &Range<u64>) -> io::Result<()> {
        let bytes = self.pages().bytes_of_run(pages.clone());
        let (mut start, end) = (bytes.start, bytes.end.next_multiple_of(self.unit));
        while start < end {
            let next = end.min(start + LONGEST_PUNCH);
            self.data.file().punch(start..next)?;
            start = next;
        }
        Ok(())
    }

    /// See [`Index::last_used`](super::index::Index::last_used).
    pub(crate) fn last_used(&self) -> io::Result<Option<SystemTime>> {
        self.index.last_used()
    }

    /// Writes the uses that this process has noted where all processes see them.
    pub(crate) fn fold_uses(&self, budget: &Budget) {
        let Some(_section) = budget.enter() else { return };
        // Before it is reconciled what is to be stored to may be a hole.
        if !self.is_reconciled(budget) {
            return;
        }
        let layout = *self.index.layout();
        let mut used: Option<Range<u64>> = None;
        let was_used = self.verified.take_used(|page| match &mut used {
            Some(pages) if layout.extent_of(pages.start) == layout.extent_of(page) => pages.end = page + 1,
            _ => {
                if let Some(pages) = used.replace(page..page + 1) {
                    self.note_use(budget, &pages, || false);
                }
            }
        });
        if let Some(pages) = used {
            self.note_use(budget, &pages, || false);
        }
        if was_used {
            self.note_time();
        }
    }

    /// Takes down that it is used now.
    pub(super) fn note_time(&self) {
        let seconds = UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
        // Whoever uses it meanwhile writes the same.
        if self.index.last_used_second().is_ok_and(|last| last != seconds)
            && let Err(error) = self.index.set_last_used(seconds)
        {
            self.warn("uses cannot be written down", &error);
        }
    }

    /// Takes down that pages were stored: a use of each of their extents. The caller is in a section.
    pub(super) fn note_fill(&self, budget: &Budget, run: &Range<u64>) {
        let layout = self.index.layout();
        for extent in layout.extent_of(run.start)..=layout.extent_of(run.end.saturating_sub(1)) {
            let all = layout.pages_of_extent(extent);
            let is_held = |page: u64| self.index.load(page).is_ok_and(EntryWord::is_present);
            let anew = || !all.clone().any(|page| !run.contains(&page) && is_held(page));
            self.note_use(budget, &(run.start.max(all.start)..run.end.min(all.end)), anew);
        }
        self.note_time();
    }

    /// Takes down a use of pages of one extent: of what is stored, or of what is stored `anew`. The caller is in a section.
    fn note_use(&self, budget: &Budget, pages: &Range<u64>, anew: impl FnOnce() -> bool) {
        let (now, layout) = (budget.now(), self.index.layout());
        let extent = layout.extent_of(pages.start);
        let length = length_of_use(budget.max_bytes(), layout.extent_len());
        let anew = match self.recent.note(extent, pages, budget.filled(), length, Instant::now()) {
            Use::Same => return,
            Use::GoesOn => None,
            Use::Another => Some(anew()),
        };
        let change = |stamp: Stamp| anew.map_or_else(|| stamp.lasting(now), |anew| stamp.used(now, anew));
        // A block that cannot be stored to costs no more than a good guess.
        let noted = self
            .may_be_stored_to(layout.stamp_block_of(extent))
            .and_then(|may_be| if may_be { self.index.restamp(extent, change) } else { Ok(()) });
        if let Err(error) = noted {
            self.warn("uses cannot be written down", &error);
        }
    }
}
