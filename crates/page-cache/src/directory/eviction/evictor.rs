//! Making room: in the name of who needs it, and ahead of need.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use svf_core::RangeSet;

use super::candidates::{Candidates, LOOKS, LOOKS_AT_FEW};
use super::extent::Extent;
use super::hollow::Hollow;
use super::obstacles::{Obstacles, Punches};
use super::recent_uses::length_of_use;
use super::roster::{self, Roster};
use super::stamp::{Period, Stamp};
use crate::directory::budget::{Budget, Section};
use crate::directory::charges::DIRECTORY_CHARGE;
use crate::directory::files::{Files, is_damage};
use crate::directory::key_locks::KeyLocks;
use crate::directory::maintenance::Maintenance;
use crate::directory::pair::{self, EXTENT, Index, Pair, Room};
use crate::directory::pairs::{Pairs, is_out_of_descriptors};
use crate::sync::Mutex;

/// Below this limit, in bytes, there are only few extents.
pub(super) const FEW: u64 = 64 << 20;
/// How often something else is tried if what was chosen could not go.
pub(super) const ATTEMPTS: usize = 16;
/// How often room is made for one page that others take, if twice as much as it needs has gone by then.
const ROUNDS: usize = 256;
/// A page that is more than one part of so many of the limit may not fit, whatever goes for it.
const LARGE: u64 = 4;
/// For how long room is made ahead of need before something else is done.
const ROUND: Duration = Duration::from_millis(100);
/// For how long all that is stored is searched for something that can go.
const WALK: Duration = Duration::from_millis(50);

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
    obstacles: Obstacles,
    /// Whether room was being made ahead of need when something else had to be done.
    unfinished: AtomicBool,
}

#[derive(Debug, Default)]
struct Choice {
    roster: Roster,
    /// Whether a thread is listing the directory, while others choose from what was listed before.
    is_listing: bool,
    candidates: Candidates<Extent>,
}

impl Evictor {
    /// Sees to it that there is something to choose from; false if it would better be listed anew, which may take
    /// seconds and is left to the thread of the directory as long as there is a choice. Only who has none waits.
    fn has_choice(&self, files: &Files, now: Period) -> io::Result<bool> {
        let mut choice = self.choice.lock();
        if !choice.roster.is_usable() {
            choice.roster = Roster::list(files, now)?;
        }
        Ok(choice.roster.is_good(now) || choice.is_listing)
    }

    /// Whether so much was filled since the uses of this process were written down that a use which is written down now
    /// may seem to be another one than the fill it belongs to.
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

/// What was seen of a pair.
#[derive(Debug)]
enum Look {
    Stored(Extent, Stamp),
    Empty,
    /// All that is stored of it is to be kept.
    Kept,
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
    /// Whether room is searched for also where none was found a moment ago.
    pub(in crate::directory) insists: bool,
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
        let (mut rounds, mut freed, mut failed) = (0, 0u64, Vec::new());
        while !section.reserve(bytes) {
            if rounds == 0 && self.is_hopeless(bytes) {
                return false;
            }
            let others_take_it = rounds >= ROUNDS && freed >= bytes.saturating_mul(2);
            if others_take_it || (failed.len() >= ATTEMPTS && !self.evict_any(section, &mut failed)) {
                if freed > 0 && self.is_large(bytes) {
                    self.evictor.obstacles.was_too_large(bytes);
                }
                return false;
            }
            rounds += 1;
            freed += self.evict_one(section, &mut failed);
        }
        if self.is_large(bytes) {
            self.evictor.obstacles.fitted(bytes);
        }
        if self.when_full == WhenFull::Evict && self.budget.is_short() {
            self.maintenance.make_room();
        } else if self.evictor.is_fold_due(self.budget) {
            self.maintenance.fold_uses();
        }
        true
    }
}

