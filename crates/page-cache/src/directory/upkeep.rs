//! When a recount that is due is tried: not by whoever finds that it is, who would wait for it, but beside; not at once,
//! since nothing is stored meanwhile; by one thread of the process at a time; and with growing pauses while it does not
//! succeed.

use std::time::{Duration, Instant};

use crate::sync::Mutex;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
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
    /// How long the last pause was; none since the last attempt that succeeded.
    pause: Option<Duration>,
    /// None if nobody has found it due since.
    not_before: Option<Instant>,
}

impl Upkeep {
    /// Whether the caller, who has found it due, is the one who tries now; then it calls [`end`](Self::end) afterwards.
    pub(super) fn begin(&self) -> bool {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let begins = !state.busy && now >= *state.not_before.get_or_insert(now + FIRST_PAUSE);
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
        let pass = || upkeep.state.lock().not_before = Some(Instant::now());
        assert!(!upkeep.begin(), "not at once");
        pass();
        assert!(upkeep.begin() && !upkeep.begin());
        for expected in [1, 2, 4, 8].map(|times| FIRST_PAUSE * times) {
            upkeep.end(false);
            assert_eq!(upkeep.state.lock().pause, Some(expected));
            assert!(!upkeep.begin(), "not so soon");
            pass();
            assert!(upkeep.begin());
        }
        (0..20).for_each(|_| upkeep.end(false));
        assert_eq!(upkeep.state.lock().pause, Some(LONGEST_PAUSE));
        upkeep.end(true);
        assert!(!upkeep.begin());
        pass();
        assert!(upkeep.begin());
    }
}
