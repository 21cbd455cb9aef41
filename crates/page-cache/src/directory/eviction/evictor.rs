//! Making room: in the name of who needs it, and ahead of need.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use svf_core::RangeSet;

use super::candidates::{Candidates, LOOKS, LOOKS_AT_FEW};
use super::hollow::Hollow;
use super::recent_uses::length_of_use;
use super::roster::{self, Roster};
use super::stamp::{Period, Stamp};
use crate::directory::budget::{Budget, Section};
use crate::directory::files::{Files, is_damage};
use crate::directory::heads;
use crate::directory::key_locks::KeyLocks;
use crate::directory::maintenance::Maintenance;
use crate::directory::name::{self, KeyHash};
use crate::directory::pair::{self, Counted, EXTENT, Index, Pair, Room};
use crate::directory::pairs::{self, Pairs};
use crate::sync::Mutex;

/// How long who was told to evict waits for a recount.
const SECTION_PATIENCE: Duration = Duration::from_secs(10);
/// Below this limit, in bytes, there are only few extents.
pub(super) const FEW: u64 = 64 << 20;
/// How often something else is tried if what was chosen could not go.
const ATTEMPTS: usize = 16;
/// How often room is made for one page that others take.
const ROUNDS: usize = 256;

/// What happens when the limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// What can best be done without goes.
    #[default]
    Evict,
    /// Nothing more is stored; what is stored stays, and the rest is read from its origin.
    Stop,
}

/// What chooses and evicts, in one process.
#[derive(Debug, Default)]
pub(crate) struct Evictor {
    choice: Mutex<Choice>,
    pub(super) hollow: Hollow,
    /// Whether the operator has been told that something cannot be evicted.
    warned: AtomicBool,
    /// How many bytes had been filled when the uses of this process were last written down.
    folded: AtomicU64,
}

#[derive(Debug, Default)]
struct Choice {
    roster: Roster,
    /// Whether a thread is listing the directory, while others choose from what was listed before.
    is_listing: bool,
    candidates: Candidates<Extent>,
}

impl Evictor {
    /// Sees to it that there is something to choose from; false if it would better be listed anew, which may take seconds
    /// and is left to the thread of the directory as long as there is a choice. Only who has none waits.
    fn has_choice(&self, files: &Files, now: Period) -> io::Result<bool> {
        let mut choice = self.choice.lock();
        if !choice.roster.is_usable() {
            choice.roster = Roster::list(files, now)?;
        }
        Ok(choice.roster.is_good(now) || choice.is_listing)
    }

    /// Whether so much was filled since the uses of this process were written down that a use which is written down now may
    /// seem to be another one than the fill it belongs to.
    fn is_fold_due(&self, budget: &Budget) -> bool {
        budget.filled().abs_diff(self.folded.load(Ordering::Relaxed)) >= length_of_use(budget.max_bytes(), EXTENT) / 2
    }

    /// Notes that the uses of this process are written down now.
    pub(crate) fn note_fold(&self, budget: &Budget) {
        self.folded.store(budget.filled(), Ordering::Relaxed);
    }

    /// Lists the directory, if there is a choice that has become old. Others choose from it meanwhile.
    fn refresh(&self, files: &Files, now: Period) -> io::Result<()> {
        let mut choice = self.choice.lock();
        if choice.roster.is_empty() || choice.roster.is_good(now) || choice.is_listing {
            return Ok(());
        }
        choice.is_listing = true;
        drop(choice);
        let listed = Roster::list(files, now);
        let mut choice = self.choice.lock();
        choice.is_listing = false;
        choice.roster = listed?;
        Ok(())
    }
}

/// An extent of a pair.
#[derive(Debug, Clone)]
struct Extent {
    pair: Arc<str>,
    number: u64,
    /// Whether the object has no other extent.
    is_all: bool,
    /// The pair, as long as anybody has it open: then its stamps can be looked at for nothing.
    open: Weak<Pair>,
}

impl PartialEq for Extent {
    fn eq(&self, other: &Self) -> bool {
        (self.number, &self.pair) == (other.number, &other.pair)
    }
}

/// What was seen of a pair.
#[derive(Debug)]
enum Look {
    Stored(Extent, Stamp),
    Empty,
    /// It is not there any more, or not what it should be.
    Gone,
}

