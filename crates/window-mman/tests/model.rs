//! Using and letting go of regions under a model checker, which tries many ways in which threads can take turns.
//!
//! The checker is sequentially consistent: it finds what goes wrong by the order of steps, and not what goes wrong by a
//! memory ordering that is too weak. That the orderings are right is said beside each of them, in `src/slot.rs` and
//! `src/pool`.
//!
//! This compiles the code of the crate itself a second time, over another `sync`: the checker's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]
#![expect(dead_code, reason = "the checker uses a part of what the crate does")]

use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::thread;

/// What threads meet in, as `src/sync.rs`, by shuttle.
mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

    /// A lock that has no poison, like parking_lot's.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub(crate) type MutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    pub(crate) fn process_id() -> u32 {
        1
    }
}

#[path = "../src/pool/mod.rs"]
mod pool;
#[path = "../src/slot.rs"]
mod slot;

use pool::{Failure, Held, Key, Limits, Pool};
use slot::Slot;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number(u64);

impl Key for Number {
    type Group = u64;

    fn group(&self) -> u64 {
        self.0 / 2
    }

    fn hash(&self) -> u64 {
        // All in one bucket, so that chains change under those who look.
        7
    }
}

/// Something mapped: whoever sees it unmapped while he holds it has found an error.
struct Region {
    key: u64,
    mapped: AtomicBool,
    count: Arc<AtomicUsize>,
}

