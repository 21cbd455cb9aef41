//! What this process is just fetching of one version of one object. Who wants some of it gets it from the thread that
//! fetches it, whether it can be stored or not.
//!
//! ```text
//! leader    board ─► (slot, locks) ─► fetch ─► land ─► store ─► drop: out of the table
//! passenger    board ─► wait ───────────────────► takes the leader's bytes
//! ```
//!
//! Nobody waits for a flight while he leads one, and who leads waits for nothing but a slot, for a bounded time, and
//! his own request; so no two can wait for each other. A flight ends with its leader, whatever becomes of him: what it
//! did not bring is for the passengers to look for.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use svf_core::RangeSet;

use crate::origin::{Origin, OriginError};
use crate::pages::overlap;
use crate::sync::{Condvar, Mutex};

/// For so long at once a flight is waited for that has not begun; its leader tells when it does.
const QUEUE: Duration = Duration::from_secs(1);

/// The flights of a version of an object, in this process. No two of them have a byte in common.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    /// In the order of their starts. They are few, at most one for each request that is under way or waits for a slot.
    in_the_air: Mutex<Vec<Arc<Flight>>>,
}

#[derive(Debug)]
struct Flight {
    range: Range<u64>,
    cargo: Mutex<Cargo>,
    changed: Condvar,
}

#[derive(Debug)]
struct Cargo {
    /// What may still land.
    expected: RangeSet,
    landed: Vec<(u64, Bytes)>,
    /// Whether the leader has begun, and does not stand in a queue any more.
    departed: bool,
    /// Whether the leader has stored it, or given up.
    over: bool,
    failed: Option<Failure>,
}

/// Why a leader has given up, if that may pass.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: OriginError,
    /// For how long he tried.
    pub(crate) tried_for: Duration,
    pub(crate) asked: Asked,
}

impl Failure {
    fn again(&self) -> Option<Self> {
        let Self { error, tried_for, asked } = self;
        Some(Self { error: error.again_if_transient()?, tried_for: *tried_for, asked: *asked })
    }
}

/// Which origin was asked: of one object there may be several, with other credentials or by another way. It is told by
/// its address, so only those that are there at once can be told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked(usize);

impl Asked {
    pub(crate) fn new(origin: &dyn Origin) -> Self {
        Self(std::ptr::from_ref(origin).cast::<()>().addr())
    }
}

/// For what a passenger waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// What is wanted has come, or will not.
    Landed,
    /// And the leader is done with it: it is stored, or will not be.
    Over,
}

/// How somebody comes to the first bytes of what he wants.
#[derive(Debug)]
pub(crate) enum Boarding<'a> {
    /// Nobody is fetching them.
    Leader(Leader<'a>),
    /// Another thread is.
    Passenger(Passenger),
}

/// Who has to fetch something. When it drops the flight is over, and its passengers wait no longer.
#[derive(Debug)]
#[must_use = "the flight is over as soon as this drops"]
pub(crate) struct Leader<'a> {
    flights: &'a Flights,
    flight: Arc<Flight>,
}

/// Who waits for what another thread fetches.
#[derive(Debug)]
pub(crate) struct Passenger {
    flight: Arc<Flight>,
    wanted: Range<u64>,
}

/// What a passenger got.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Where each piece starts, and its bytes, which may be more than were wanted.
    pub(crate) pieces: Vec<(u64, Bytes)>,
    /// Whether the flight was still under way when the passenger had waited for long enough.
    pub(crate) late: bool,
    /// Why there is no more: it is no use to ask the same origin again at once for who would not try for longer.
    pub(crate) failed: Option<Failure>,
}

