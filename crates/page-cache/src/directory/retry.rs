//! When it is time to try again what has failed: at once, and then after pauses that grow.

use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// Attempts at one thing.
#[derive(Debug)]
pub(crate) struct Retry {
    first_pause: Duration,
    longest_pause: Duration,
    /// When the next attempt may be made, and how long the pause behind it is.
    next: Mutex<Option<(Instant, Duration)>>,
}

impl Retry {
    pub(crate) const fn new(first_pause: Duration, longest_pause: Duration) -> Self {
        Self { first_pause, longest_pause, next: Mutex::new(None) }
    }

    /// True for one of those who ask, if it is time: the attempt is its own.
    pub(crate) fn is_due(&self) -> bool {
        let (mut next, now) = (self.next.lock(), Instant::now());
        let (due, pause) = next.unwrap_or((now, self.first_pause));
        if due > now {
            return false;
        }
        *next = Some((now + pause, (pause * 2).min(self.longest_pause)));
        true
    }

    /// Whether the last attempt has succeeded, or none was made.
    pub(crate) fn is_well(&self) -> bool {
        self.next.lock().is_none()
    }

    /// Whether it is time, for as many as ask: an attempt that several may make at once.
    pub(crate) fn is_over(&self) -> bool {
        self.next.lock().is_none_or(|(due, _)| due <= Instant::now())
    }

    /// Notes that an attempt of several has failed; those that fail at the same time are one.
    pub(crate) fn failed(&self) {
        self.is_due();
    }

    /// Has the next attempt made at once, since the last one succeeded.
    pub(crate) fn succeeded(&self) {
        *self.next.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_at_a_time_and_pauses_grow_until_it_succeeds() {
        let (first, longest) = (Duration::from_secs(100), Duration::from_secs(900));
        let retry = Retry::new(first, longest);
        for expected in [100, 200, 400, 800, 900, 900].map(Duration::from_secs) {
            assert!(retry.is_due() && !retry.is_due());
            let (due, _) = retry.next.lock().unwrap();
            let pause = due - Instant::now();
            assert!(pause <= expected && pause > expected - Duration::from_secs(50), "{pause:?}");
            // The pause is over.
            retry.next.lock().as_mut().unwrap().0 = Instant::now();
        }
        assert!(retry.is_over() && !retry.is_well());
        retry.failed();
        retry.failed();
        assert!(!retry.is_over() && !retry.is_due());
        retry.succeeded();
        assert!(retry.is_over() && retry.is_well());
        assert!(retry.is_due() && !retry.is_due());
        assert_eq!(retry.next.lock().unwrap().1, 2 * first);
    }
}
