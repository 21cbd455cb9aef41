//! Single flight: what is being fetched, by whom, and who waits for it.
//!
//! ```text
//!  thread 1   claim(0..8) ── fetch ── write ── land ─┐
//!  thread 2         claim(4..12): 8..12 is free, fetch it ── then wait for 0..8 ──┘ its bytes, or its error
//! ```
//!
//! A thread waits only when it has landed all that it had claimed for the same read, so two readers cannot wait for
//! each other. Only a `fetch` that itself reads through a file can close a circle; whoever would close it gets an
//! error instead.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bytes::Bytes;

use crate::error::ReadThroughError;
use crate::gaps::GapsBetween;
#[cfg(shuttle)]
use shuttle::thread_local;

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, ThreadId, current, lock, wait_while};

/// What a fetch has come to.
pub(super) type Outcome = Result<Bytes, ReadThroughError>;

/// A range that one thread fetches.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) range: Range<u64>,
    /// That of the file when it took off: what it brings is of no use to readers of another.
    pub(super) generation: u64,
    owner: ThreadId,
    /// None while it is in the air.
    outcome: Mutex<Option<Outcome>>,
    landed: Condvar,
}

/// The ranges that are being fetched, by their starts; no two overlap.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<BTreeMap<u64, Arc<Flight>>>);

impl Flights {
    /// To look at what is in the air and to take off in one step.
    pub(super) fn lock(&self) -> InTheAir<'_> {
        InTheAir { flights: self, by_start: lock(&self.0) }
    }
}

/// The table of flights, locked.
#[derive(Debug)]
pub(super) struct InTheAir<'a> {
    flights: &'a Flights,
    by_start: MutexGuard<'a, BTreeMap<u64, Arc<Flight>>>,
}

impl<'a> InTheAir<'a> {
    /// The flight that fetches the first byte of the range, or the next one that fetches any of it.
    pub(super) fn first_in(&self, range: &Range<u64>) -> Option<&Arc<Flight>> {
        let before = self.by_start.range(..=range.start).next_back();
        let covering = before.map(|(_, flight)| flight).filter(|flight| range.start < flight.range.end);
        let behind = || self.by_start.range(range.start..range.end.max(range.start)).next().map(|(_, flight)| flight);
        covering.or_else(behind)
    }

    /// The parts of the range that nobody fetches.
    pub(super) fn free_parts(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.first_in(&range).map_or(range.end, |flight| flight.range.start);
        let taken = self.by_start.range(first.min(range.end)..range.end).map(|(_, flight)| flight.range.clone());
        GapsBetween::new(taken, range)
    }

    /// Claims a range of which nobody fetches anything.
    pub(super) fn take_off(&mut self, range: Range<u64>, generation: u64) -> Claim<'a> {
        let flight = Arc::new(Flight {
            range: range.clone(),
            generation,
            owner: current().id(),
            outcome: Mutex::new(None),
            landed: Condvar::new(),
        });
        self.by_start.insert(range.start, Arc::clone(&flight));
        Claim { flights: self.flights, flight, outcome: None }
    }
}

/// The right and the duty to fetch a range. Dropped without [`land`](Self::land), by a panic, it lands as failed.
#[derive(Debug)]
#[must_use = "the range is fetched by nobody else until this is dropped"]
pub(super) struct Claim<'a> {
    flights: &'a Flights,
    flight: Arc<Flight>,
    outcome: Option<Outcome>,
}

impl Claim<'_> {
    pub(super) fn range(&self) -> Range<u64> {
        self.flight.range.clone()
    }

    /// Runs a fetch; if that waits for others, it is known whose flight it holds up.
    pub(super) fn fetch<R>(&self, fetch: impl FnOnce() -> R) -> R {
        let _inside = InsideFetch::enter();
        fetch()
    }

    /// What has come is held already, or has failed.
    pub(super) fn land(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // It leaves the table first: who has seen it fail and tries again must not meet it there.
        lock(&self.flights.0).remove(&self.flight.range.start);
        let outcome = self.outcome.take();
        *lock(&self.flight.outcome) = Some(outcome.unwrap_or(Err(ReadThroughError::Panicked { range: self.range() })));
        self.flight.landed.notify_all();
    }
}

impl Flight {
    fn has_landed(&self) -> bool {
        lock(&self.outcome).is_some()
    }

    /// Waits until it has landed.
    ///
    /// # Errors
    ///
    /// [`ReadThroughError::Deadlock`] if it could land only after this thread has come back from a fetch of its own.
    pub(super) fn wait(self: &Arc<Self>) -> Result<Outcome, ReadThroughError> {
        let _waiting = Waiting::register(self)?;
        let outcome = wait_while(&self.landed, lock(&self.outcome), |outcome| outcome.is_none());
        Ok(outcome.clone().unwrap_or_else(|| Err(ReadThroughError::Panicked { range: self.range.clone() })))
    }
}

thread_local! {
    /// How many fetches of any file this thread is inside of.
    static FETCHES: Cell<usize> = const { Cell::new(0) };
}

struct InsideFetch;

impl InsideFetch {
    fn enter() -> Self {
        FETCHES.with(|fetches| fetches.set(fetches.get() + 1));
        Self
    }
}

impl Drop for InsideFetch {
    fn drop(&mut self) {
        FETCHES.with(|fetches| fetches.set(fetches.get() - 1));
    }
}

/// Which flight each thread waits for that is itself inside a fetch. A thread that is not holds up nobody.
type Waits = Mutex<HashMap<ThreadId, Arc<Flight>>>;

#[cfg(not(shuttle))]
static WAITS: std::sync::LazyLock<Waits> = std::sync::LazyLock::new(Waits::default);
#[cfg(shuttle)]
shuttle::lazy_static! {
    static ref WAITS: Waits = Waits::default();
}

/// Takes part in [`WAITS`] while it lives.
struct Waiting {
    is_registered: bool,
}

impl Waiting {
    fn register(flight: &Arc<Flight>) -> Result<Self, ReadThroughError> {
        if FETCHES.with(Cell::get) == 0 {
            return Ok(Self { is_registered: false });
        }
        let here = current().id();
        let mut waits = lock(&WAITS);
        let mut next = Some(flight);
        while let Some(waited_for) = next.filter(|flight| !flight.has_landed()) {
            if waited_for.owner == here {
                return Err(ReadThroughError::Deadlock { range: flight.range.clone() });
            }
            next = waits.get(&waited_for.owner);
        }
        waits.insert(here, Arc::clone(flight));
        Ok(Self { is_registered: true })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_registered {
            lock(&WAITS).remove(&current().id());
        }
    }
}