impl Flights {
    /// Finds who is to fetch the first bytes of `wanted`, which is not empty: the caller, who then leads a flight, or
    /// another thread. What either covers starts where `wanted` does, and may end earlier.
    pub(crate) fn board(&self, wanted: Range<u64>) -> Boarding<'_> {
        let mut in_the_air = self.in_the_air.lock();
        let place = place_of(&in_the_air, wanted.start);
        let next = in_the_air.get(place);
        if let Some(flight) = next.filter(|flight| flight.range.start <= wanted.start) {
            let wanted = overlap(&flight.range, &wanted);
            return Boarding::Passenger(Passenger { flight: Arc::clone(flight), wanted });
        }
        let range = wanted.start..next.map_or(wanted.end, |next| next.range.start.min(wanted.end));
        let cargo = Cargo {
            expected: [range.clone()].into_iter().collect(),
            // Mostly all of it lands at once.
            landed: Vec::with_capacity(1),
            departed: false,
            over: false,
            failed: None,
        };
        let flight = Arc::new(Flight { range: range.clone(), cargo: Mutex::new(cargo), changed: Condvar::new() });
        in_the_air.insert(place, Arc::clone(&flight));
        Boarding::Leader(Leader { flights: self, flight })
    }

    /// Where the first flight starts that has bytes of `range`, if there is one.
    pub(crate) fn first_in(&self, range: &Range<u64>) -> Option<u64> {
        let in_the_air = self.in_the_air.lock();
        let first = in_the_air.get(place_of(&in_the_air, range.start))?.range.start;
        (first < range.end).then_some(first.max(range.start))
    }
}

/// The place of the flight that has the byte at `offset`; if none has it, that of the next one.
fn place_of(in_the_air: &[Arc<Flight>], offset: u64) -> usize {
    in_the_air.partition_point(|flight| flight.range.end <= offset)
}

impl Leader<'_> {
    /// What is to be fetched.
    pub(crate) fn range(&self) -> &Range<u64> {
        &self.flight.range
    }

    /// From now on the patience of passengers counts: it is this request that they wait for, and not those before it.
    pub(crate) fn depart(&self) {
        self.flight.cargo.lock().departed = true;
        self.flight.changed.notify_all();
    }

    /// Passengers do not wait for anything but `rest` any more. Called once, before anything lands.
    pub(crate) fn expect_only(&self, rest: &RangeSet) {
        if rest.iter().eq([self.range().clone()]) {
            // They wait for that already.
            return;
        }
        self.flight.cargo.lock().expected = rest.clone();
        self.flight.changed.notify_all();
    }

    /// Tells the passengers why they get nothing more, if that may pass, who was asked, and for how long.
    pub(crate) fn fail(&self, error: &OriginError, tried_for: Duration, asked: Asked) {
        let failed = error.again_if_transient().map(|error| Failure { error, tried_for, asked });
        self.flight.cargo.lock().failed = failed;
    }

    /// Whether somebody waits just now.
    pub(crate) fn has_passengers(&self) -> bool {
        // Ours, and that of the table.
        Arc::strong_count(&self.flight) > 2
    }

    /// Gives the passengers what was fetched.
    pub(crate) fn land(&self, start: u64, bytes: &Bytes) {
        let mut cargo = self.flight.cargo.lock();
        cargo.expected.remove(start..start + bytes.len() as u64);
        cargo.landed.push((start, bytes.clone()));
        self.flight.changed.notify_all();
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.flights.in_the_air.lock().retain(|flight| !Arc::ptr_eq(flight, &self.flight));
        self.flight.cargo.lock().over = true;
        self.flight.changed.notify_all();
    }
}

impl Passenger {
    /// What is wanted of the flight.
    pub(crate) fn wanted(&self) -> &Range<u64> {
        &self.wanted
    }