/// What an evictor works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stock<'a> {
    pub(in crate::directory) files: &'a Files,
    pub(in crate::directory) budget: &'a Budget,
    pub(in crate::directory) pairs: &'a Pairs,
    pub(in crate::directory) keys: &'a KeyLocks,
    pub(in crate::directory) evictor: &'a Evictor,
    pub(in crate::directory) maintenance: &'a Maintenance,
    pub(in crate::directory) when_full: WhenFull,
}

impl Room for Stock<'_> {
    fn may_fit(&self, bytes: u64) -> bool {
        let taken = match self.when_full {
            WhenFull::Evict => self.budget.fixed(),
            WhenFull::Stop => self.budget.used(),
        };
        taken.checked_add(bytes).is_some_and(|sum| sum <= self.budget.max_bytes())
    }

    fn reserve(&self, section: &Section<'_>, bytes: u64) -> bool {
        // Others reserve what was just given back as well, so this may take more than once.
        let (mut rounds, mut failed) = (0, Vec::new());
        while !section.reserve(bytes) {
            let hopeless = self.when_full == WhenFull::Stop || bytes > self.budget.max_bytes();
            if hopeless || failed.len() == ATTEMPTS || rounds == ROUNDS {
                return false;
            }
            rounds += 1;
            self.evict_one(section, &mut failed);
        }
        if self.when_full == WhenFull::Evict && self.budget.is_short() {
            self.maintenance.make_room();
        } else if self.evictor.is_fold_due(self.budget) {
            self.maintenance.look();
        }
        true
    }
}

