//! One thread of one process at a time looks at a head again, makes it or replaces it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::name::KeyHash;
use crate::sync::{BackOff, Condvar, Mutex};
use crate::sys::process;

/// The keys that threads of this process are busy with. Keys do not wait for each other: their holder may be waiting
/// for a slow origin.
#[derive(Debug)]
pub(crate) struct KeyLocks {
    state: Mutex<State>,
    released: Condvar,
    process: u32,
}

#[derive(Debug, Default)]
struct State {
    busy: HashSet<u64>,
    waited_for: HashMap<KeyHash, WaitedFor>,
}

/// What they have in common who wait for a key.
#[derive(Debug, Default)]
struct WaitedFor {
    count: usize,
    /// When somebody last got the key who has then confirmed its head.
    confirmed_since: Option<Instant>,
}

impl State {
    fn wait(&mut self, key: KeyHash) {
        self.waited_for.entry(key).or_default().count += 1;
    }

    /// One waits no longer; tells when somebody got the key who has confirmed its head.
    fn stop_waiting(&mut self, key: &KeyHash) -> Option<Instant> {
        let waited_for = self.waited_for.get_mut(key)?;
        waited_for.count -= 1;
        let (is_last, confirmed_since) = (waited_for.count == 0, waited_for.confirmed_since);
        if is_last {
            self.waited_for.remove(key);
        }
        confirmed_since
    }
}

impl Default for KeyLocks {
    fn default() -> Self {
        Self { state: Mutex::default(), released: Condvar::default(), process: process() }
    }
}

impl KeyLocks {
    /// Waits, in bounded steps and for no longer than `patience`, until nobody else is busy with `key`. None if
    /// somebody is for longer, or the system gives no locks.
    pub(crate) fn lock<'a>(&'a self, budget: &'a Budget, name: KeyHash, patience: Duration) -> Option<KeyLock<'a>> {
        let (start, key) = (Instant::now(), name.lock_number());
        let mut state = self.state.lock();
        let mut is_told = false;
        if !state.busy.insert(key) {
            state.wait(name);
            let is_free = loop {
                let Some(rest) = patience.checked_sub(start.elapsed()) else { break false };
                state = self.released.wait_for(state, rest);
                if state.busy.insert(key) {
                    break true;
                }
            };
            let confirmed_since = state.stop_waiting(&name);
            if !is_free {
                return None;
            }
            is_told = confirmed_since.is_some_and(|since| since >= start);
        }
        drop(state);
        // From here on its drop gives back what was taken, whatever happens.
        let mut lock =
            KeyLock { key, name, locks: self, budget, locked: false, since: 0, is_told, start: Instant::now() };
        let mut pauses = BackOff::new();
        loop {
            match budget.control().try_lock_key(key) {
                Ok(locked) => lock.locked = locked,
                Err(error) => {
                    tracing::warn!(%error, "a key cannot be locked");
                    return None;
                }
            }
            if lock.locked {
                return Some(lock);
            }
            if start.elapsed() >= patience {
                return None;
            }
            std::thread::sleep(pauses.next());
        }
    }
}

/// Makes its thread the only one that is busy with a key, until it drops.
#[derive(Debug)]
#[must_use = "the key is free again as soon as this drops"]
pub(crate) struct KeyLock<'a> {
    key: u64,
    name: KeyHash,
    locks: &'a KeyLocks,
    budget: &'a Budget,
    locked: bool,
    /// How many doubts there had been when it was locked.
    pub(super) since: u64,
    is_told: bool,
    start: Instant,
}

impl KeyLock<'_> {
    /// Whether the head was confirmed by somebody who began to look when this one was waited for already: an answer
    /// that is as young as one's own would be.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Tells who waits for it that the head was confirmed since it was locked.
    pub(crate) fn tell_confirmed(&self) {
        if let Some(waited_for) = self.locks.state.lock().waited_for.get_mut(&self.name) {
            waited_for.confirmed_since = Some(self.start);
        }
    }
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        // A child has its parent's locks in its memory, and none of its own.
        if self.locks.process != process() {
            return;
        }
        if self.locked {
            self.budget.control().unlock_key(self.key);
        }
        self.locks.state.lock().busy.remove(&self.key);
        self.locks.released.notify_all();
    }
}
