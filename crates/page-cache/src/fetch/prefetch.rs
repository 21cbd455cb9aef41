//! Fetching what nobody reads yet, while somebody looks on.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use svf_core::RangeSet;

use super::destinations::Destinations;
use super::requests::Again;
use super::{Source, Store};
use crate::directory::Stored;
use crate::error::{PrefetchError, ReadError};
use crate::sync::{BackOff, Mutex};

/// How often in a row nothing that was fetched could be stored, before no more is fetched.
const ATTEMPTS: usize = 3;

/// How often it is asked whether to end, while nothing comes.
const ASKED: Duration = Duration::from_millis(100);

/// How far a prefetch has come, in bytes of whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many of those that were missing are stored now, whoever has fetched them.
    pub done: u64,
    /// How many were missing.
    pub total: u64,
}

/// Who looks on, and may have it end.
pub(crate) struct Watch<'a> {
    report: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync),
    total: u64,
    done: AtomicU64,
    /// How many bytes have come.
    brought: AtomicU64,
    cancelled: AtomicBool,
    /// Whether no further request is to be begun in this round.
    halted: AtomicBool,
    /// When it was asked for the last time whether to end.
    asked: Mutex<Instant>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(total: u64, report: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync)) -> Self {
        let (cancelled, halted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            report,
            total,
            done: AtomicU64::new(0),
            brought: AtomicU64::new(0),
            cancelled,
            halted,
            asked: Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether it is to end: who looks on is asked that again while nothing comes, but not too often.
    pub(super) fn ask(&self) -> bool {
        let mut asked = self.asked.lock();
        if !self.is_cancelled() && asked.elapsed() >= ASKED {
            *asked = Instant::now();
            drop(asked);
            self.report(self.done.load(Ordering::Relaxed));
        }
        self.is_cancelled()
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_cancelled() || self.halted.load(Ordering::Relaxed)
    }

    /// Notes what became of something that was fetched.
    pub(super) fn note(&self, bytes: u64, stored: Stored) {
        self.brought.fetch_add(bytes, Ordering::Relaxed);
        match stored {
            Stored::All => self.report(self.done.fetch_add(bytes, Ordering::Relaxed) + bytes),
            // The next request would be in vain as well.
            Stored::NotAll => self.halted.store(true, Ordering::Relaxed),
        }
    }

    /// Notes how much is missing still, and goes on.
    fn begin_round(&self, missing: u64) {
        self.halted.store(false, Ordering::Relaxed);
        let done = self.total.saturating_sub(missing);
        if self.done.fetch_max(done, Ordering::Relaxed) < done {
            self.report(done);
        }
    }

    fn report(&self, done: u64) {
        // What is evicted meanwhile is done twice.
        if (self.report)(Progress { done: done.min(self.total), total: self.total }).is_break() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("total", &self.total).field("done", &self.done).finish_non_exhaustive()
    }
}

impl<'a> Source<'a> {
    /// Fetches and stores `missing`, in whole pages, which is not held. What others are fetching is waited for.
    pub(crate) fn prefetch(
        self,
        store: &Store<'_>,
        missing: RangeSet,
        watch: &'a Watch<'a>,
    ) -> Result<(), PrefetchError> {
        let not_stored = |reason| PrefetchError::NotStored { key: self.origin.key().to_owned(), reason };
        let watched = Self { watch: Some(watch), ..self };
        let (mut pending, mut in_vain, mut waiting, mut pauses) = (missing, 0, None::<Instant>, BackOff::new());
        while !pending.is_empty() && !watch.is_cancelled() {
            let mut destinations = Destinations::new(&mut []);
            destinations.store_also(pending.clone());
            let destinations = Mutex::new(destinations);
            let (left, again) = match watched.fill(store, &pending, &destinations) {
                Ok(filled) => filled,
                // What was not tried again for that.
                Err(ReadError::Origin(error)) if watch.is_cancelled() && error.is_transient() => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let missing = destinations.lock().look(store.pair, &pending).absent;
            watch.begin_round(missing.num_bytes());
            if !missing.is_empty() && watch.brought.load(Ordering::Relaxed) >= watch.total.saturating_mul(2) {
                return Err(not_stored("it cannot be written, or is evicted as fast as it is fetched"));
            }
            if missing != pending {
                (pending, in_vain, waiting, pauses) = (missing, 0, None, BackOff::new());
                continue;
            }
            if again == Again::Now {
                continue;
            }
            let since = *waiting.get_or_insert_with(Instant::now);
            if again == Again::Never || since.elapsed() >= self.patience {
                return Err(not_stored("others are at work on it for too long"));
            }
            if left.is_empty() {
                in_vain += 1;
            }
            if in_vain == ATTEMPTS {
                return Err(not_stored("there is no room for it, or it cannot be written"));
            }
            store.pair.page_locks().wait(pauses.next());
        }
        Ok(())
    }
}
