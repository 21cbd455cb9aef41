//! Evicting because somebody says so, and not because there is no room.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::evictor::{ATTEMPTS, Stock};
use super::roster;
use crate::directory::budget::{Budget, Section};
use crate::directory::files::is_damage;
use crate::directory::pair::{self, EXTENT};

/// How long who was told to evict waits for those who count.
pub(crate) const EVICTION_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Who fills beside an eviction makes it go on for so many bytes at most beyond what it was to free.
const SLACK: u64 = 16 * EXTENT;

/// What is left of the patience of one call, however many pairs it goes through.
#[derive(Debug)]
struct Patience(Duration);

impl Patience {
    /// A section, unless the whole call has waited for too long by now.
    fn enter<'a>(&mut self, budget: &'a Budget) -> Option<Section<'a>> {
        let start = Instant::now();
        let section = budget.enter_within(self.0);
        self.0 = self.0.saturating_sub(start.elapsed());
        section
    }
}

/// That others have kept out for too long who was to evict, or to count. Its kind is no other error's.
pub(crate) fn others_are_at_work() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "others count what is stored, or fill it, and do not end, or are stopped while doing so; try again when they are done",
    )
}

impl Stock<'_> {
    /// Evicts until no more than this is charged: first what can best be done without, and then whatever is not to be
    /// kept and nobody is working on. Whether it came so far; others may fill what it frees.
    ///
    /// # Errors
    ///
    /// That it did not come so far, and something could not be looked at, or others did not let it go on for too long.
    pub(crate) fn evict_to(&self, bytes: u64) -> io::Result<bool> {
        let (mut patience, mut failed, mut freed) = (Patience(EVICTION_PATIENCE), Vec::new(), 0);
        let wanted = self.budget.used().saturating_sub(bytes);
        let enough = wanted.saturating_add(SLACK.min(wanted));
        while self.budget.used() > bytes && freed < enough && failed.len() < ATTEMPTS {
            let section = patience.enter(self.budget).ok_or_else(others_are_at_work)?;
            freed += self.evict_one(&section, &mut failed);
        }
        if self.budget.used() <= bytes || freed >= enough {
            return Ok(self.budget.used() <= bytes);
        }
        let mut trouble = None;
        for name in roster::names(self.files)? {
            if self.budget.used() <= bytes || freed >= enough {
                break;
            }
            let goes_on = |more: u64| self.budget.used() > bytes && freed + more < enough;
            match self.evict_from(&name, &mut patience, goes_on) {
                Ok(Some(more)) => freed += more,
                Ok(None) => return Err(others_are_at_work()),
                Err(error) => trouble = trouble.or(Some(error)),
            }
            if !self.can_punch() {
                break;
            }
        }
        let is_done = self.budget.used() <= bytes;
        trouble.filter(|_| !is_done && freed < enough).map_or(Ok(is_done), Err)
    }

    /// Evicts what nobody has used since a moment, or ever; nothing if there is no such moment.
    ///
    /// # Errors
    ///
    /// That somebody counts for too long; or that something could not be looked at, when all else has gone.
    pub(crate) fn evict_unused_since(&self, moment: Option<SystemTime>) -> io::Result<()> {
        let Some(moment) = moment else { return Ok(()) };
        let (mut patience, mut trouble) = (Patience(EVICTION_PATIENCE), None);
        for name in roster::names(self.files)? {
            let last_used = match self.pairs.peek(&name) {
                Some(pair) => pair.last_used(),
                None => {
                    let look = || pair::look_at(self.files, &name).and_then(|index| index.last_used());
                    self.pairs.with_descriptors(look)
                }
            };
            let is_old = match last_used {
                Ok(last_used) => last_used.is_none_or(|used| used <= moment),
                Err(error) if is_damage(&error) => false,
                Err(error) => {
                    trouble = trouble.or(Some(error));
                    false
                }
            };
            if is_old {
                match self.evict_from(&name, &mut patience, |_| true) {
                    Ok(Some(_)) => {}
                    Ok(None) => return Err(others_are_at_work()),
                    Err(error) => trouble = trouble.or(Some(error)),
                }
            }
            if !self.can_punch() {
                break;
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Evicts what a pair has and is not to be kept, extent by extent, as long as it `goes_on` for what was freed; and
    /// the pair, if nothing is left of it then. How much less is charged; none if somebody counts for too long.
    fn evict_from(
        &self,
        name: &str,
        patience: &mut Patience,
        goes_on: impl Fn(u64) -> bool,
    ) -> io::Result<Option<u64>> {
        let mut freed = 0;
        let Some(pair) = self.open(name)? else { return Ok(Some(freed)) };
        pair.reconcile(self.budget);
        if !pair.is_reconciled(self.budget) {
            return Ok(Some(freed));
        }
        for extent in pair.extents()? {
            let Some(section) = patience.enter(self.budget) else { return Ok(None) };
            if !goes_on(freed) {
                return Ok(Some(freed));
            }
            freed += self.evict_of(&section, &pair, extent)?;
        }
        let is_empty = pair.is_empty()?;
        drop(pair);
        if is_empty && goes_on(freed) {
            let Some(section) = patience.enter(self.budget) else { return Ok(None) };
            freed += self.delete_empty(&section, name);
        }
        Ok(Some(freed))
    }
}