impl Stock<'_> {
    /// The same for who is told only once whether there is room: what stood in the way a moment ago may be gone.
    pub(crate) fn insisting(self) -> Self {
        Self { insists: true, ..self }
    }

    /// Whether no room can be made for so many bytes, so that nothing should go for it.
    fn is_hopeless(&self, bytes: u64) -> bool {
        let obstacles = &self.evictor.obstacles;
        let room = self.budget.max_bytes().saturating_sub(DIRECTORY_CHARGE);
        if self.when_full == WhenFull::Stop || bytes > room || (!self.insists && obstacles.can_nothing_go()) {
            return true;
        }
        // What is kept or open elsewhere is found out by trying, and then for a while it is not tried.
        let fixed = || self.pairs.all_in_use().iter().map(|pair| pair.fixed_bytes().unwrap_or_default()).sum::<u64>();
        self.is_large(bytes) && (obstacles.is_too_large(bytes) || bytes > room.saturating_sub(fixed()))
    }

    fn is_large(&self, bytes: u64) -> bool {
        bytes > self.budget.max_bytes() / LARGE
    }

    /// Evicts one extent, about the one that can best be done without, but none of those that have just `failed`; how
    /// much less is charged. If it could not go, or none was found, that is added to them.
    pub(super) fn evict_one(&self, section: &Section<'_>, failed: &mut Vec<Option<Extent>>) -> u64 {
        let mut chosen = None;
        let freed = self.try_evict_one(section, failed, &mut chosen).unwrap_or_else(|error| {
            if let Some(Extent { pair, .. }) = &chosen {
                self.pass_over(pair, &error);
            } else {
                self.warn(&error);
            }
            0
        });
        if freed == 0 {
            failed.push(chosen);
        } else {
            failed.clear();
            self.evictor.obstacles.something_went();
        }
        freed
    }

    /// Once: a disk that is dying would else fill the log.
    fn warn(&self, error: &io::Error) {
        if !self.evictor.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = %self.files.root.display(), %error, "something cannot be evicted");
        }
    }

    /// Has something else looked at for a while, since the files of a pair cannot be looked at, or changed.
    fn pass_over(&self, name: &str, error: &io::Error) {
        self.warn(error);
        // That says nothing of the pair.
        if !is_out_of_descriptors(error) {
            self.evictor.choice.lock().roster.pass_over(name);
        }
    }

    /// Returns how much less is charged.
    fn try_evict_one(
        &self,
        section: &Section<'_>,
        failed: &[Option<Extent>],
        chosen: &mut Option<Extent>,
    ) -> io::Result<u64> {
        let punches = self.evictor.obstacles.punches();
        if let Punches::Only(extent) = &punches {
            *chosen = Some(extent.clone());
            return self.evict(section, extent);
        }
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
        let Some(extent) = chosen else { return Ok(0) };
        if extent.is_all && extent.open.strong_count() == 0 {
            let freed = self.delete_all_of(section, &extent.pair);
            if freed > 0 {
                return Ok(freed);
            }
        }
        if punches == Punches::Nothing { Ok(0) } else { self.evict(section, extent) }
    }

    /// Evicts this very extent, unless it is to be kept, and its pair if nothing is left of it.
    fn evict(&self, section: &Section<'_>, extent: &Extent) -> io::Result<u64> {
        let Extent { pair: name, number, .. } = extent;
        let Some(pair) = self.open(name)? else { return Ok(0) };
        pair.reconcile(self.budget);
        if !pair.is_reconciled(self.budget) {
            return Ok(0);
        }
        let freed = match self.evict_of(section, &pair, *number) {
            // That says nothing of the pair.
            Err(error) if !self.can_punch() => {
                self.warn(&error);
                return Ok(0);
            }
            evicted => evicted?,
        };
        tracing::debug!(pair = pair.name(), extent = number, freed, "evicted");
        let Some(block) = pair.hollow_block(*number)? else { return Ok(freed) };
        if pair.is_empty()? {
            drop(pair);
            return Ok(freed + self.delete_empty(section, name));
        }
        self.evictor.hollow.note(Arc::clone(name), block..block + 1);
        Ok(freed)
    }

    /// Evicts an extent, and notes it if the disk does not punch.
    pub(super) fn evict_of(&self, section: &Section<'_>, pair: &Arc<Pair>, number: u64) -> io::Result<u64> {
        let evicted = pair.evict_extent(section, number);
        if evicted.is_err() && pair.take_unpunched() {
            let extent = Extent { pair: pair.name().into(), number, is_all: false, open: Arc::downgrade(pair) };
            self.evictor.obstacles.punch_failed(extent);
        } else if evicted.as_ref().is_ok_and(|&freed| freed > 0) {
            self.evictor.obstacles.punched();
        }
        evicted
    }

    /// Whether the last punch that was tried has worked; if not, more of them would cost what is stored and free
    /// nothing.
    pub(super) fn can_punch(&self) -> bool {
        self.evictor.obstacles.can_punch()
    }

    /// Evicts something that a few looks have not found, since most of what is stored is to be kept or being worked on:
    /// now and then all is searched for it, for a moment; for who insists, always. Whether something went.
    fn evict_any(&self, section: &Section<'_>, failed: &mut Vec<Option<Extent>>) -> bool {
        if self.can_punch() && (self.insists || self.evictor.obstacles.is_walk_due()) && self.walk(section, failed) {
            failed.clear();
            self.evictor.obstacles.something_went();
            return true;
        }
        self.evictor.obstacles.nothing_went();
        false
    }

    fn walk(&self, section: &Section<'_>, failed: &[Option<Extent>]) -> bool {
        let mut names = roster::names(self.files).inspect_err(|error| self.warn(error)).unwrap_or_default();
        if names.is_empty() {
            return false;
        }
        // What comes first should not always be the same.
        let (start, first) = (Instant::now(), fastrand::usize(..names.len()));
        names.rotate_left(first);
        names.into_iter().take_while(|_| start.elapsed() < WALK).any(|name| {
            let evicted = match self.look_at(&name.as_str().into(), fastrand::u64(..)) {
                Ok(Look::Stored(extent, _)) if !failed.iter().flatten().any(|failed| *failed == extent) => {
                    self.evict(section, &extent)
                }
                Ok(_) => Ok(0),
                Err(error) => Err(error),
            };
            evicted.unwrap_or_else(|error| {
                self.pass_over(&name, &error);
                0
            }) > 0
        })
    }

    /// Adds a few extents of all there are to the candidates, and deletes the pairs in which it finds nothing; returns
    /// how much less is charged because of that.
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
        let (mut freed, mut found) = (0, Vec::with_capacity(chosen.len()));
        for name in chosen {
            match self.look_at(&name, random.u64(..)) {
                Ok(Look::Stored(extent, stamp)) => found.push((extent, stamp)),
                Ok(Look::Empty) => {
                    freed += self.delete_empty(section, &name);
                    self.evictor.choice.lock().roster.remove(&name);
                }
                Ok(Look::Kept) => self.evictor.choice.lock().roster.pass_over(&name),
                Ok(Look::Gone) => self.evictor.choice.lock().roster.remove(&name),
                Err(error) => self.pass_over(&name, &error),
            }
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
            None => {
                let open = || pair::look_at(self.files, name).and_then(|index| look(&index));
                (self.pairs.with_descriptors(open), Weak::new())
            }
        };
        match seen {
            Ok((Some((_, stamp)), _)) if stamp.is_kept() => Ok(Look::Kept),
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

    /// Makes room before somebody needs it, if there is little left, unless another process is at it. Lists the
    /// directory before, if that was not done for long. Not for long: beside many fillers it would never be done, and
    /// is gone on with at once when all else was seen to.
    pub(crate) fn evict_ahead(&self) {
        // Outside of sections: who wants to recount need not wait for it.
        if let Err(error) = self.evictor.refresh(self.files, self.budget.now()) {
            tracing::warn!(path = %self.files.root.display(), %error, "the directory cannot be listed");
        }
        let goes_on = self.evictor.unfinished.swap(false, Ordering::Relaxed) && !self.budget.is_short_no_more();
        let is_wanted = (goes_on || self.budget.is_short()) && !self.evictor.obstacles.can_nothing_go();
        if !is_wanted || !self.budget.control().try_lock_evictor().unwrap_or(false) {
            return;
        }
        let (start, mut failed) = (Instant::now(), Vec::new());
        while !self.budget.is_short_no_more() {
            if start.elapsed() >= ROUND || self.evictor.is_fold_due(self.budget) {
                self.evictor.unfinished.store(true, Ordering::Relaxed);
                self.maintenance.make_room();
                break;
            }
            // One section for each, so that a recount need not wait for all.
            let Some(section) = self.budget.enter() else { break };
            if failed.len() >= ATTEMPTS && !self.evict_any(&section, &mut failed) {
                break;
            }
            self.evict_one(&section, &mut failed);
        }
        self.budget.control().unlock_evictor();
    }

    /// A pair by its name, as this process has it open, or opened for this; none if it is gone or damaged.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<Arc<Pair>>> {
        if let Some(pair) = self.pairs.peek(name) {
            return Ok(Some(pair));
        }
        match self.pairs.with_descriptors(|| pair::open_pair(self.files, name, None)) {
            Ok(pair) => Ok(Some(Arc::new(pair))),
            // Whoever opens the object finds out what is wrong with it.
            Err(error) if is_damage(&error) || error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            Err(error) => Err(error),
        }
    }
}
