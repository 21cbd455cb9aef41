//! What is fetched to be stored: locked, looked for once more, fetched, handed out, stored.

use std::ops::Range;

use bytes::Bytes;
use svf_core::RangeSet;

use super::destinations::Destinations;
use super::requests::{Again, Left};
use super::retry::{self, Failed, RetryPolicy, Tried};
use super::{Source, Store};
use crate::directory::{Damaged, Stored};
use crate::error::ReadError;
use crate::flights::Leader;
use crate::in_flight::Turns;
use crate::sync::Mutex;

/// What is fetched, and for whom: where it is stored, who waits for it, and who has asked.
struct Flight<'f, 'd, 'a> {
    store: &'f Store<'f>,
    leader: &'f Leader<'f>,
    destinations: &'f Mutex<Destinations<'d, 'a>>,
}

impl Source<'_> {
    /// Fetches and stores what nobody else is fetching of `pending`, in whole pages, and gives it to the destinations;
    /// what another thread is fetching they get from there. Returns what is left of it.
    pub(super) fn fill(
        &self,
        store: &Store<'_>,
        pending: &RangeSet,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<(RangeSet, Again), ReadError> {
        let left = Left::default();
        self.for_each_request(pending, |request, stop| {
            self.share(store.pair.flights(), request, stop, &left, destinations, |leader, turns| {
                self.fill_flight(store, leader, turns, &left, destinations)
            })
        })?;
        Ok(left.into_inner())
    }

    /// Stores the whole pages of pieces that came by another way than a request of this engine's, of those that are not
    /// held and nobody else is fetching. All together were one miss.
    #[cfg(feature = "object_store")]
    pub(crate) fn keep<'b>(&self, pieces: impl Iterator<Item = (u64, &'b [u8])>) {
        for (number, (start, bytes)) in pieces.enumerate() {
            if number == 0 {
                self.counters.miss();
            }
            self.counters.requested();
            self.counters.fetched(bytes.len() as u64);
            self.keep_piece(start, bytes);
        }
    }

    #[cfg(feature = "object_store")]
    fn keep_piece(&self, start: u64, bytes: &[u8]) {
        let Some(store) = &self.store else { return };
        let pages = store.pair.pages();
        let end = start + bytes.len() as u64;
        let first = start.div_ceil(pages.page_size);
        let last = if end == pages.length { pages.count() } else { end / pages.page_size };
        let whole: RangeSet = [first..last.max(first)].into_iter().collect();
        let all = [pages.bytes_of_run(first..last.max(first))].into_iter().collect();
        if whole.is_empty() || !self.admits(store, &all) || !store.pair.may_be_filled(store.budget) {
            return;
        }
        let claim = match store.pair.page_locks().try_claim(&whole) {
            Ok(claim) => claim,
            Err(error) => return store.pair.warn("pages cannot be locked", &error),
        };
        for run in claim.ranges() {
            let run = pages.bytes_of_run(run);
            let held = match store.pair.held(&run) {
                Ok(held) => held,
                Err(error) => return store.pair.warn("the index cannot be read", &error),
            };
            for absent in held.gaps(run) {
                let bytes = &bytes[(absent.start - start) as usize..(absent.end - start) as usize];
                if store.pair.store(store.budget, &store.room, absent.start, bytes) == Stored::NotAll {
                    self.counters.bypassed();
                }
            }
        }
    }

    /// Fetches and stores what can be locked of a flight's pages.
    fn fill_flight(
        &self,
        store: &Store<'_>,
        leader: &Leader<'_>,
        turns: &mut Turns<'_>,
        left: &Left,
        destinations: &Mutex<Destinations<'_, '_>>,
    ) -> Result<(), ReadError> {
        let (pages, request) = (store.pair.pages(), leader.range().clone());
        // A request ends at the end of the object, and else with a page.
        let wanted: RangeSet = [pages.touching(&request)].into_iter().collect();
        let mut claim = match store.pair.page_locks().try_claim(&wanted) {
            Ok(claim) => claim,
            Err(error) => {
                store.pair.warn("pages cannot be locked", &error);
                left.give_up();
                left.add([request]);
                return Ok(());
            }
        };
        let claimed: RangeSet = claim.ranges().iter().map(|run| pages.bytes_of_run(run)).collect();
        left.add(claimed.gaps(request));
        // Somebody may have stored these pages between the look and the lock.
        let mut all = destinations.lock();
        let found = all.look(store.pair, &claimed);
        let new = all.note_damage(&found.damaged);
        drop(all);
        leader.expect_only(&found.absent);
        self.report_damage(store, &new);
        store.pair.withdraw_damaged(store.budget, &found.damaged);
        let flight = Flight { store, leader, destinations };
        // Each is a request: they are whole pages, and no longer than the one of which they are parts.
        for part in found.absent {
            match self.fetch_in_place(&flight, turns, &part) {
                Some(Ok(())) => {}
                Some(Err(tried)) => self.fetch_part(&flight, turns, &part, Err(tried))?,
                None => self.fetch_part(&flight, turns, &part, Ok(self.retry))?,
            }
            // Who waits for these pages need not wait for the requests behind them.
            claim.release(pages.touching(&part));
        }
        Ok(())
    }

    /// One request, whose bytes come in memory of their own.
    fn fetch_part(
        &self,
        flight: &Flight<'_, '_, '_>,
        turns: &mut Turns<'_>,
        part: &Range<u64>,
        tried: Result<RetryPolicy, Tried>,
    ) -> Result<(), ReadError> {
        // What came goes to the caller and to those who wait for it, and then to the disk.
        let hand_out_and_store = |bytes: &Bytes| {
            flight.destinations.lock().take(part.start, bytes);
            flight.leader.land(part.start, bytes);
            self.store(flight.store, part.start, bytes);
        };
        match self.request(part.clone(), tried, turns) {
            Ok(bytes) => hand_out_and_store(&bytes),
            Err(Failed { error, begin }) => {
                // Whole pages of what had come, so that who tries again gets on; of an answer that is wrong in the
                // end nothing is to be relied on.
                let good = if error.is_transient() { begin.len() as u64 } else { 0 };
                let page_size = flight.store.pair.pages().page_size;
                let whole = good / page_size * page_size;
                if whole > 0 {
                    hand_out_and_store(&begin.slice(..whole as usize));
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The same straight into the caller's memory, from where it is stored, if that is for just these bytes, and as
    /// good as any, and the origin can do so; else `None`. Nobody else of this call has a request under way then, since
    /// this is all of it.
    fn fetch_in_place(
        &self,
        flight: &Flight<'_, '_, '_>,
        turns: &mut Turns<'_>,
        part: &Range<u64>,
    ) -> Option<Result<(), Tried>> {
        if !self.origin.reads_into() {
            return None;
        }
        let mut destinations = flight.destinations.lock();
        let out = destinations.memory_of(part).filter(|out| is_fast_to_copy_to(out, part.start))?;
        let read = retry::read_into(self.origin, self.pinned, part.start, out, self.retry, turns, self.counters);
        Some(read.map(|()| {
            // Those who wait get a copy of their own. Who comes while it is stored waits for that, and finds it there,
            // or gets a copy all the same.
            let waited_for = flight.leader.has_passengers();
            if waited_for {
                flight.leader.land(part.start, &Bytes::copy_from_slice(out));
            }
            if self.store(flight.store, part.start, out) == Stored::NotAll && !waited_for {
                flight.leader.land(part.start, &Bytes::copy_from_slice(out));
            }
        }))
    }

    fn store(&self, store: &Store<'_>, start: u64, bytes: &[u8]) -> Stored {
        let stored = store.pair.store(store.budget, &store.room, start, bytes);
        if let Some(watch) = self.watch {
            watch.note(bytes.len() as u64, stored);
        }
        if stored == Stored::NotAll {
            self.counters.bypassed();
            store.read_ahead.is_in_vain();
        }
        stored
    }
}

/// Whether a file's bytes from `start` on are copied to this memory as fast as to any other.
///
/// The kernel copies by `rep movsb`, which on some processors takes two to seven times as long where the destination is
/// 1 to 31 bytes above the source, but for a multiple of a page: it is faster then to read elsewhere and to copy. An
/// allocator has 16 bytes of its own at the beginning of the pages that it gets for a large piece.
fn is_fast_to_copy_to(out: &[u8], start: u64) -> bool {
    let above = out.as_ptr().addr().wrapping_sub(start as usize) % 4096;
    !cfg!(target_arch = "x86_64") || !(1..32).contains(&above)
}

/// Takes damaged pages away, for who stores nothing in their place; those that others have locked are theirs.
pub(super) fn withdraw_damaged(store: &Store<'_>, damaged: &[Damaged]) {
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
