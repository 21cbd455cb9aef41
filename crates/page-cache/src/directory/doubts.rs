//! Keys whose object may have changed, and was not looked at since, as far as this process knows.

use std::collections::HashMap;

use super::name::KeyHash;
use crate::sync::Mutex;

/// Doubts in the order in which they came: who was looking at an object when a doubt came does not end it.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many there have been.
    count: u64,
    /// The number of the last one of each key.
    keys: HashMap<KeyHash, u64>,
}

impl Doubts {
    /// How many there have been until now.
    pub(super) fn now(&self) -> u64 {
        self.state.lock().count
    }

    pub(super) fn has(&self, key: &KeyHash) -> bool {
        self.state.lock().keys.contains_key(key)
    }

    /// Whether there has been one since there had been so many.
    pub(super) fn has_since(&self, key: &KeyHash, since: u64) -> bool {
        self.state.lock().keys.get(key).is_some_and(|&number| number > since)
    }

    pub(super) fn begin(&self, key: KeyHash) {
        let mut state = self.state.lock();
        state.count += 1;
        let number = state.count;
        state.keys.insert(key, number);
    }

    /// The object was looked at when there had been so many: those that came later stay.
    pub(super) fn end(&self, key: &KeyHash, since: u64) {
        let mut state = self.state.lock();
        if state.keys.get(key).is_some_and(|&number| number <= since) {
            state.keys.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_looking_when_a_doubt_came_does_not_end_it() {
        let (doubts, key, other) = (Doubts::default(), KeyHash::of("a"), KeyHash::of("b"));
        let since = doubts.now();
        doubts.begin(key);
        doubts.end(&key, since);
        assert!(doubts.has(&key) && !doubts.has(&other));
        assert!(doubts.has_since(&key, since) && !doubts.has_since(&other, since));
        assert!(!doubts.has_since(&key, doubts.now()));
        doubts.begin(other);
        doubts.end(&key, doubts.now());
        assert!(!doubts.has(&key) && doubts.has(&other));
    }
}
