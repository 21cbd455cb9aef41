//! One read that found something missing: what it asks for, in which order, and what it makes of what comes.

use std::collections::VecDeque;
use std::error::Error;
use std::ops::Range;

use bytes::Bytes;

use super::SparseVirtualFile;
use super::flights::{Claim, Flight, InTheAir};
use super::state::{Data, State};
use crate::block_map::{BlockMap, BlockMapOptions, OnOverlap, compact};
use crate::error::{ReadThroughError, WriteError};
use crate::need_options::NeedOptions;
use crate::range_set::RangeSet;
use crate::sync::Arc;

pub(super) type Fetch<'a> = dyn FnMut(Range<u64>) -> Result<Bytes, Box<dyn Error + Send + Sync>> + 'a;

/// The state of such a read.
pub(super) struct Fetching<'a> {
    file: &'a SparseVirtualFile,
    ranges: Vec<Range<u64>>,
    options: NeedOptions,
    /// The generation of the file when the read began.
    generation: u64,
    /// What was held, and what came. Eviction from the file does not touch it.
    result: BlockMap,
    /// What the ranges want and the result has not.
    missing: RangeSet,
    /// What of the requests nobody held when they were planned.
    planned: RangeSet,
}

impl<'a> Fetching<'a> {
    pub(super) fn new(
        file: &'a SparseVirtualFile,
        state: &State,
        ranges: Vec<Range<u64>>,
        options: NeedOptions,
    ) -> Self {
        let result = BlockMap::with_options(BlockMapOptions { max_bytes: None, ..state.map.options() });
        let missing = ranges.iter().cloned().collect();
        Self { file, ranges, options, generation: state.generation, result, missing, planned: RangeSet::new() }
    }