impl Stock<'_> {
    /// Evicts one extent, about the one that can best be done without, but none of those that have just `failed`. If it
    /// could not go, or none was found, that is added to them.
    fn evict_one(&self, section: &Section<'_>, failed: &mut Vec<Option<Extent>>) {
        let mut chosen = None;
        let freed = self.try_evict_one(section, failed, &mut chosen).unwrap_or_else(|error| {
            // Once: a disk that is dying would else fill the log.
            if !self.evictor.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(path = %self.files.root.display(), %error, "something cannot be evicted");
            }
            0
        });
        if freed == 0 {
            failed.push(chosen);
        } else {
            failed.clear();
        }
    }

    /// Returns how much less is charged.
    fn try_evict_one(
        &self,
        section: &Section<'_>,
        failed: &[Option<Extent>],
        chosen: &mut Option<Extent>,
    ) -> io::Result<u64> {
        let freed = self.look_about(section)?;
        if freed > 0 {
            return Ok(freed);
        }
        let unchanged_or_now = |extent: &Extent, stamp: Stamp| match extent.open.upgrade() {
            // Others are working on it.
            _ if failed.iter().flatten().any(|failed| failed == extent) => None,
            Some(pair) => pair.stamp(extent.number).ok(),
            None => Some(stamp),
        };
        *chosen = self.evictor.choice.lock().candidates.take_stalest(self.budget.now(), unchanged_or_now);
        let Some(Extent { pair: name, number, is_all, open }) = chosen.clone() else { return Ok(0) };
        if is_all && open.strong_count() == 0 {
            let freed = self.delete_all_of(section, &name);
            if freed > 0 {
                return Ok(freed);
            }
        }
        let Some(pair) = self.open(&name)? else { return Ok(0) };
        pair.reconcile(self.budget);
        if !pair.is_reconciled(self.budget) {
            return Ok(0);
        }
        let freed = pair.evict_extent(section, number)?;
        tracing::debug!(pair = pair.name(), extent = number, freed, "evicted");
        let Some(block) = pair.hollow_block(number)? else { return Ok(freed) };
        if pair.any_extent(0)?.is_none() {
            drop(pair);
            return Ok(freed + self.delete_empty(section, &name));
        }
        self.evictor.hollow.note(name, block..block + 1);
        Ok(freed)
    }

    /// Adds a few extents of all there are to the candidates, and deletes the pairs in which it finds nothing; returns how
    /// much less is charged because of that.
    fn look_about(&self, section: &Section<'_>) -> io::Result<u64> {
        let looks = if self.budget.max_bytes() < FEW { LOOKS_AT_FEW } else { LOOKS };
        let mut random = fastrand::Rng::new();
        if !self.evictor.has_choice(self.files, self.budget.now())? {
            if self.maintenance.is_running() {
                self.maintenance.make_room();
            } else {
                self.evictor.refresh(self.files, self.budget.now())?;
            }
        }
        // Nobody else has to wait while this looks at the disk.
        let chosen: Vec<Arc<str>> = {
            let choice = self.evictor.choice.lock();
            (0..looks).map_while(|_| choice.roster.choose(&mut random)).collect()
        };
        let (mut freed, mut found, mut trouble) = (0, Vec::with_capacity(chosen.len()), None);
        for name in chosen {
            match self.look_at(&name, random.u64(..)) {
                Ok(Look::Stored(extent, stamp)) => found.push((extent, stamp)),
                Ok(Look::Empty) => {
                    freed += self.delete_empty(section, &name);
                    self.evictor.choice.lock().roster.remove(&name);
                }
                Ok(Look::Gone) => self.evictor.choice.lock().roster.remove(&name),
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = trouble.filter(|_| found.is_empty() && freed == 0) {
            return Err(error);
        }
        let candidates = &mut self.evictor.choice.lock().candidates;
        found.into_iter().for_each(|(extent, stamp)| candidates.offer(extent, stamp));
        Ok(freed)
    }

    /// Looks at any one extent of a pair, and opens no more than the index for it.
    fn look_at(&self, name: &Arc<str>, random: u64) -> io::Result<Look> {
        let look = |index: &Index| Ok((index.any_extent(random)?, index.layout().extents() == 1));
        let (seen, open) = match self.pairs.peek(name) {
            Some(pair) => (look(pair.index()), Arc::downgrade(&pair)),
            None => (pair::look_at(self.files, name).and_then(|index| look(&index)), Weak::new()),
        };
        match seen {
            Ok((Some((number, stamp)), is_all)) => {
                Ok(Look::Stored(Extent { pair: Arc::clone(name), number, is_all, open }, stamp))
            }
            Ok((None, _)) => Ok(Look::Empty),
            // Whoever opens the object finds out what is wrong with it.
            Err(error) if is_damage(&error) => Ok(Look::Gone),
            Err(error) => Err(error),
        }
    }

    /// Notes blocks of the index of a pair in which nothing seems to be any more.
    pub(crate) fn note_hollow(&self, name: &str, blocks: &RangeSet) {
        blocks.iter().for_each(|blocks| self.evictor.hollow.note(name.into(), blocks));
    }

    /// Makes room before somebody needs it, if there is little left, unless another process is at it. Lists the directory
    /// before, if that was not done for long.
    pub(crate) fn evict_ahead(&self) {
        // Outside of sections: who wants to recount need not wait for it.
        if let Err(error) = self.evictor.refresh(self.files, self.budget.now()) {
            tracing::warn!(path = %self.files.root.display(), %error, "the directory cannot be listed");
        }
        if !self.budget.is_short() || !self.budget.control().try_lock_evictor().unwrap_or(false) {
            return;
        }
        let mut failed = Vec::new();
        while !self.budget.is_short_no_more() && failed.len() < ATTEMPTS {
            // One section for each, so that a recount need not wait for all.
            let Some(section) = self.budget.enter() else { break };
            self.evict_one(&section, &mut failed);
        }
        self.budget.control().unlock_evictor();
    }

    /// Evicts until no more than this is charged: first what can best be done without, and then whatever is not to be
    /// kept and nobody is working on. Whether it came so far.
    pub(crate) fn evict_to(&self, bytes: u64) -> io::Result<bool> {
        let mut failed = Vec::new();
        while self.budget.used() > bytes && failed.len() < ATTEMPTS {
            let Some(section) = self.budget.enter_within(SECTION_PATIENCE) else { return Ok(false) };
            self.evict_one(&section, &mut failed);
        }
        if self.budget.used() <= bytes {
            return Ok(true);
        }
        for name in roster::names(self.files)? {
            if self.budget.used() <= bytes {
                break;
            }
            self.evict_from(&name, || self.budget.used() > bytes)?;
        }
        Ok(self.budget.used() <= bytes)
    }

    /// Evicts what nobody has used since a moment, or ever; nothing if there is no such moment.
    pub(crate) fn evict_unused_since(&self, moment: Option<SystemTime>) -> io::Result<()> {
        let Some(moment) = moment else { return Ok(()) };
        for name in roster::names(self.files)? {
            let last_used = match self.pairs.peek(&name) {
                Some(pair) => pair.last_used(),
                None => pair::look_at(self.files, &name).and_then(|index| index.last_used()),
            };
            let is_old = match last_used {
                Ok(last_used) => last_used.is_none_or(|used| used <= moment),
                Err(error) if is_damage(&error) => false,
                Err(error) => return Err(error),
            };
            if is_old {
                self.evict_from(&name, || true)?;
            }
        }
        Ok(())
    }

    /// Evicts what a pair has and is not to be kept, extent by extent, as long as `goes_on`; and the pair, if nothing is
    /// left of it then.
    pub(crate) fn evict_from(&self, name: &str, goes_on: impl Fn() -> bool) -> io::Result<()> {
        let Some(pair) = self.open(name)? else { return Ok(()) };
        pair.reconcile(self.budget);
        if !pair.is_reconciled(self.budget) {
            return Ok(());
        }
        for extent in pair.extents()? {
            let Some(section) = self.budget.enter_within(SECTION_PATIENCE).filter(|_| goes_on()) else { return Ok(()) };
            pair.evict_extent(&section, extent)?;
        }
        let is_empty = pair.any_extent(0)?.is_none();
        drop(pair);
        if let Some(section) = self.budget.enter_within(SECTION_PATIENCE).filter(|_| is_empty && goes_on()) {
            self.delete_empty(&section, name);
        }
        Ok(())
    }

    /// Deletes a pair of which nothing is stored any more, with its head, unless somebody works on it, and returns how
    /// much less is charged.
    fn delete_empty(&self, section: &Section<'_>, name: &str) -> u64 {
        self.delete(section, name, |pair| Ok(pair.any_extent(0)?.is_none()))
    }

    /// The same with all that is stored of it. So a small object goes by one opening, where it would else be opened to be
    /// evicted from, and once more to be deleted.
    pub(crate) fn delete_all_of(&self, section: &Section<'_>, name: &str) -> u64 {
        self.delete(section, name, |pair| Ok(pair.is_reconciled(self.budget)))
    }

    /// Deletes a pair with its head, if nobody works on it, nothing of it is to be kept, and it `may_go` then; returns how
    /// much less is charged.
    fn delete(&self, section: &Section<'_>, name: &str, may_go: impl Fn(&Pair) -> io::Result<bool>) -> u64 {
        self.pairs.close_if_idle(name);
        let Some(head) = name::head_of_pair(name) else { return 0 };
        let lock = KeyHash::from_file_name(head).and_then(|key| self.keys.lock(self.budget, key, Duration::ZERO));
        // Somebody is just opening the object.
        let Some(_lock) = lock else { return 0 };
        let path = self.files.heads().join(head);
        let unwanted = |pair: Option<&Pair>| {
            let may_go = |pair: &Pair| Ok::<_, io::Error>(may_go(pair)? && pair.kept()?.is_empty());
            // The head first: without it the pair is nobody's, and the next recount deletes it.
            pair.is_some_and(|pair| may_go(pair).unwrap_or(false))
                && match heads::read(self.files, &path) {
                    Ok(Some(head)) if head.pair == name => self.files.remove(&path),
                    Ok(_) => true,
                    Err(_) => false,
                }
        };
        match pairs::delete(self.files, self.budget, name, unwanted) {
            Ok(Some(Counted { charge, pages, .. })) => {
                section.uncharge(charge);
                section.count_evicted(pages);
                charge
            }
            Ok(None) => 0,
            Err(error) => {
                section.want_recount();
                tracing::warn!(pair = name, %error, "a pair that nothing is left of cannot be deleted");
                0
            }
        }
    }

    /// A pair by its name, as this process has it open, or opened for this; none if it is gone or damaged.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<Arc<Pair>>> {
        if let Some(pair) = self.pairs.peek(name) {
            return Ok(Some(pair));
        }
        match pair::open_pair(self.files, name, None) {
            Ok(pair) => Ok(Some(Arc::new(pair))),
            // Whoever opens the object finds out what is wrong with it.
            Err(error) if is_damage(&error) || error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn total(ranges: impl Iterator<Item = std::ops::Range<u64>>) -> u64 {
    ranges.map(|range| range.end - range.start).sum()
}
