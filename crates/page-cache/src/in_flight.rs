//! How many requests are under way at once.
//!
//! A slot is held while an origin is asked, and neither while what came is stored or told of, nor between two attempts.
//! An origin may read other files of the same cache: within a request no further slot is taken, and who could have none
//! for too long, since origins wait for each other in ways that cannot be seen here, goes without.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// Slots for the requests of a process to all origins of a directory.
#[derive(Debug)]
pub(crate) struct InFlight {
    max: usize,
    taken: Mutex<Taken>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// How many threads wait for a slot.
    waiting: usize,
    /// When a slot was given back for the last time that somebody waited for.
    last_release: Option<Instant>,
}

/// A slot: it is free again when this drops, in the thread that has taken it.
#[must_use = "the slot is free again as soon as this drops"]
struct Slot<'a> {
    in_flight: &'a InFlight,
    of_this_thread: PhantomData<*const ()>,
}

thread_local!(
    /// How many slots this thread has, or the one for whom it works.
    static HELD: Cell<usize> = const { Cell::new(0) }
);

/// Whether this thread sends a request just now, or works for one that does.
pub(crate) fn is_within_a_request() -> bool {
    HELD.get() > 0
}

/// Has this thread work for one that sends a request, or not.
pub(crate) fn work_within_a_request(is_within: bool) {
    HELD.set(usize::from(is_within));
}

/// The turns of one who sends requests, one after the other: with a slot for each, as long as one can be had.
#[must_use = "the slot is free again as soon as this drops"]
pub(crate) struct Turns<'a> {
    in_flight: Option<&'a InFlight>,
    patience: Duration,
    stop: &'a dyn Fn() -> bool,
    slot: Option<Slot<'a>>,
    has_begun: bool,
}

impl<'a> Turns<'a> {
    /// With no slots each begins at once. It is waited for one as long as others are given back, and from then on for
    /// `patience`. Once `stop` says so there is to be no further one.
    pub(crate) fn new(in_flight: Option<&'a InFlight>, patience: Duration, stop: &'a dyn Fn() -> bool) -> Self {
        Self { in_flight, patience, stop, slot: None, has_begun: false }
    }

    /// Whether there is to be no further turn.
    pub(crate) fn are_over(&self) -> bool {
        (self.stop)()
    }

    /// Waits for a slot, unless it has begun.
    pub(crate) fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.slot = self.in_flight.and_then(|in_flight| in_flight.acquire(self.patience));
        }
    }

    /// Gives the slot back.
    pub(crate) fn end(&mut self) {
        (self.slot, self.has_begun) = (None, false);
    }
}

impl InFlight {
    /// At least one.
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), taken: Mutex::default(), released: Condvar::new() }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Waits for a slot; none within a request, or if none has become free for as long as `patience`.
    fn acquire(&self, patience: Duration) -> Option<Slot<'_>> {
        if is_within_a_request() {
            return None;
        }
        let mut taken = self.taken.lock();
        if taken.count >= self.max {
            let since = Instant::now();
            taken.waiting += 1;
            while taken.count >= self.max {
                let since = taken.last_release.map_or(since, |last| last.max(since));
                let rest = patience.saturating_sub(since.elapsed());
                if rest.is_zero() {
                    taken.waiting -= 1;
                    tracing::warn!(
                        max = self.max,
                        "no request has ended for too long; another one is sent beside them"
                    );
                    return None;
                }
                taken = self.released.wait_for(taken, rest);
            }
            taken.waiting -= 1;
        }
        taken.count += 1;
        drop(taken);
        HELD.set(HELD.get() + 1);
        Some(Slot { in_flight: self, of_this_thread: PhantomData })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(1));
        let mut taken = self.in_flight.taken.lock();
        taken.count -= 1;
        if taken.waiting > 0 {
            taken.last_release = Some(Instant::now());
        }
        drop(taken);
        self.in_flight.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let (in_flight, now, most) = (InFlight::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _slot = in_flight.acquire(LONG).unwrap();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(1));
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), now.into_inner()), (3, 0));
    }

    #[test]
    fn within_a_request_no_slot_is_taken_and_none_is_waited_for_in_vain() {
        let in_flight = InFlight::new(1);
        let slot = in_flight.acquire(LONG).unwrap();
        assert!(is_within_a_request() && in_flight.acquire(LONG).is_none());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| in_flight.acquire(Duration::from_millis(5)).is_none());
            assert!(other.join().unwrap(), "nothing has become free");
            let patient = scope.spawn(|| in_flight.acquire(LONG).is_some());
            drop(slot);
            assert!(patient.join().unwrap());
        });
        assert!(!is_within_a_request() && in_flight.acquire(Duration::ZERO).is_some());
    }

    #[test]
    fn a_turn_has_one_slot_until_it_ends() {
        let in_flight = InFlight::new(1);
        let mut turns = Turns::new(Some(&in_flight), LONG, &|| false);
        for _ in 0..2 {
            turns.begin();
            turns.begin();
            assert_eq!(in_flight.taken.lock().count, 1);
            turns.end();
            assert_eq!(in_flight.taken.lock().count, 0);
        }
    }
}
