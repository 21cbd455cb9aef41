//! The thread of a directory: does what nobody should have to wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Directory;
use crate::sync::{Condvar, Mutex};
use crate::sys::process;

/// How often uses are written down: what a process that dies has used since is forgotten.
const PAUSE: Duration = Duration::from_secs(1);
const STACK: usize = 512 << 10;

/// The thread. It ends when the directory is dropped.
#[derive(Debug)]
pub(super) struct Maintenance {
    signal: Arc<Signal>,
    started: AtomicBool,
    process: u32,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    #[default]
    Idle,
    /// So much was filled that uses are to be written down.
    UsesAreWanted,
    /// Somebody has seen that little room is left.
    RoomIsWanted,
    Over,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self { signal: Arc::default(), started: AtomicBool::new(false), process: process() }
    }
}

impl Maintenance {
    /// Starts the thread, unless it has been started; whether there is one. Without it everything works, and is done by
    /// those who need it.
    pub(super) fn start(&self, directory: &Arc<Directory>) -> bool {
        if self.started.swap(true, Ordering::Relaxed) {
            return true;
        }
        let (signal, directory) = (Arc::clone(&self.signal), Arc::downgrade(directory));
        let run = move || run(&signal, &directory);
        let started = std::thread::Builder::new().name("page-cache".to_owned()).stack_size(STACK).spawn(run);
        if let Err(error) = &started {
            tracing::warn!(%error, "no thread can be started that evicts ahead of need");
            self.started.store(false, Ordering::Relaxed);
        }
        started.is_ok()
    }

    /// Whether there is a thread.
    pub(super) fn is_running(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Has room made at once.
    pub(super) fn make_room(&self) {
        self.want(State::RoomIsWanted);
    }

    /// Has uses written down at once, and nothing evicted for it.
    pub(super) fn fold_uses(&self) {
        self.want(State::UsesAreWanted);
    }

    fn want(&self, wanted: State) {
        let mut state = self.signal.state.lock();
        if *state < wanted {
            *state = wanted;
            self.signal.changed.notify_all();
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        // A child does not have the thread, and its parent's mutex may be locked for ever.
        if self.process == process() {
            *self.signal.state.lock() = State::Over;
            self.signal.changed.notify_all();
        }
    }
}

fn run(signal: &Signal, directory: &Weak<Directory>) {
    loop {
        let room_is_wanted = {
            let mut state = signal.state.lock();
            if *state == State::Idle {
                state = signal.changed.wait_for(state, PAUSE);
            }
            match std::mem::replace(&mut *state, State::Idle) {
                State::Over => return,
                State::Idle | State::UsesAreWanted => false,
                State::RoomIsWanted => true,
            }
        };
        let Some(directory) = directory.upgrade() else { return };
        directory.maintain(room_is_wanted);
    }
}
