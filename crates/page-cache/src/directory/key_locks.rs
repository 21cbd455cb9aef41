//! One thread at a time looks at, makes or replaces the head of a key.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};

use super::name::KeyHash;

/// The keys that a thread of this process is busy with. Keys do not wait for each other: their holder may be waiting
/// for a slow origin.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    busy: Mutex<HashSet<KeyHash>>,
    released: Condvar,
}

impl KeyLocks {
    /// Waits until no other thread is busy with `key`.
    pub(crate) fn lock(&self, key: KeyHash) -> KeyLock<'_> {
        let mut busy = self.busy.lock();
        while !busy.insert(key) {
            self.released.wait(&mut busy);
        }
        KeyLock { key, locks: self }
    }
}

/// Makes its thread the only one that is busy with a key, until it drops.
#[derive(Debug)]
#[must_use = "the key is free again as soon as this drops"]
pub(crate) struct KeyLock<'a> {
    key: KeyHash,
    locks: &'a KeyLocks,
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        self.locks.busy.lock().remove(&self.key);
        self.locks.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_key_waits_and_others_do_not() {
        let (one, other) = (KeyHash::of("one"), KeyHash::of("other"));
        let locks = KeyLocks::default();
        let held = locks.lock(one);
        drop(locks.lock(other));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| drop(locks.lock(one)));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiter.is_finished());
            drop(held);
            waiter.join().unwrap();
        });
        assert!(locks.busy.lock().is_empty());
    }
}
