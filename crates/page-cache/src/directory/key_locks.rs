//! One thread of one process at a time looks at a head again, makes it or replaces it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::name::KeyHash;
use crate::sync::{BackOff, Condvar, Mutex};
use crate::sys::process;

/// The keys that threads of this process are busy with. Keys do not wait for each other: their holder may be waiting
/// for a slow origin.
#[derive(Debug)]
pub(crate) struct KeyLocks {
    busy: Mutex<HashSet<u64>>,
    released: Condvar,
    process: u32,
}

impl Default for KeyLocks {
    fn default() -> Self {
        Self { busy: Mutex::default(), released: Condvar::default(), process: process() }
    }
}

impl KeyLocks {
    /// Waits, in bounded steps and for no longer than `patience`, until nobody else is busy with `key`. None if
    /// somebody is for longer, or the system gives no locks.
    pub(crate) fn lock<'a>(&'a self, budget: &'a Budget, key: KeyHash, patience: Duration) -> Option<KeyLock<'a>> {
        let (start, key) = (Instant::now(), key.lock_number());
        let mut busy = self.busy.lock();
        while !busy.insert(key) {
            let rest = patience.checked_sub(start.elapsed())?;
            busy = self.released.wait_for(busy, rest);
        }
        drop(busy);
        // From here on its drop gives back what was taken, whatever happens.
        let mut lock = KeyLock { key, locks: self, budget, locked: false, since: 0 };
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
    locks: &'a KeyLocks,
    budget: &'a Budget,
    locked: bool,
    /// How many doubts there had been when it was locked.
    pub(super) since: u64,
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
        self.locks.busy.lock().remove(&self.key);
        self.locks.released.notify_all();
    }
}