impl Drop for Region {
    fn drop(&mut self) {
        self.mapped.store(false, Ordering::SeqCst);
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Regions {
    pool: Pool<Number, Region>,
    count: Arc<AtomicUsize>,
}

impl Regions {
    fn new(limit: u64, strict: bool) -> Arc<Self> {
        let limits = Limits { bytes: limit, count: 100, strict };
        Arc::new(Self { pool: Pool::new(limits), count: Arc::new(AtomicUsize::new(0)) })
    }

    fn hold(&self, key: u64) -> Option<u32> {
        let make = |victim: &mut Option<Region>| {
            drop(victim.take());
            self.count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Failure<()>>(Region { key, mapped: AtomicBool::new(true), count: Arc::clone(&self.count) })
        };
        let found = self.pool.find(&Number(key));
        let held = found.or_else(|| self.pool.find_or_make(Number(key), 1, make).ok());
        held.map(Held::into_number)
    }

    fn check(&self, number: u32, key: u64) {
        // SAFETY: the caller holds it, which is what is tested.
        let entry = unsafe { self.pool.get(number) }.unwrap();
        assert_eq!((entry.key, entry.value.key), (Number(key), key), "another region's memory");
        assert!(entry.value.mapped.load(Ordering::SeqCst), "unmapped while it is held");
    }

    /// What must hold when everybody has let go.
    fn settled(&self, limit: usize) {
        let tally = self.pool.tally();
        assert!(tally.count <= limit, "{tally:?}");
        assert_eq!(tally.count, self.count.load(Ordering::SeqCst), "leaked, or unmapped twice");
        self.pool.list(|listed| assert_eq!(listed.holders, 0));
        // What nobody holds is found when something has to go, all of it.
        (0..limit as u64).for_each(|key| self.pool.release(self.hold(100 + key).unwrap()));
        self.pool.list(|listed| assert!(listed.entry.key.0 >= 100, "it does not go: {:?}", listed.entry.key));
        self.pool.sweep(|_| true);
        assert_eq!(self.count.load(Ordering::SeqCst), 0);
    }
}

const ROUNDS: usize = 3_000;

#[test]
fn what_is_held_stays_and_what_is_let_go_of_goes() {
    shuttle::check_random(
        || {
            let regions = Regions::new(2, false);
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let regions = Arc::clone(&regions);
                    thread::spawn(move || {
                        for step in 0..3 {
                            let key = (thread + step) % 4;
                            let held = regions.hold(key).unwrap();
                            regions.check(held, key);
                            thread::yield_now();
                            regions.check(held, key);
                            regions.pool.release(held);
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            regions.settled(2);
        },
        ROUNDS,
    );
}

/// Whoever lets go of what exceeds the limit, at whatever moment somebody else looks for what could go.
#[test]
fn what_exceeds_the_limit_goes_with_its_last_holder() {
    shuttle::check_random(
        || {
            let regions = Regions::new(1, false);
            let threads: Vec<_> = (0..3)
                .map(|key| {
                    let regions = Arc::clone(&regions);
                    thread::spawn(move || {
                        let held = regions.hold(key).unwrap();
                        regions.pool.pin_again(held);
                        regions.pool.release(held);
                        regions.check(held, key);
                        regions.pool.release(held);
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            regions.settled(1);
        },
        ROUNDS,
    );
}

#[test]
fn a_strict_limit_is_never_exceeded() {
    shuttle::check_random(
        || {
            let regions = Regions::new(1, true);
            let threads: Vec<_> = (0..3)
                .map(|key| {
                    let regions = Arc::clone(&regions);
                    thread::spawn(move || {
                        for _ in 0..2 {
                            if let Some(held) = regions.hold(key) {
                                assert_eq!(regions.count.load(Ordering::SeqCst), 1);
                                regions.check(held, key);
                                regions.pool.release(held);
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let held = regions.hold(9).expect("what was refused once is there when all is let go of");
            regions.pool.release(held);
            regions.settled(1);
        },
        ROUNDS,
    );
}

/// What is made without the lock, by several at once, is kept once; and the limits are kept to.
#[test]
fn what_is_made_apart_is_kept_once() {
    shuttle::check_random(
        || {
            let regions = Regions::new(1, false);
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let regions = Arc::clone(&regions);
                    thread::spawn(move || {
                        let key = thread % 2;
                        let make = || {
                            regions.count.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            let count = Arc::clone(&regions.count);
                            Ok::<_, Failure<()>>(Region { key, mapped: AtomicBool::new(true), count })
                        };
                        let held = regions.pool.find_or_make_apart(Number(key), 1, make).unwrap().into_number();
                        regions.check(held, key);
                        regions.pool.release(held);
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            regions.settled(1);
        },
        ROUNDS,
    );
}

/// A request that is refused puts back what it had taken, under those who look for it.
#[test]
fn what_is_refused_leaves_everything_where_it_was() {
    shuttle::check_random(
        || {
            let regions = Regions::new(2, true);
            let held = regions.hold(0).unwrap();
            regions.pool.release(regions.hold(1).unwrap());
            let asks = {
                let regions = Arc::clone(&regions);
                thread::spawn(move || {
                    let refused = regions
                        .pool
                        .find_or_make(Number(9), 2, |_| Err(Failure { error: (), for_want_of_room: false }));
                    assert!(refused.is_err());
                })
            };
            let looks = {
                let regions = Arc::clone(&regions);
                thread::spawn(move || {
                    let found = regions.hold(1).unwrap();
                    regions.check(found, 1);
                    regions.pool.release(found);
                })
            };
            [asks, looks].into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(regions.count.load(Ordering::SeqCst), 2, "nothing went");
            regions.pool.release(held);
            regions.settled(2);
        },
        ROUNDS,
    );
}

/// A file is closed, and what is left collected, while others look at it.
#[test]
fn what_is_dismissed_and_swept_goes_with_its_last_holder() {
    shuttle::check_random(
        || {
            let regions = Regions::new(3, false);
            let users: Vec<_> = (0..2)
                .map(|key| {
                    let regions = Arc::clone(&regions);
                    thread::spawn(move || {
                        let held = regions.hold(key).unwrap();
                        regions.check(held, key);
                        regions.pool.release(held);
                    })
                })
                .collect();
            let sweeper = {
                let regions = Arc::clone(&regions);
                thread::spawn(move || {
                    regions.pool.sweep(|_| true);
                })
            };
            regions.pool.dismiss(0);
            users.into_iter().chain([sweeper]).for_each(|thread| thread.join().unwrap());
            regions.pool.dismiss(0);
            assert_eq!(regions.count.load(Ordering::SeqCst), 0);
            regions.settled(0);
        },
        ROUNDS,
    );
}

/// The slot alone: a value that is put, pinned and taken by everybody at once is never taken from under a pin.
#[test]
fn a_slot_is_never_emptied_under_a_pin() {
    shuttle::check_random(
        || {
            let slot = Arc::new(Slot::new());
            let count = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..3)
                .map(|key| {
                    let (slot, count) = (Arc::clone(&slot), Arc::clone(&count));
                    thread::spawn(move || {
                        count.fetch_add(1, Ordering::SeqCst);
                        let region = Region { key, mapped: AtomicBool::new(true), count };
                        if slot.put(region).is_ok() || slot.pin() {
                            // SAFETY: pinned, which is what is tested.
                            assert!(unsafe { slot.get() }.unwrap().mapped.load(Ordering::SeqCst));
                            slot.unpin();
                        }
                        drop(slot.take());
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            drop(slot.take());
            assert_eq!(count.load(Ordering::SeqCst), 0);
        },
        ROUNDS,
    );
}
