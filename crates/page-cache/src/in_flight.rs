//! How many requests are under way at once.

use crate::sync::{Condvar, Mutex};

/// Slots for the requests of a process to all origins of a directory.
#[derive(Debug)]
pub(crate) struct InFlight {
    max: usize,
    taken: Mutex<usize>,
    released: Condvar,
}

/// A slot: it is free again when this drops.
#[must_use = "the slot is free again as soon as this drops"]
pub(crate) struct Slot<'a>(&'a InFlight);

impl InFlight {
    /// At least one.
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), taken: Mutex::default(), released: Condvar::new() }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Waits for a slot. Who has one waits for nothing but its own request, so this ends.
    pub(crate) fn acquire(&self) -> Slot<'_> {
        let mut taken = self.taken.lock();
        while *taken >= self.max {
            taken = self.released.wait_for(taken, std::time::Duration::from_secs(1));
        }
        *taken += 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock() -= 1;
        self.0.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let (in_flight, now, most) = (InFlight::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _slot = in_flight.acquire();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(1));
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), now.into_inner()), (3, 0));
    }
}
