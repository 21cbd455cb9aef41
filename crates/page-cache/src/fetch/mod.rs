//! The one way in which what this process has not checked yet is answered: what is held from the disk, the rest from
//! the origin, and stored.
//!
//! ```text
//! look ─► all there? ─► done
//!   ▲          │ absent pages
//!   │          ▼
//!   │        plan ─► for several requests at once: slot ─► lock ─► look again ─► fetch ─► hand out ─► store ─► unlock
//!   └──────────── what other threads and processes had locked ◄─────────────────────────────────────────────┘
//! ```
//!
//! A hit takes no lock, so it never waits for a miss. What was fetched goes to the caller first: that it cannot be
//! stored is no reason for the read to fail.

mod destinations;
pub(crate) mod retry;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) use self::destinations::Destination;
use self::destinations::Destinations;
use self::retry::RetryPolicy;

use bytes::Bytes;
use svf_core::{NeedOptions, RangeSet};

use crate::admission::{Admission, Admit};
use crate::directory::{Budget, Damaged, Pair, Stock, Stored};
use crate::error::ReadError;
use crate::in_flight::InFlight;
use crate::origin::{Origin, OriginError, Stat};
use crate::stats::Counters;
use crate::sync::{BackOff, Mutex};

/// The longest request, in bytes, unless one page is longer: a response is held in memory as a whole.
pub(crate) const MAX_REQUEST: u64 = 8 << 20;
/// Of a thread that sends requests.
const STACK: usize = 512 << 10;

/// Where pieces of one version of one object are stored, and by which budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) pair: &'a Pair,
    pub(crate) budget: &'a Budget,
    /// Who makes room.
    pub(crate) room: Stock<'a>,
    /// How long somebody else's work on a page is waited for before the origin is asked beside it.
    pub(crate) patience: Duration,
    /// Says whether what is fetched is to be stored; nothing is without it.
    pub(crate) admit: Option<&'a Admit>,
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
    pub(crate) counters: &'a Counters,
}

