//! What goes: extents of pages, and which of them somebody uses or wants to keep.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use svf_core::RangeSet;

use super::entry_word::EntryWord;
use super::words::withdraw;
use super::{Pair, Words, block_charge, fixed_charge};
use crate::directory::budget::{Budget, Section};
use crate::directory::eviction::{Stamp, Use, length_of_use};

/// The longest range that is given back by one call: a hit that has to wait behind it waits no longer than that takes.
const LONGEST_PUNCH: u64 = 1 << 20;

impl Pair {
    /// Whether nothing is stored.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        self.index.is_empty()
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
    /// Withdrawn → punched → `EMPTY` → uncharged: in this order, so that whoever dies in between leaves too much
    /// charged.
    pub(crate) fn evict(&self, section: &Section<'_>, pages: Range<u64>) -> io::Result<u64> {
        self.evict_if(section, pages, || Ok(true))
    }

    /// The same of an extent, unless it is to be kept. Under the locks of its pages: who has had it kept waits for
    /// these.
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
        let words: Vec<_> = run.clone().zip(self.index.load_run(&run)?).collect();
        let in_state = |is_present: bool| -> RangeSet {
            let words = words.iter().filter(|(_, word)| !word.is_empty() && word.is_present() == is_present);
            words.map(|(page, _)| *page..*page + 1).collect()
        };
        let mut freed = 0;
        // What nobody reads any more goes first: should the disk not punch, nothing more is lost.
        for pages in in_state(false).iter().chain(in_state(true).iter()) {
            withdraw(&self.index, pages.clone())?;
            self.punch(&pages).inspect_err(|_| self.unpunched.store(true, Ordering::Relaxed))?;
            let (mut charge, mut count) = (0, 0);
            let emptied: io::Result<()> = pages.into_iter().try_for_each(|page| {
                self.index.store(page, EntryWord::EMPTY)?;
                charge += self.page_charge(page);
                count += 1;
                Ok(())
            });
            section.uncharge(charge);
            section.count_evicted(count);
            self.evicted.fetch_add(count, Ordering::Relaxed);
            freed += charge;
            if emptied.is_err() {
                section.want_recount();
            }
            emptied?;
        }
        Ok(freed)
    }

    /// Whether something of it could not be punched since this was last asked.
    pub(crate) fn take_unpunched(&self) -> bool {
        self.unpunched.swap(false, Ordering::Relaxed)
    }

    /// What cannot go of it as long as it is open, in bytes: what a pair is charged without pages, and what is stored
    /// to be kept.
    pub(crate) fn fixed_bytes(&self) -> io::Result<u64> {
        let (layout, mut bytes) = (self.index.layout(), fixed_charge(self.index.layout(), self.unit));
        for kept in &self.kept()? {
            for run in self.index.runs_with_words(&kept)? {
                let words = run.clone().zip(self.index.load_run(&run)?);
                bytes +=
                    words.filter(|(_, word)| !word.is_empty()).map(|(page, _)| self.page_charge(page)).sum::<u64>();
            }
        }
        Ok(bytes + self.index.marked(layout.all_blocks())?.len() as u64 * block_charge(self.unit))
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

    /// Takes down a use of pages of one extent: of what is stored, or of what is stored `anew`. The caller is in a
    /// section.
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
