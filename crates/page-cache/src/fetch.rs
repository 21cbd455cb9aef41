//! The one way in which what this process has not checked yet is answered: what is held from the disk, the rest from
//! the origin, and stored.
//!
//! ```text
//! look ─► all there? ─► done
//!   ▲          │ absent pages
//!   │          ▼
//!   │        lock ─► look again ─► plan ─► fetch ─► hand out ─► store ─► unlock
//!   └──────────── what other threads and processes had locked ◄───────────┘
//! ```
//!
//! A hit takes no lock, so it never waits for a miss. What was fetched goes to the caller first: that it cannot be
//! stored is no reason for the read to fail.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use svf_core::{NeedOptions, RangeSet};

use crate::directory::{Budget, Pair, Stored};
use crate::error::ReadError;
use crate::origin::{Origin, OriginError, Stat};
use crate::pages::overlap;
use crate::stats::Counters;
use crate::sync::BackOff;

/// The longest request, in bytes, unless one page is longer: a response is held in memory as a whole.
pub(crate) const MAX_REQUEST: u64 = 8 << 20;

/// A range of the object, not empty and within it, and the memory that is to receive its bytes.
pub(crate) struct Destination<'a> {
    pub(crate) range: Range<u64>,
    pub(crate) out: &'a mut [u8],
}

impl Destination<'_> {
    /// Takes those of `bytes`, which begin at `start` of the object, that lie in its range.
    fn take(&mut self, start: u64, bytes: &[u8]) {
        let part = overlap(&(start..start + bytes.len() as u64), &self.range);
        if !part.is_empty() {
            self.part(&part).copy_from_slice(&bytes[(part.start - start) as usize..(part.end - start) as usize]);
        }
    }

    fn part(&mut self, part: &Range<u64>) -> &mut [u8] {
        &mut self.out[(part.start - self.range.start) as usize..(part.end - self.range.start) as usize]
    }
}

/// Where pieces of one version of one object are stored, and by which budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) pair: &'a Pair,
    pub(crate) budget: &'a Budget,
    /// How long somebody else's work on a page is waited for before the origin is asked beside it.
    pub(crate) patience: Duration,
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
    pub(crate) counters: &'a Counters,
}

impl Source<'_> {
    /// Fills what is `pending` of all destinations. The missing pages of all of them are planned together.
    pub(crate) fn read(&self, destinations: &mut [Destination<'_>], pending: &RangeSet) -> Result<(), ReadError> {
        let Some(store) = &self.store else {
            let wanted = wanted(destinations, pending);
            return self.fetch(&wanted, destinations, |_, _| ());
        };
        let mut pending = look(store.pair, pending, destinations).absent;
        if pending.is_empty() {
            self.counters.hit();
            return Ok(());
        }
        self.counters.miss();
        // Who could not store what he fetches needs no lock for it, and keeps nobody waiting.
        let stores = !self.offline && store.pair.may_be_filled(store.budget);
        let (mut waiting, mut pauses) = (None::<Instant>, BackOff::new());
        while !pending.is_empty() && stores {
            let mut claim = match store.pair.page_locks().try_claim(&pages_of(store.pair, &pending)) {
                Ok(claim) => claim,
                Err(error) => {
                    store.pair.warn("pages cannot be locked", &error);
                    break;
                }
            };
            if claim.ranges().is_empty() {
                let since = *waiting.get_or_insert_with(|| {
                    self.counters.waited();
                    Instant::now()
                });
                if since.elapsed() >= store.patience {
                    tracing::warn!(
                        key = self.origin.key(),
                        "another process is slow, and is not waited for any longer"
                    );
                    break;
                }
                store.pair.page_locks().wait(pauses.next());
                pending = look(store.pair, &pending, destinations).absent;
                continue;
            }
            (waiting, pauses) = (None, BackOff::new());
            let claimed: RangeSet = claim.ranges().iter().map(|pages| store.pair.pages().bytes_of_run(pages)).collect();
            // Somebody may have stored these pages between the look and the lock.
            let found = look(store.pair, &claimed, destinations);
            self.report_damage(store, &found.damaged);
            store.pair.withdraw_damaged(store.budget, &found.damaged);
            self.fetch(&found.absent, destinations, |start, bytes| {
                if store.pair.store(store.budget, start, bytes) == Stored::NotAll {
                    self.counters.bypassed();
                }
                // Who waits for these pages need not wait for the requests behind them.
                claim.release(store.pair.pages().touching(&(start..start + bytes.len() as u64)));
            })?;
            drop(claim);
            for range in &claimed {
                pending.remove(range);
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        self.counters.bypassed();
        self.fetch(&wanted(destinations, &pending), destinations, |_, _| ())
    }

    /// The requests that reading `absent`, in whole pages, takes.
    pub(crate) fn plan(&self, absent: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
        let options = NeedOptions::new().end_of_file(self.pinned.length).max_len(MAX_REQUEST);
        match &self.store {
            Some(store) => options.align(store.pair.pages().page_size).plan(absent),
            None => options.plan(absent),
        }
    }

    fn report_damage(&self, store: &Store<'_>, damaged: &[(u64, impl std::fmt::Debug)]) {
        for (page, word) in damaged {
            self.counters.found_corrupt();
            tracing::warn!(pair = store.pair.name(), page, ?word, "a stored page is damaged and is fetched again");
        }
    }

    /// Reads `absent` from the origin, neighbours in one request, and gives the bytes to the destinations and `store`.
    fn fetch(
        &self,
        absent: &RangeSet,
        destinations: &mut [Destination<'_>],
        mut store: impl FnMut(u64, &[u8]),
    ) -> Result<(), ReadError> {
        for request in self.plan(absent) {
            let bytes = self.request(request.clone())?;
            for destination in &mut *destinations {
                destination.take(request.start, &bytes);
            }
            store(request.start, &bytes);
        }
        Ok(())
    }

    fn request(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        if self.offline {
            let what = format!("bytes {}..{}", range.start, range.end);
            return Err(OriginError::Offline { key: self.origin.key().to_owned(), what }.into());
        }
        tracing::debug!(key = self.origin.key(), start = range.start, end = range.end, "fetch");
        self.counters.requested();
        let bytes = self.origin.read(range.clone(), self.pinned)?;
        self.counters.fetched(bytes.len() as u64);
        // An origin may be anybody's, and a page must never be stored short.
        if bytes.len() as u64 != range.end - range.start {
            let (key, request) = (self.origin.key().to_owned(), format!("bytes {}..{}", range.start, range.end));
            let reason = format!("it has {} bytes", bytes.len());
            return Err(OriginError::InvalidResponse { key, request, reason }.into());
        }
        Ok(bytes)
    }
}

/// What the destinations want of `pending`, which is in whole pages.
fn wanted(destinations: &[Destination<'_>], pending: &RangeSet) -> RangeSet {
    destinations.iter().flat_map(|destination| pending.intersection(destination.range.clone())).collect()
}

fn pages_of(pair: &Pair, bytes: &RangeSet) -> RangeSet {
    bytes.iter().map(|range| pair.pages().touching(&range)).collect()
}

/// Gives the destinations what the pair has of the pending pages, and tells what it does not have.
fn look(pair: &Pair, pending: &RangeSet, destinations: &mut [Destination<'_>]) -> crate::directory::Found {
    let mut found = crate::directory::Found::default();
    for destination in destinations {
        for part in pending.intersection(destination.range.clone()) {
            let here = pair.copy_present(&part, destination.part(&part));
            found.absent.extend(&here.absent);
            found.damaged.extend(here.damaged);
        }
    }
    found
}
