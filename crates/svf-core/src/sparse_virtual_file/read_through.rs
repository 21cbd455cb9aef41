//! Reading what may be missing: it is fetched, once however many threads want it, checked and kept.

use std::error::Error;
use std::ops::Range;

use bytes::Bytes;

use super::SparseVirtualFile;
use super::flights::{Claim, Flight};
use super::state::{Data, State};
use crate::block_map::{BlockMap, BlockMapOptions, OnOverlap};
use crate::error::ReadThroughError;
use crate::need_options::NeedOptions;
use crate::sync::Arc;

impl SparseVirtualFile {
    /// Reads a range; what is missing of it is asked of `fetch` first, and kept.
    ///
    /// `fetch` gets one range at a time, and returns exactly its bytes. While one thread fetches a range, others that
    /// want any of it wait and get the same bytes, or the same error; what else they miss they fetch meanwhile. So
    /// each byte is fetched once, as long as it is not evicted. No lock is held during a fetch: other reads go on,
    /// and `fetch` may use this file and others.
    ///
    /// The requests are those of [`need_requests`](Self::need_requests) with `options`, but for what others are
    /// fetching. With [`end_of_file`](NeedOptions::end_of_file), or else the length of the file's
    /// [`version`](Self::version), nothing behind the end is asked for, and a range that reaches beyond it is clipped.
    /// The result is put together in memory of its own, so a limit that is smaller than the range is no hindrance.
    ///
    /// # Errors
    ///
    /// The error of `fetch`; a result of another length than was asked for; a fetched byte that conflicts with a held
    /// one; a range that starts behind the end. See [`ReadThroughError`]. What other requests have brought stays, and
    /// the next call tries again. If `fetch` panics, so does this call, and who waits gets an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use svf_core::{NeedOptions, SparseVirtualFile};
    ///
    /// let server: Vec<u8> = (0..=255).collect();
    /// let file = SparseVirtualFile::new("https://example.org/table");
    /// let options = NeedOptions::new().align(16).end_of_file(256);
    /// let mut requests = Vec::new();
    /// for range in [20..24, 30..40, 250..300] {
    ///     let bytes = file.read_through(range.clone(), &options, |missing| {
    ///         requests.push(missing.clone());
    ///         Ok::<_, std::io::Error>(server[missing.start as usize..missing.end as usize].to_vec())
    ///     })?;
    ///     assert_eq!(bytes, server[range.start as usize..range.end.min(256) as usize]);
    /// }
    /// assert_eq!(requests, [16..32, 32..48, 240..256]);
    /// # Ok::<(), svf_core::Error>(())
    /// ```
    pub fn read_through<B, E>(
        &self,
        range: Range<u64>,
        options: &NeedOptions,
        fetch: impl FnMut(Range<u64>) -> Result<B, E>,
    ) -> Result<Bytes, ReadThroughError>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let options = options.for_length(range.end.saturating_sub(range.start));
        let end = self.end_for(&options);
        let range = clip(range, end)?;
        if let Ok(held) = self.read_held(range.clone()) {
            return Ok(held);
        }
        let bytes = self.fetch_and_read(&[range], &options, end, fetch)?;
        Ok(bytes.into_iter().next().unwrap_or_default())
    }

    /// Reads several ranges; what is missing of all of them is planned together, as by
    /// [`need_many`](Self::need_many), and fetched first. The result has the bytes of each range, in the order given.
    ///
    /// # Errors
    ///
    /// As [`read_through`](Self::read_through).
    pub fn read_many_through<B, E>(
        &self,
        ranges: &[Range<u64>],
        options: &NeedOptions,
        fetch: impl FnMut(Range<u64>) -> Result<B, E>,
    ) -> Result<Vec<Bytes>, ReadThroughError>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let end = self.end_for(options);
        let ranges: Vec<_> = ranges.iter().map(|range| clip(range.clone(), end)).collect::<Result<_, _>>()?;
        if ranges.iter().all(|range| self.contains(range.clone()))
            && let Ok(held) = ranges.iter().map(|range| self.read_held(range.clone())).collect()
        {
            return Ok(held);
        }
        self.fetch_and_read(&ranges, options, end, fetch)
    }

    fn fetch_and_read<B, E>(
        &self,
        ranges: &[Range<u64>],
        options: &NeedOptions,
        end: Option<u64>,
        mut fetch: impl FnMut(Range<u64>) -> Result<B, E>,
    ) -> Result<Vec<Bytes>, ReadThroughError>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.reads.here().missed();
        let options = end.map_or(*options, |end| options.end_of_file(end));
        let mut fetch = |range: Range<u64>| fetch(range).map(Into::into).map_err(Into::into);
        let bytes = ReadThrough::new(self, ranges).run(&options, &mut fetch)?;
        bytes.iter().for_each(|bytes| self.count_read(bytes.len() as u64));
        Ok(bytes)
    }

    /// The end of the file, if anybody knows it.
    fn end_for(&self, options: &NeedOptions) -> Option<u64> {
        options.known_end().or_else(|| self.state.read().version.as_ref()?.len)
    }
}