    /// Waits for no longer than `patience`, counted from when the leader had begun.
    pub(crate) fn wait(&self, until: Until, patience: Duration) -> Arrival {
        let mut cargo = self.flight.cargo.lock();
        let is_expected = |cargo: &Cargo| cargo.expected.intersection(self.wanted.clone()).next().is_some();
        let is_under_way = |cargo: &Cargo| !cargo.over && (until == Until::Over || is_expected(cargo));
        let mut since = None;
        while is_under_way(&cargo) {
            let rest = if cargo.departed {
                patience.saturating_sub(since.get_or_insert_with(Instant::now).elapsed())
            } else {
                QUEUE
            };
            if rest.is_zero() {
                break;
            }
            cargo = self.flight.changed.wait_for(cargo, rest);
        }
        let touches =
            |start: u64, bytes: &Bytes| start < self.wanted.end && start + bytes.len() as u64 > self.wanted.start;
        let pieces = cargo.landed.iter().filter(|(start, bytes)| touches(*start, bytes)).cloned().collect();
        // What the leader was not going to bring is not what has failed.
        let failed = cargo.failed.as_ref().filter(|_| is_expected(&cargo));
        let failed = failed.and_then(Failure::again);
        Arrival { pieces, late: is_under_way(&cargo), failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn leader(flights: &Flights, range: Range<u64>) -> Leader<'_> {
        match flights.board(range) {
            Boarding::Leader(leader) => leader,
            Boarding::Passenger(passenger) => panic!("{passenger:?}"),
        }
    }

    fn passenger(flights: &Flights, range: Range<u64>) -> Passenger {
        match flights.board(range) {
            Boarding::Passenger(passenger) => passenger,
            Boarding::Leader(leader) => panic!("{leader:?}"),
        }
    }

    #[test]
    fn no_byte_is_in_two_flights() {
        let flights = Flights::default();
        let middle = leader(&flights, 10..20);
        assert_eq!(leader(&flights, 0..30).range(), &(0..10));
        let before = leader(&flights, 5..30);
        assert_eq!(before.range(), &(5..10));
        assert_eq!(passenger(&flights, 10..30).wanted(), &(10..20));
        assert_eq!(passenger(&flights, 15..18).wanted(), &(15..18));
        assert_eq!(leader(&flights, 20..30).range(), &(20..30));
        assert_eq!([0..5, 0..6, 12..14, 20..30].map(|range| flights.first_in(&range)), [None, Some(5), Some(12), None]);
        drop((middle, before));
        assert_eq!(leader(&flights, 0..30).range(), &(0..30));
        assert!(flights.in_the_air.lock().is_empty());
    }

    #[test]
    fn a_passenger_gets_what_lands_and_waits_for_no_more() {
        let flights = Flights::default();
        let leader = leader(&flights, 0..30);
        leader.depart();
        let passengers = [0..10, 5..15, 20..30].map(|range| passenger(&flights, range));
        leader.expect_only(&[0..15].into_iter().collect());
        assert!(passengers[2].wait(Until::Landed, LONG).pieces.is_empty(), "it is not fetched any more");
        assert!(passengers[0].wait(Until::Landed, Duration::ZERO).late);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| passengers[1].wait(Until::Landed, LONG));
            leader.land(0, &Bytes::from_static(&[1; 10]));
            let first = passengers[0].wait(Until::Landed, LONG);
            assert!(!first.late && first.pieces == [(0, Bytes::from_static(&[1; 10]))]);
            leader.land(10, &Bytes::from_static(&[2; 5]));
            let both = waiting.join().unwrap();
            assert!(!both.late && both.pieces.len() == 2);
            assert!(passengers[0].wait(Until::Over, Duration::ZERO).late, "it may not be stored yet");
            drop(leader);
            assert!(!passengers[0].wait(Until::Over, LONG).late);
        });
    }

    #[test]
    fn patience_counts_from_when_the_leader_has_begun() {
        let flights = Flights::default();
        let leader = leader(&flights, 0..30);
        let passenger = passenger(&flights, 0..30);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| passenger.wait(Until::Landed, Duration::from_millis(1)));
            std::thread::sleep(Duration::from_millis(30));
            assert!(!waiting.is_finished(), "the leader stands in a queue");
            leader.depart();
            assert!(waiting.join().unwrap().late);
        });
    }

    #[test]
    fn a_leader_that_panics_leaves_nobody_waiting() {
        let flights = Flights::default();
        std::thread::scope(|scope| {
            let led = leader(&flights, 0..30);
            let passenger = passenger(&flights, 0..30);
            let waiting = scope.spawn(move || passenger.wait(Until::Landed, LONG));
            let dies = scope.spawn(move || {
                let _led = led;
                panic!("on purpose");
            });
            assert!(dies.join().is_err());
            let arrival = waiting.join().unwrap();
            assert!(!arrival.late && arrival.pieces.is_empty());
        });
        drop(leader(&flights, 0..30));
    }
}