    #[expect(
        clippy::expect_used,
        reason = "nothing is ever taken out of the result, and all that was missing is in it"
    )]
    pub(super) fn run(mut self, fetch: &mut Fetch<'_>) -> Result<Vec<Bytes>, ReadThroughError> {
        while !self.missing.is_empty() {
            let requests = self.plan()?;
            self.fetch_all(requests, fetch)?;
            // What is missing now was in the air, or has been evicted since it landed.
            while let Some(gap) = self.missing.iter().next()
                && let Some(flight) = self.flight_in(&gap)
            {
                self.wait_for(&flight)?;
            }
        }
        let read = |range: &Range<u64>| self.result.read(range.clone());
        Ok(self.ranges.iter().map(|range| read(range).expect("the result has no gap")).collect())
    }

    fn flight_in(&self, gap: &Range<u64>) -> Option<Arc<Flight>> {
        self.file.flights.lock().first_in(gap).map(Arc::clone)
    }

    /// The requests for all that is neither held nor in the air. They are split when they are sent.
    fn plan(&mut self) -> Result<VecDeque<Range<u64>>, ReadThroughError> {
        let in_the_air = self.file.flights.lock();
        let state = self.file.state.read();
        self.check_generation(&state)?;
        self.planned.clear();
        self.plan_within(0..u64::MAX, &in_the_air, &state)
    }

    /// The same for what is missing of a range.
    fn plan_within(
        &mut self,
        range: Range<u64>,
        in_the_air: &InTheAir<'_>,
        state: &State,
    ) -> Result<VecDeque<Range<u64>>, ReadThroughError> {
        self.add_held(range.clone(), state)?;
        let free = self.missing.intersection(range).flat_map(|gap| in_the_air.free_parts(gap));
        let requests = self.options.unsplit().plan(free);
        // Being greedy, aligning and joining may have reached into what is in the air.
        let requests: VecDeque<_> = requests.into_iter().flat_map(|request| in_the_air.free_parts(request)).collect();
        for request in &requests {
            self.planned.extend(state.map.need(request.clone()));
        }
        Ok(requests)
    }

    fn fetch_all(&mut self, mut requests: VecDeque<Range<u64>>, fetch: &mut Fetch<'_>) -> Result<(), ReadThroughError> {
        while let Some(request) = requests.pop_front() {
            let piece = self.options.first_piece(&request);
            if piece.end < request.end {
                requests.push_front(piece.end..request.end);
            }
            let Some(claim) = self.claim(piece, &mut requests)? else { continue };
            let range = claim.range();
            let outcome =
                claim.fetch(|| self.ask(range.clone(), fetch)).and_then(|bytes| self.keep(range.clone(), bytes));
            if outcome.is_err() {
                self.file.reads.here().fetch_failed();
            }
            claim.land(outcome.clone());
            self.add(range.start, outcome?)?;
        }
        Ok(())
    }

    /// Claims a request. If somebody has come first, what is still to be had of it is planned again, and the first
    /// request of that is claimed; the others go to the front of the queue.
    fn claim(
        &mut self,
        request: Range<u64>,
        queue: &mut VecDeque<Range<u64>>,
    ) -> Result<Option<Claim<'a>>, ReadThroughError> {
        let mut in_the_air = self.file.flights.lock();
        let state = self.file.state.read();
        self.check_generation(&state)?;
        let is_missing = |gap: Range<u64>| state.map.need(gap.clone()).next() == Some(gap);
        if in_the_air.first_in(&request).is_none() && self.planned.intersection(request.clone()).all(is_missing) {
            return Ok(Some(in_the_air.take_off(request, self.generation)));
        }
        self.planned.remove(request.clone());
        let mut requests = self.plan_within(request, &in_the_air, &state)?;
        let Some(first) = requests.pop_front() else { return Ok(None) };
        let piece = self.options.first_piece(&first);
        requests.push_front(piece.end..first.end);
        requests.into_iter().rev().filter(|rest| !rest.is_empty()).for_each(|rest| queue.push_front(rest));
        Ok(Some(in_the_air.take_off(piece, self.generation)))
    }

    fn ask(&self, range: Range<u64>, fetch: &mut Fetch<'_>) -> Result<Bytes, ReadThroughError> {
        tracing::debug!(file = self.file.id(), start = range.start, end = range.end, "fetch");
        self.file.reads.here().fetches();
        let bytes = fetch(range.clone())
            .map_err(|source| ReadThroughError::Fetch { range: range.clone(), source: source.into() })?;
        let received = bytes.len() as u64;
        self.file.reads.here().fetched(received);
        if received == range.end - range.start {
            // From here on it is shared, and its allocation cannot be looked at any more.
            Ok(compact(bytes))
        } else {
            Err(ReadThroughError::Length { range, received })
        }
    }

    /// Writes what has come into the file, unless that is another version by now. Returns what the file has there.
    fn keep(&self, range: Range<u64>, bytes: Bytes) -> Result<Bytes, ReadThroughError> {
        let mut state = self.file.writing();
        self.check_generation(&state)?;
        let options = state.map.options();
        let mut held = BlockMap::with_options(BlockMapOptions { max_bytes: None, ..options });
        if options.on_overlap == OnOverlap::Keep {
            // What was written meanwhile stays.
            for (offset, bytes) in state.map.held(range.clone()) {
                held.write_bytes(offset, bytes)?;
            }
        }
        state.write(range.start, Data::Owned(bytes.clone()))?;
        drop(state);
        self.file.keep_shared_limit();
        if held.is_empty() {
            return Ok(bytes);
        }
        held.write_bytes(range.start, bytes.clone())?;
        Ok(held.read(range).unwrap_or(bytes))
    }

    fn wait_for(&mut self, flight: &Arc<Flight>) -> Result<(), ReadThroughError> {
        let Range { start, end } = flight.range;
        tracing::debug!(file = self.file.id(), start, end, "wait for another thread's fetch");
        self.file.reads.here().waited();
        let outcome = flight.wait()?;
        self.check_generation(&self.file.state.read())?;
        // A flight that took off before a reset may land behind it, with bytes or an error of the other version.
        if flight.generation == self.generation {
            self.add(start, outcome?)?;
        }
        Ok(())
    }

    /// Takes over what the file holds of what is missing.
    fn add_held(&mut self, range: Range<u64>, state: &State) -> Result<(), WriteError> {
        let gaps: Vec<_> = self.missing.intersection(range).collect();
        for (offset, bytes) in gaps.into_iter().flat_map(|gap| state.map.held(gap)) {
            self.add(offset, bytes)?;
        }
        Ok(())
    }

    fn add(&mut self, offset: u64, bytes: Bytes) -> Result<(), WriteError> {
        let end = offset + bytes.len() as u64;
        self.result.write_bytes(offset, bytes)?;
        self.missing.remove(offset..end);
        Ok(())
    }

    fn check_generation(&self, state: &State) -> Result<(), ReadThroughError> {
        if state.generation == self.generation { Ok(()) } else { Err(ReadThroughError::Changed) }
    }
}