/// A range reaches no further than the end, if that is known, and does not start there.
fn clip(range: Range<u64>, end_of_file: Option<u64>) -> Result<Range<u64>, ReadThroughError> {
    match end_of_file {
        Some(end_of_file) if end_of_file <= range.start && !range.is_empty() => {
            Err(ReadThroughError::PastEnd { requested: range, end_of_file })
        }
        Some(end_of_file) => Ok(range.start..range.end.min(end_of_file)),
        None => Ok(range),
    }
}

type Fetch<'a> = dyn FnMut(Range<u64>) -> Result<Bytes, Box<dyn Error + Send + Sync>> + 'a;

/// A request, and how many of its bytes were not held when it was planned.
struct Request {
    range: Range<u64>,
    missing: u64,
}

/// One read that found something missing.
struct ReadThrough<'a> {
    file: &'a SparseVirtualFile,
    ranges: &'a [Range<u64>],
    /// The result so far: what was held, and what came. Eviction from the file does not touch it.
    result: BlockMap,
    /// That of the file when the read began.
    generation: u64,
}

impl<'a> ReadThrough<'a> {
    fn new(file: &'a SparseVirtualFile, ranges: &'a [Range<u64>]) -> Self {
        let state = file.state.read();
        let options = state.map.options();
        // What conflicts is found by the file.
        let on_overlap = if options.on_overlap == OnOverlap::Replace { OnOverlap::Replace } else { OnOverlap::Keep };
        let result = BlockMap::with_options(BlockMapOptions { on_overlap, max_bytes: None, ..options });
        let mut read = Self { file, ranges, result, generation: state.generation };
        read.add_held(&state);
        read
    }

    #[expect(clippy::expect_used, reason = "see there")]
    fn run(mut self, options: &NeedOptions, fetch: &mut Fetch<'_>) -> Result<Vec<Bytes>, ReadThroughError> {
        for request in self.plan(options)? {
            self.fetch(request, fetch)?;
        }
        // What is missing now was in the air then, or has been evicted since.
        while let Some(gap) = self.first_gap() {
            let flight = self.file.flights.lock().first_in(&gap).map(Arc::clone);
            match flight {
                Some(flight) => self.wait_for(&flight)?,
                None => {
                    let state = self.file.state.read();
                    self.check_generation(&state)?;
                    self.add_held(&state);
                    drop(state);
                    if let Some(gap) = self.first_gap() {
                        let missing = gap.end - gap.start;
                        self.fetch(Request { range: gap, missing }, fetch)?;
                    }
                }
            }
        }
        let read = |range: &Range<u64>| self.result.read(range.clone());
        // Nothing is ever taken out of the result, and the loop has just found it to be without gaps.
        Ok(self.ranges.iter().map(|range| read(range).expect("the result has no gap")).collect())
    }

    fn first_gap(&self) -> Option<Range<u64>> {
        self.ranges.iter().find_map(|range| self.result.need(range.clone()).next())
    }

    /// The requests for all that is neither held nor being fetched.
    fn plan(&mut self, options: &NeedOptions) -> Result<Vec<Request>, ReadThroughError> {
        let in_the_air = self.file.flights.lock();
        let state = self.file.state.read();
        self.check_generation(&state)?;
        self.add_held(&state);
        let missing = self.ranges.iter().flat_map(|range| self.result.need(range.clone()));
        let requests = options.plan(missing.flat_map(|gap| in_the_air.free_parts(gap)));
        Ok(requests.into_iter().map(|range| Request { missing: missing_of(&state, &range), range }).collect())
    }

