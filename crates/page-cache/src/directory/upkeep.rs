//! When a recount that is due is tried: not by whoever finds that it is, who would wait for it, but beside; by one thread
//! of the process at a time, and with growing pauses while it does not succeed.

use std::time::{Duration, Instant};

use crate::sync::Mutex;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who may try, and when.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether somebody is trying.
    busy: bool,
    /// How long the pause is after an attempt that failed; none since the last one that did not.
    pause: Option<Duration>,
    not_before: Option<Instant>,
}

impl Upkeep {
    /// Whether the caller is the one who tries now; then it calls [`end`](Self::end) afterwards.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.state.lock();
        let begins = !state.busy && state.not_before.is_none_or(|then| Instant::now() >= then);
        state.busy |= begins;
        begins
    }

    pub(super) fn end(&self, succeeded: bool) {
        let mut state = self.state.lock();
        state.busy = false;
        state.pause = match state.pause {
            _ if succeeded => None,
            None => Some(FIRST_PAUSE),
            Some(pause) => Some((pause * 2).min(LONGEST_PAUSE)),
        };
        state.not_before = state.pause.map(|pause| Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_at_a_time_and_pauses_grow_until_it_succeeds() {
        let upkeep = Upkeep::default();
        assert!(upkeep.begin() && !upkeep.begin());
        upkeep.end(true);
        assert!(upkeep.begin(), "at once");
        let pause = || upkeep.state.lock().pause.unwrap();
        for expected in [100, 200, 400, 800] {
            upkeep.end(false);
            assert_eq!(pause(), Duration::from_millis(expected));
            assert!(!upkeep.begin(), "not so soon");
        }
        (0..20).for_each(|_| upkeep.end(false));
        assert_eq!(pause(), LONGEST_PAUSE);
        upkeep.end(true);
        assert!(upkeep.begin());
    }
}