impl Source<'_> {
    /// Fills what is `pending` of all destinations. The missing pages of all of them are planned together, and fetched by
    /// several requests at once.
    pub(crate) fn read(&self, destinations: &mut [Destination<'_>], pending: &RangeSet) -> Result<(), ReadError> {
        let mut destinations = Destinations::new(destinations);
        let Some(store) = &self.store else {
            let wanted = destinations.wanted(pending);
            return self.pass_on(&wanted, &Mutex::new(destinations));
        };
        let found = destinations.look(store.pair, pending);
        let mut pending = found.absent;
        if pending.is_empty() {
            self.counters.hit();
            return Ok(());
        }
        self.counters.miss();
        self.report_damage(store, &destinations.note_damage(&found.damaged));
        let destinations = Mutex::new(destinations);
        // Who could not store what he fetches needs no lock for it, and keeps nobody waiting.
        let stores = !self.offline && self.admits(store, &pending) && store.pair.may_be_filled(store.budget);
        if !stores {
            withdraw_damaged(store, &found.damaged);
        }
        let (mut waiting, mut pauses) = (None::<Instant>, BackOff::new());
        while !pending.is_empty() && stores {
            let Some(left) = self.fill(store, &pending, &destinations)? else { break };
            if left != pending {
                (pending, waiting, pauses) = (left, None, BackOff::new());
                continue;
            }
            let since = *waiting.get_or_insert_with(|| {
                self.counters.waited();
                Instant::now()
            });
            if since.elapsed() >= store.patience {
                tracing::warn!(key = self.origin.key(), "another process is slow, and is not waited for any longer");
                break;
            }
            store.pair.page_locks().wait(pauses.next());
            pending = destinations.lock().look(store.pair, &pending).absent;
        }
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
        Self { store: None, ..*self }.pass_on(&wanted, &destinations)?;
        self.counters.bypassed();
        Ok(())
    }

    /// Fetches and stores what nobody else is fetching of `pending`, in whole pages, and gives it to the destinations.
    /// What others have is left; none if pages cannot be locked.
    fn fill(
        &self,
        store: &Store<'_>,
        pending: &RangeSet,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<Option<RangeSet>, ReadError> {
        let (left, lockable) = (Mutex::new(RangeSet::new()), AtomicBool::new(true));
        self.for_each_request(pending, |request| {
            let pages = store.pair.pages();
            // A request ends at the end of the object, and else with a page.
            let wanted: RangeSet = [pages.touching(&request)].into_iter().collect();
            let mut claim = match store.pair.page_locks().try_claim(&wanted) {
                Ok(claim) => claim,
                Err(error) => {
                    store.pair.warn("pages cannot be locked", &error);
                    lockable.store(false, Ordering::Relaxed);
                    left.lock().insert(request);
                    return Ok(());
                }
            };
            let claimed: RangeSet = claim.ranges().iter().map(|run| pages.bytes_of_run(run)).collect();
            left.lock().extend(claimed.gaps(request));
            // Somebody may have stored these pages between the look and the lock.
            let mut all = destinations.lock();
            let found = all.look(store.pair, &claimed);
            let new = all.note_damage(&found.damaged);
            drop(all);
            self.report_damage(store, &new);
            store.pair.withdraw_damaged(store.budget, &found.damaged);
            for part in self.plan(&found.absent) {
                let bytes = self.request(part.clone())?;
                // What was fetched goes to the caller first: that it cannot be stored is no reason for a read to fail.
                destinations.lock().take(part.start, &bytes);
                if store.pair.store(store.budget, &store.room, part.start, &bytes) == Stored::NotAll {
                    self.counters.bypassed();
                }
                // Who waits for these pages need not wait for the requests behind them.
                claim.release(pages.touching(&part));
            }
            Ok(())
        })?;
        Ok(lockable.into_inner().then(|| left.into_inner()))
    }

    /// Fetches `wanted`, byte for byte, and gives it to the destinations alone.
    fn pass_on(&self, wanted: &RangeSet, destinations: &Mutex<Destinations<'_, '_>>) -> Result<(), ReadError> {
        self.for_each_request(wanted, |request| {
            let bytes = self.request(request.clone())?;
            destinations.lock().take(request.start, &bytes);
            Ok(())
        })
    }

    /// Does something for each request that `absent` takes, for as many at once as may be under way. What comes first of
    /// the errors is returned, and no further request is begun behind it.
    fn for_each_request(
        &self,
        absent: &RangeSet,
        work: impl Fn(Range<u64>) -> Result<(), ReadError> + Sync,
    ) -> Result<(), ReadError> {
        let requests = self.plan(absent);
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let work_off = || {
            while failed.lock().is_none()
                && let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
            {
                // The slot first, and then the locks: who has locks waits for nothing but its own request.
                let _slot = self.in_flight.map(InFlight::acquire);
                if let Err(error) = work(request.clone()) {
                    failed.lock().get_or_insert(error);
                }
            }
        };
        let others = self.in_flight.map_or(1, InFlight::max).min(requests.len()).saturating_sub(1);
        std::thread::scope(|scope| {
            for _ in 0..others {
                let thread = std::thread::Builder::new().name("page-cache fetch".to_owned());
                if let Err(error) = thread.stack_size(STACK).spawn_scoped(scope, work_off) {
                    tracing::debug!(%error, "no more threads for requests; those that are there do all of it");
                    break;
                }
            }
            work_off();
        });
        failed.into_inner().map_or(Ok(()), Err)
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

    fn request(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        if self.offline {
            let what = format!("bytes {}..{}", range.start, range.end);
            return Err(OriginError::Offline { key: self.origin.key().to_owned(), what }.into());
        }
        tracing::debug!(key = self.origin.key(), start = range.start, end = range.end, "fetch");
        Ok(retry::read(self.origin, self.pinned, range, self.retry, self.counters)?)
    }
}

/// Takes damaged pages away, for who stores nothing in their place; those that others have locked are theirs.
fn withdraw_damaged(store: &Store<'_>, damaged: &[Damaged]) {
    if damaged.is_empty() || !store.pair.may_be_filled(store.budget) {
        return;
    }
    match store.pair.page_locks().try_claim(&damaged.iter().map(|(page, _)| *page..*page + 1).collect()) {
        Ok(claim) => {
            let locked: Vec<_> =
                damaged.iter().filter(|(page, _)| claim.ranges().contains(*page..*page + 1)).copied().collect();
            // What cannot be taken away now is found damaged again by who reads it next.
            store.pair.withdraw_damaged(store.budget, &locked);
        }
        Err(error) => store.pair.warn("pages cannot be locked", &error),
    }
}
