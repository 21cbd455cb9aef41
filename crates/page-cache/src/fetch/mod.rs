//! The one way in which what this process has not checked yet is answered: what is held from the disk, the rest from
//! the origin, and stored.
//!
//! ```text
//! look ─► all there? ─► done
//!   ▲          │ absent pages, and what is worth fetching ahead of them
//!   │          ▼
//!   │        plan ─► for several requests at once: board ─► slot ─► lock ─► look again ─► fetch ─► hand out ─► store
//!   │                                                │ another thread fetches it: gets its bytes              │ unlock
//!   └──────────── what other processes had locked ◄──┴────────────────────────────────────────────────────────┘
//! ```
//!
//! A hit takes no lock, so it never waits for a miss. What was fetched goes to the caller first, and to those who wait
//! for it in this process: that it cannot be stored is no reason for a read to fail.

mod destinations;
mod filling;
mod prefetch;
mod read_ahead;
mod requests;
pub(crate) mod retry;
mod sharing;

use std::ops::Range;
use std::time::{Duration, Instant};

pub(crate) use self::destinations::Destination;
use self::destinations::Destinations;
use self::filling::withdraw_damaged;
pub use self::prefetch::Progress;
pub(crate) use self::prefetch::Watch;
pub use self::read_ahead::Advice;
use self::read_ahead::Miss;
pub(crate) use self::read_ahead::ReadAhead;
use self::requests::{Again, for_each};
use self::retry::{Failed, RetryPolicy, Tried};

use bytes::Bytes;
use svf_core::{NeedOptions, RangeSet};

use crate::admission::{Admission, Admit};
use crate::directory::{Budget, Pair, Stock};
use crate::error::ReadError;
use crate::flights::Flights;
use crate::in_flight::{InFlight, Turns};
use crate::origin::{Origin, OriginError, Stat};
use crate::stats::Counters;
use crate::sync::{BackOff, Mutex};

/// The longest request, in bytes, unless one page is longer: a response is held in memory as a whole.
pub(crate) const MAX_REQUEST: u64 = 8 << 20;
/// What is fetched ahead of one reader is no greater part of the limit than this.
const AHEAD_OF_LIMIT: u64 = 64;

/// Where pieces of one version of one object are stored, and by which budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) pair: &'a Pair,
    pub(crate) budget: &'a Budget,
    /// Who makes room.
    pub(crate) room: Stock<'a>,
    /// Says whether what is fetched is to be stored; nothing is without it.
    pub(crate) admit: Option<&'a Admit>,
    /// Says what is fetched ahead.
    pub(crate) read_ahead: &'a ReadAhead,
}

/// Where the bytes of one version of one object come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) origin: &'a dyn Origin,
    pub(crate) pinned: &'a Stat,
    /// Without it everything is read from the origin, and nothing is kept.
    pub(crate) store: Option<Store<'a>>,
    /// Whether the origin is not to be asked at all.
    pub(crate) offline: bool,
    /// Without it one request follows the other.
    pub(crate) in_flight: Option<&'a InFlight>,
    /// How what may succeed later is tried again.
    pub(crate) retry: RetryPolicy,
    /// What is being fetched that is not to be stored.
    pub(crate) passed_on: &'a Flights,
    /// How long somebody else's work is waited for before the origin is asked beside it.
    pub(crate) patience: Duration,
    pub(crate) counters: &'a Counters,
    /// Who looks on while what is missing is stored, and nobody reads it.
    pub(crate) watch: Option<&'a Watch<'a>>,
    /// Whether requests are longer than what somebody wants.
    pub(crate) reads_ahead: bool,
}