    /// Fetches a request, or what nobody else has fetched or is fetching of it.
    fn fetch(&mut self, request: Request, fetch: &mut Fetch<'_>) -> Result<(), ReadThroughError> {
        let mut start = request.range.start;
        while let Some(claim) = self.claim(&Request { range: start..request.range.end, ..request })? {
            start = claim.range().end;
            let range = claim.range();
            let outcome =
                claim.fetch(|| self.ask(range.clone(), fetch)).and_then(|bytes| self.keep(range.start, bytes));
            if outcome.is_err() {
                self.file.reads.here().fetch_failed();
            }
            claim.land(outcome.clone());
            self.add(range.start, outcome?);
        }
        Ok(())
    }

    /// Claims the next part of a request that has to be fetched: all of it, unless somebody has come first.
    fn claim(&mut self, request: &Request) -> Result<Option<Claim<'a>>, ReadThroughError> {
        let mut in_the_air = self.file.flights.lock();
        let state = self.file.state.read();
        self.check_generation(&state)?;
        let is_whole = !request.range.is_empty()
            && in_the_air.first_in(&request.range).is_none()
            && request.missing <= missing_of(&state, &request.range);
        if is_whole {
            return Ok(Some(in_the_air.take_off(request.range.clone(), self.generation)));
        }
        // Only what was asked for is worth a request of its own.
        let is_wanted =
            |gap: &Range<u64>| self.ranges.iter().any(|range| gap.start < range.end && range.start < gap.end);
        let free = in_the_air.free_parts(request.range.clone());
        let wanted = free.flat_map(|part| state.map.need(part)).find(is_wanted);
        Ok(wanted.map(|gap| in_the_air.take_off(gap, self.generation)))
    }

    fn ask(&self, range: Range<u64>, fetch: &mut Fetch<'_>) -> Result<Bytes, ReadThroughError> {
        let len = range.end - range.start;
        self.file.reads.here().fetched(len);
        let bytes = fetch(range.clone())
            .map_err(|source| ReadThroughError::Fetch { range: range.clone(), source: source.into() })?;
        if bytes.len() as u64 == len {
            Ok(bytes)
        } else {
            Err(ReadThroughError::Length { range, received: bytes.len() as u64 })
        }
    }

    /// Writes what has come into the file, unless that is another version by now.
    fn keep(&self, offset: u64, bytes: Bytes) -> Result<Bytes, ReadThroughError> {
        let mut state = self.file.state.write();
        self.check_generation(&state)?;
        state.write(offset, Data::Owned(bytes.clone()))?;
        let bound = state.membership.as_ref().map(|membership| membership.bound());
        drop(state);
        if let Some(bound) = bound {
            bound.keep_limit();
        }
        Ok(bytes)
    }

    fn wait_for(&mut self, flight: &Arc<Flight>) -> Result<(), ReadThroughError> {
        self.file.reads.here().waited();
        let outcome = flight.wait()?;
        self.check_generation(&self.file.state.read())?;
        // A flight that took off before a reset may land behind it, with bytes or an error of the other version.
        if flight.generation == self.generation {
            self.add(flight.range.start, outcome?);
        }
        Ok(())
    }

    fn add_held(&mut self, state: &State) {
        for range in self.ranges {
            let gaps: Vec<_> = self.result.need(range.clone()).collect();
            for (offset, bytes) in gaps.into_iter().flat_map(|gap| state.map.held(gap)) {
                self.add(offset, bytes);
            }
        }
    }

    /// An offset that was held or fetched overflows nothing, and nothing conflicts by the policy of the result.
    fn add(&mut self, offset: u64, bytes: Bytes) {
        let added = self.result.write_bytes(offset, bytes);
        debug_assert!(added.is_ok(), "{added:?}");
    }

    fn check_generation(&self, state: &State) -> Result<(), ReadThroughError> {
        if state.generation == self.generation { Ok(()) } else { Err(ReadThroughError::Changed) }
    }
}

fn missing_of(state: &State, range: &Range<u64>) -> u64 {
    state.map.need(range.clone()).map(|gap| gap.end - gap.start).sum()
}
