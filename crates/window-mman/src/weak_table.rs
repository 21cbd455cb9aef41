//! A table of things that are alive as long as somebody holds them.
//!
//! It answers "does anybody hold the thing of this name?" without holding it itself. The races
//! between a last holder that drops and a newcomer that makes the thing anew are settled here, so
//! that nobody else has to think of them.
//!
//! It must never run foreign code (a drop, a system call) under the guard of a shard: a value's
//! drop comes back to this table.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use dashmap::{DashMap, Entry};

/// Weak references by key.
///
/// The protocol: a value that was [shared](WeakTable::share) calls [`WeakTable::forget_dead`] with
/// its key when it is dropped. Then an entry is gone as soon as the drop of its value is over, and
/// no entry of a living value is ever removed.
pub(crate) struct WeakTable<K, V> {
    entries: DashMap<K, Weak<V>>,
}

impl<K: Eq + Hash, V> WeakTable<K, V> {
    pub(crate) fn new() -> Self {
        Self { entries: DashMap::new() }
    }

    /// The value of this key, if somebody holds it.
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries.get(key).and_then(|entry| entry.upgrade())
    }

    /// Makes `value` the value of `key`, unless somebody holds another one: then that is returned,
    /// and `value` is dropped.
    ///
    /// So of several threads that made a value at the same time, all go on with the same one.
    pub(crate) fn share(&self, key: K, value: Arc<V>) -> Arc<V> {
        let other = match self.entries.entry(key) {
            Entry::Occupied(mut occupied) => {
                let other = occupied.get().upgrade();
                if other.is_none() {
                    // Its value is being dropped, and will call `forget_dead`, which will then
                    // find ours and leave it alone.
                    occupied.insert(Arc::downgrade(&value));
                }
                other
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Arc::downgrade(&value));
                None
            }
        };
        // No guard is held any more, so `value` may drop here.
        other.unwrap_or(value)
    }

    /// Removes the entry of `key` if nobody holds its value any more.
    ///
    /// A count of zero never rises again, so this removes an entry that is dead or none, whether
    /// it is the caller's own or that of a later value.
    pub(crate) fn forget_dead(&self, key: &K) {
        self.entries.remove_if(key, |_, value| value.strong_count() == 0);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<K: Eq + Hash, V> fmt::Debug for WeakTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakTable").field("entries", &self.entries.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A value that keeps the protocol, counts itself, and may be held up in its drop.
    struct Value {
        key: u8,
        number: usize,
        table: Arc<WeakTable<u8, Value>>,
        alive: Arc<AtomicUsize>,
        before_forgetting: Option<Arc<Barrier>>,
    }

    impl Value {
        fn new(key: u8, number: usize, table: &Arc<WeakTable<u8, Value>>, alive: &Arc<AtomicUsize>) -> Self {
            alive.fetch_add(1, Ordering::SeqCst);
            Self { key, number, table: Arc::clone(table), alive: Arc::clone(alive), before_forgetting: None }
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            if let Some(barrier) = &self.before_forgetting {
                barrier.wait();
                barrier.wait();
            }
            self.table.forget_dead(&self.key);
            self.alive.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_first_value_wins_and_goes_with_its_last_holder() {
        let (table, alive) = (Arc::new(WeakTable::new()), Arc::default());
        assert!(table.get(&1).is_none());
        let first = table.share(1, Arc::new(Value::new(1, 0, &table, &alive)));
        let second = table.share(1, Arc::new(Value::new(1, 1, &table, &alive)));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(alive.load(Ordering::SeqCst), 1, "the loser is dropped");
        assert!(Arc::ptr_eq(&first, &table.get(&1).unwrap()));
        drop((first, second));
        assert!(table.get(&1).is_none());
        assert_eq!((table.len(), alive.load(Ordering::SeqCst)), (0, 0));
    }

    /// The last holder is inside its drop, its entry dead but not yet removed, when another thread
    /// shares a new value; then the drop goes on. The new entry must stay.
    #[test]
    fn a_late_drop_leaves_its_successor_alone() {
        let (table, alive) = (Arc::new(WeakTable::new()), Arc::default());
        let barrier = Arc::new(Barrier::new(2));
        let mut old = Value::new(1, 0, &table, &alive);
        old.before_forgetting = Some(Arc::clone(&barrier));
        let old = table.share(1, Arc::new(old));

        std::thread::scope(|scope| {
            scope.spawn(|| drop(old));
            barrier.wait();
            assert_eq!(table.len(), 1, "the dead entry is still there");
            assert!(table.get(&1).is_none());
            let new = table.share(1, Arc::new(Value::new(1, 1, &table, &alive)));
            assert_eq!(new.number, 1);
            barrier.wait();
            while alive.load(Ordering::SeqCst) > 1 {
                std::thread::yield_now();
            }
            assert!(Arc::ptr_eq(&new, &table.get(&1).unwrap()));
        });
        assert_eq!((table.len(), alive.load(Ordering::SeqCst)), (0, 0));
    }

    #[test]
    fn many_threads_make_and_drop_the_same_few_values() {
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        let (table, alive) = (Arc::new(WeakTable::new()), Arc::<AtomicUsize>::default());
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (table, alive) = (&table, &alive);
                scope.spawn(move || {
                    for round in 0..rounds {
                        let key = (round % 3) as u8;
                        let value = table.get(&key).unwrap_or_else(|| {
                            let value = Value::new(key, thread, table, alive);
                            table.share(key, Arc::new(value))
                        });
                        assert_eq!(value.key, key);
                        // While it is held, everybody is given the same one.
                        assert!(Arc::ptr_eq(&value, &table.get(&key).unwrap()));
                    }
                });
            }
        });
        assert_eq!((table.len(), alive.load(Ordering::SeqCst)), (0, 0));
    }
}