impl Source<'_> {
    /// Fills what is `pending` of all destinations. The missing pages of all of them are planned together, and fetched
    /// by several requests at once.
    pub(crate) fn read(&self, destinations: &mut [Destination<'_>], pending: &RangeSet) -> Result<(), ReadError> {
        let mut destinations = Destinations::new(destinations);
        let Some(store) = &self.store else {
            let wanted = destinations.wanted(pending);
            return self.pass_on(wanted, &Mutex::new(destinations));
        };
        let found = destinations.look(store.pair, pending);
        let mut pending = found.absent;
        if pending.is_empty() {
            self.counters.hit();
            return Ok(());
        }
        self.counters.miss();
        self.report_damage(store, &destinations.note_damage(&found.damaged));
        // Who could not store what he fetches needs no lock for it, and keeps nobody waiting.
        let stores = !self.offline && self.admits(store, &pending) && store.pair.may_be_filled(store.budget);
        let destinations = if stores {
            let ahead = self.ahead(store, destinations.contiguous(), &pending);
            let pages = ahead.as_ref().map_or(0..0, |(_, pages)| pages.clone());
            destinations.store_also([pages.clone()].into_iter().collect());
            let destinations = Mutex::new(destinations);
            let begun = (!pages.is_empty()).then(Instant::now);
            let longer = Self { reads_ahead: !pages.is_empty(), ..*self };
            pending = match longer.fetch_and_store(store, pending.clone(), &pages, &destinations) {
                Ok(left) => left,
                Err(ReadError::Origin(error)) if !pages.is_empty() => {
                    if let Some((miss, _)) = &ahead {
                        store.read_ahead.failed(miss);
                    }
                    if error.is_of_all_bytes() {
                        return Err(error.into());
                    }
                    // What nobody has asked for is no reason for a read to fail: what was, once more, alone.
                    tracing::debug!(key = self.origin.key(), %error, "a request with what is read next has failed");
                    let mut alone = destinations.lock();
                    alone.store_also(RangeSet::new());
                    pending = alone.look(store.pair, &pending).absent;
                    drop(alone);
                    self.with_the_rest_since(begun).fetch_and_store(store, pending, &(0..0), &destinations)?
                }
                Err(error) => return Err(error),
            };
            destinations
        } else {
            withdraw_damaged(store, &found.damaged);
            Mutex::new(destinations)
        };
        if pending.is_empty() {
            return Ok(());
        }
        let wanted = destinations.lock().wanted(&pending);
        let pages = store.pair.pages();
        let damaged = destinations.lock().first_damaged(pages, &wanted).filter(|_| self.offline);
        if let Some(page) = damaged {
            return Err(ReadError::Damaged { key: self.origin.key().to_owned(), range: pages.bytes(page) });
        }
        // Nothing is stored, so whole pages are not needed.
        let beside = Self { store: None, ..*self };
        if stores {
            beside.fetch_beside(&wanted, &destinations)?
        } else {
            beside.pass_on(wanted, &destinations)?
        }
        self.counters.bypassed();
        Ok(())
    }

    /// Fetches, stores and hands out what is `pending`, and stores what is `ahead` of it. Returns what others keep from
    /// being stored for longer than they are waited for.
    fn fetch_and_store(
        &self,
        store: &Store<'_>,
        mut pending: RangeSet,
        ahead: &Range<u64>,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<RangeSet, ReadError> {
        pending.insert(ahead.clone());
        let (mut waiting, mut pauses) = (None::<Instant>, BackOff::new());
        while !pending.is_empty() {
            let (mut left, again) = self.fill(store, &pending, destinations)?;
            // Nobody waits for what is only ahead, and it is not tried again.
            left.remove(ahead.clone());
            let progress = left != pending;
            pending = left;
            if again == Again::Never {
                break;
            }
            if progress {
                (waiting, pauses) = (None, BackOff::new());
            }
            if progress || again == Again::Now {
                pending = destinations.lock().look(store.pair, &pending).absent;
                continue;
            }
            let since = *waiting.get_or_insert_with(|| {
                self.counters.waited();
                Instant::now()
            });
            if since.elapsed() >= self.patience {
                tracing::warn!(key = self.origin.key(), "another process is slow, and is not waited for any longer");
                break;
            }
            store.pair.page_locks().wait(pauses.next());
            pending = destinations.lock().look(store.pair, &pending).absent;
        }
        Ok(pending)
    }

    /// Does something for each request that `absent` takes, for as many at once as may be under way.
    fn for_each_request(
        &self,
        absent: &RangeSet,
        work: impl Fn(Range<u64>, &dyn Fn() -> bool) -> Result<(), ReadError> + Sync,
    ) -> Result<(), ReadError> {
        let stop = || self.watch.is_some_and(Watch::is_over);
        // What is one request as it is takes no plan, and no list of its own.
        let planned;
        let only = absent.iter().next().filter(|_| absent.num_ranges() == 1 && absent.num_bytes() <= MAX_REQUEST);
        let requests = match &only {
            Some(only) => std::slice::from_ref(only),
            None => {
                planned = self.plan(absent);
                &planned
            }
        };
        // Before anybody is waited for.
        if let Some(first) = requests.first().filter(|_| self.offline) {
            let what = format!("bytes {}..{}", first.start, first.end);
            return Err(OriginError::Offline { key: self.origin.key().to_owned(), what }.into());
        }
        for_each(requests, self.in_flight.map_or(1, InFlight::max), stop, |request, has_failed| {
            work(request, &|| has_failed() || self.watch.is_some_and(Watch::ask))
        })
    }

    /// What is worth fetching behind the pages that one contiguous read misses: nothing that is held or being fetched,
    /// and only a small part of the limit. Of an origin that is near nothing is.
    fn ahead(&self, store: &Store<'_>, read: Option<Range<u64>>, absent: &RangeSet) -> Option<(Miss, Range<u64>)> {
        let (read, pages) = (read.filter(|_| !self.origin.is_near())?, store.pair.pages());
        let read_start = read.start - read.start % pages.page_size;
        let miss = Miss { read_start, missing: absent.iter().next()?.start..absent.end() };
        let missing = miss.missing.end - miss.missing.start;
        let max = MAX_REQUEST.saturating_sub(missing).min(store.budget.max_bytes() / AHEAD_OF_LIMIT);
        let max = max - max % pages.page_size;
        let window = store.read_ahead.window(&miss, pages.page_size, max)?;
        let start = miss.missing.end;
        let mut ahead = start..start.saturating_add(window).min(pages.length).max(start);
        if !ahead.is_empty() {
            // Where the index cannot be read, that is found out and told by the read itself.
            let held = store.pair.held(&ahead).ok()?.iter().next().map(|held| held.start);
            let flying = store.pair.flights().first_in(&ahead);
            ahead.end = [held, flying].into_iter().flatten().fold(ahead.end, u64::min);
        }
        store.read_ahead.note(&miss, ahead.end, window);
        Some((miss, ahead))
    }

    /// The requests that reading `absent`, in whole pages, takes.
    pub(crate) fn plan(&self, absent: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
        let options = NeedOptions::new().end_of_file(self.pinned.length).max_len(MAX_REQUEST);
        match &self.store {
            Some(store) => options.align(store.pair.pages().page_size).plan(absent),
            None => options.plan(absent),
        }
    }

    fn admits(&self, store: &Store<'_>, pending: &RangeSet) -> bool {
        let missing = pending.iter().next().map_or(0, |first| first.start)..pending.end();
        let Some(admit) = store.admit else { return false };
        admit.admits(&Admission { key: self.origin.key(), length: self.pinned.length, missing })
    }

    fn report_damage(&self, store: &Store<'_>, damaged: &[&(u64, impl std::fmt::Debug)]) {
        let next = if self.offline { "cannot be read offline" } else { "is fetched again" };
        for (page, word) in damaged {
            self.counters.found_corrupt();
            tracing::warn!(pair = store.pair.name(), page, ?word, "a stored page is damaged and {next}");
        }
    }

    /// The same with as much time for further attempts as is left.
    fn with_the_rest_since(&self, begun: Option<Instant>) -> Self {
        let spent = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let deadline = self.retry.deadline.saturating_sub(spent);
        Self { retry: RetryPolicy { deadline, ..self.retry }, ..*self }
    }

    fn turns<'t>(&'t self, stop: &'t dyn Fn() -> bool) -> Turns<'t> {
        Turns::new(self.in_flight, self.patience, stop)
    }

    /// The bytes of one request, by this policy, or behind an attempt that was made in another way.
    fn request(
        &self,
        range: Range<u64>,
        tried: Result<RetryPolicy, Tried>,
        turns: &mut Turns<'_>,
    ) -> Result<Bytes, Failed> {
        tracing::debug!(key = self.origin.key(), start = range.start, end = range.end, "fetch");
        retry::read(self.origin, self.pinned, range, tried, turns, self.counters)
    }
}
