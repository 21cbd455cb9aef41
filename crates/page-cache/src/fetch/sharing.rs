//! One request for all threads of a process that want the same at once: one of them leads, and the others ride along.
//! Those who store nothing do so too, and have what else they do here.

use std::ops::Range;

use svf_core::RangeSet;

use super::Source;
use super::destinations::Destinations;
use super::requests::{Again, Left};
use super::retry::Failed;
use crate::error::ReadError;
use crate::flights::{Asked, Boarding, Flights, Leader, Passenger, Until};
use crate::in_flight::Turns;
use crate::sync::Mutex;

impl Source<'_> {
    /// Does something for what nobody in this process is fetching of a request, and gives the destinations what others
    /// fetch of it. What they do not bring is left.
    pub(super) fn share(
        &self,
        flights: &Flights,
        request: Range<u64>,
        stop: &dyn Fn() -> bool,
        left: &Left,
        destinations: &Mutex<Destinations<'_, '_>>,
        lead: impl Fn(&Leader<'_>, &mut Turns<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let (mut rest, mut passengers) = (request, Vec::new());
        while !rest.is_empty() {
            match flights.board(rest.clone()) {
                Boarding::Leader(leader) => {
                    rest.start = leader.range().end;
                    // The slot first, and then the locks: who has locks waits for one only if he has to try again.
                    let mut turns = self.turns(stop);
                    turns.begin();
                    leader.depart();
                    lead(&leader, &mut turns).inspect_err(|error| {
                        // Whether others get the part that they want of a longer request, they find out; also if this
                        // one has no use for it any more.
                        if let ReadError::Origin(error) = error
                            && !self.reads_ahead
                            && !stop()
                        {
                            leader.fail(error, self.retry.deadline, Asked::new(self.origin));
                        }
                    })?;
                }
                Boarding::Passenger(passenger) => {
                    rest.start = passenger.wanted().end;
                    passengers.push(passenger);
                }
            }
        }
        // Leading no flight, so that nobody waits for who waits.
        passengers.iter().try_for_each(|passenger| self.ride(passenger, left, destinations))
    }

    /// Gives the destinations what another thread fetches. An origin in trouble has been asked again and again by that
    /// thread, and is not by this one: they would wait one behind the other.
    fn ride(
        &self,
        passenger: &Passenger,
        left: &Left,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<(), ReadError> {
        let wanted = passenger.wanted().clone();
        // Nobody waits for what is only ahead.
        if self.watch.is_none() && !destinations.lock().need(&wanted) {
            return Ok(());
        }
        self.counters.waited();
        left.waited();
        // To who wants it stored it is of no use that it has landed.
        let until = if self.watch.is_some() { Until::Over } else { Until::Landed };
        let arrival = passenger.wait(until, self.patience);
        let mut got = RangeSet::new();
        let mut destinations = destinations.lock();
        for (start, bytes) in &arrival.pieces {
            destinations.take(*start, bytes);
            got.insert(*start..start + bytes.len() as u64);
        }
        if let Some(failed) = arrival.failed
            && failed.tried_for >= self.retry.deadline
            && failed.asked == Asked::new(self.origin)
        {
            return Err(failed.error.into());
        }
        left.add(if self.watch.is_some() { vec![wanted] } else { got.gaps(wanted).collect() });
        if arrival.late {
            tracing::warn!(key = self.origin.key(), "another thread is slow, and is not waited for any longer");
            left.give_up();
        }
        Ok(())
    }

    /// Fetches `wanted`, byte for byte, and gives it to the destinations alone, and to who waits for the same.
    pub(super) fn pass_on(
        &self,
        mut wanted: RangeSet,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<(), ReadError> {
        while !wanted.is_empty() {
            let left = Left::default();
            self.for_each_request(&wanted, |request, stop| {
                self.share(self.passed_on, request, stop, &left, destinations, |leader, turns| {
                    let (bytes, result) = match self.request(leader.range().clone(), Ok(self.retry), turns) {
                        Ok(bytes) => (bytes, Ok(())),
                        Err(Failed { error, begin }) if error.is_transient() => (begin, Err(error.into())),
                        Err(Failed { error, .. }) => return Err(error.into()),
                    };
                    destinations.lock().take(leader.range().start, &bytes);
                    leader.land(leader.range().start, &bytes);
                    result
                })
            })?;
            let (rest, again) = left.into_inner();
            if again == Again::Never {
                return self.fetch_beside(&rest, destinations);
            }
            wanted = rest;
        }
        Ok(())
    }

    /// The same without a look at what others fetch.
    pub(super) fn fetch_beside(
        &self,
        wanted: &RangeSet,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<(), ReadError> {
        self.for_each_request(wanted, |request, stop| {
            let bytes =
                self.request(request.clone(), Ok(self.retry), &mut self.turns(stop)).map_err(|failed| failed.error)?;
            destinations.lock().take(request.start, &bytes);
            Ok(())
        })
    }
}
