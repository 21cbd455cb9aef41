//! The one way in which a read is answered: what is held from the disk, the rest from the origin, and stored.
//!
//! ```text
//! look ─► all there? ─► done
//!   ▲          │ absent pages
//!   │          ▼
//!   │       claim ─► look again ─► plan ─► fetch ─► hand out ─► store ─► give the claim back
//!   └────────────────────── what other threads had claimed ◄──────────────────┘
//! ```
//!
//! A hit takes no claim, so it never waits for a miss. What was fetched goes to the caller first: that it cannot be
//! stored is no reason for the read to fail.

use std::ops::Range;

use bytes::Bytes;
use svf_core::{NeedOptions, RangeSet};

use crate::directory::Pair;
use crate::error::ReadError;
use crate::origin::{Origin, OriginError, Stat};
use crate::pages::overlap;

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
            self.out[(part.start - self.range.start) as usize..(part.end - self.range.start) as usize]
                .copy_from_slice(&bytes[(part.start - start) as usize..(part.end - start) as usize]);
        }
    }
}

/// Where the bytes of one version of one object come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) origin: &'a dyn Origin,
    pub(crate) pinned: &'a Stat,
    /// Without a pair everything is read from the origin, and nothing is kept.
    pub(crate) pair: Option<&'a Pair>,
}

impl Source<'_> {
    /// Fills all destinations. The missing pages of all of them are planned together.
    pub(crate) fn read(&self, destinations: &mut [Destination<'_>]) -> Result<(), ReadError> {
        let Some(pair) = self.pair else {
            let wanted = destinations.iter().map(|destination| destination.range.clone()).collect();
            return self.fetch(&wanted, destinations, |_, _| ());
        };
        let mut pending = RangeSet::new();
        for destination in &mut *destinations {
            pending.extend(&pair.copy_present(&destination.range, destination.out, false));
        }
        while !pending.is_empty() {
            let mut claim = pair.claims().claim(&pending);
            let claimed: RangeSet = claim.ranges().collect();
            // Somebody may have stored these pages between the look and the claim.
            let absent = look_again(pair, &claimed, destinations);
            self.fetch(&absent, destinations, |start, bytes| {
                pair.store(start, bytes);
                // Who waits for these pages need not wait for the requests behind them.
                claim.release(start..start + bytes.len() as u64);
            })?;
            drop(claim);
            for range in &claimed {
                pending.remove(range);
            }
        }
        Ok(())
    }

    /// The requests that reading `absent`, in whole pages, takes.
    pub(crate) fn plan(&self, absent: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
        let options = NeedOptions::new().end_of_file(self.pinned.length).max_len(MAX_REQUEST);
        match self.pair {
            Some(pair) => options.align(pair.pages().page_size).plan(absent),
            None => options.plan(absent),
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
        tracing::debug!(key = self.origin.key(), start = range.start, end = range.end, "fetch");
        let bytes = self.origin.read(range.clone(), self.pinned)?;
        // An origin may be anybody's, and a page must never be stored short.
        if bytes.len() as u64 != range.end - range.start {
            let (key, request) = (self.origin.key().to_owned(), format!("bytes {}..{}", range.start, range.end));
            let reason = format!("it has {} bytes", bytes.len());
            return Err(OriginError::InvalidResponse { key, request, reason }.into());
        }
        Ok(bytes)
    }
}

/// Gives the destinations what the pair has of the claimed pages, and returns those that it does not have.
fn look_again(pair: &Pair, claimed: &RangeSet, destinations: &mut [Destination<'_>]) -> RangeSet {
    let mut absent = RangeSet::new();
    for destination in destinations {
        for part in claimed.intersection(destination.range.clone()) {
            let start = destination.range.start;
            let out = &mut destination.out[(part.start - start) as usize..(part.end - start) as usize];
            absent.extend(&pair.copy_present(&part, out, true));
        }
    }
    absent
}
