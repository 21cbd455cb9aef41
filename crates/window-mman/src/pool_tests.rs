//! A pool against a list that every use moves its item to the end of.
//!
//! Apart from the pool, since that is compiled a second time in `tests/model.rs`, over a model checker.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use crate::pool::cells::{Cells, place_of};
use crate::pool::recency::{Clock, Order};
use crate::pool::{Failure, Held, Key, Limits, MakeError, Pool, Tally};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number(u64);

impl Key for Number {
    type Group = u64;

    fn group(&self) -> u64 {
        self.0 / 10
    }

    fn hash(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

type Numbers = Pool<Number, u64>;

fn pool(bytes: u64, count: usize, strict: bool) -> Numbers {
    Pool::new(Limits { bytes, count, strict })
}

fn get(pool: &Numbers, key: u64, size: u64) -> Option<u32> {
    pool.find_or_make(Number(key), size, |_| Ok::<_, Failure<Infallible>>(key)).ok().map(Held::into_number)
}

fn find(pool: &Numbers, key: u64) -> Option<u32> {
    pool.find(&Number(key)).map(Held::into_number)
}

fn keys(pool: &Numbers) -> Vec<u64> {
    let mut keys = Vec::new();
    pool.list(|listed| {
        assert_eq!(listed.entry.key.0, listed.entry.value);
        keys.push(listed.entry.value);
    });
    keys.sort_unstable();
    keys
}

fn uses(pool: &Numbers) -> Vec<(u64, u32)> {
    let mut uses = Vec::new();
    pool.list(|listed| uses.push((listed.entry.value, listed.uses)));
    uses.sort_unstable();
    uses
}

#[test]
fn what_nobody_holds_goes_in_the_order_of_use() {
    let pool = pool(3, 100, false);
    for key in [1, 2, 3] {
        pool.release(get(&pool, key, 1).unwrap());
    }
    pool.release(find(&pool, 1).unwrap());
    pool.release(get(&pool, 4, 1).unwrap());
    assert_eq!(keys(&pool), [1, 3, 4]);
    let held = find(&pool, 3).unwrap();
    pool.release(get(&pool, 5, 1).unwrap());
    assert_eq!(keys(&pool), [3, 4, 5]);
    pool.release(held);
    pool.release(get(&pool, 6, 1).unwrap());
    assert_eq!(keys(&pool), [3, 5, 6]);
    assert_eq!(pool.tally(), Tally { bytes: 3, count: 3, made: 6, evicted: 3 });
}

#[test]
fn what_exceeds_goes_when_it_is_let_go_of() {
    let pool = pool(2, 100, false);
    let held: Vec<u32> = (0..5).map(|key| get(&pool, key, 1).unwrap()).collect();
    assert_eq!(pool.tally().bytes, 5);
    for number in held {
        pool.release(number);
    }
    assert_eq!(keys(&pool), [3, 4]);
}

/// Nothing that goes would make room for it.
#[test]
fn what_is_larger_than_the_limit_costs_others_nothing() {
    let pool = pool(4, 6, false);
    for key in [1, 2, 3] {
        pool.release(get(&pool, key, 1).unwrap());
    }
    let large = get(&pool, 9, 100).unwrap();
    assert_eq!((keys(&pool), pool.tally().bytes), (vec![1, 2, 3, 9], 103));
    pool.release(get(&pool, 4, 1).unwrap());
    pool.release(get(&pool, 5, 1).unwrap());
    assert_eq!(keys(&pool), [2, 3, 4, 5, 9], "the limit is that of the others");
    let again = find(&pool, 9).unwrap();
    let apart = pool.find_or_make_apart(Number(8), 50, || Ok::<_, Failure<Infallible>>(8)).unwrap().into_number();
    assert_eq!(keys(&pool), [2, 3, 4, 5, 8, 9]);
    let other = get(&pool, 7, 5).unwrap();
    assert_eq!(keys(&pool), [3, 4, 5, 7, 8, 9], "it counts as one");
    [large, other, apart].into_iter().for_each(|number| pool.release(number));
    assert_eq!(keys(&pool), [3, 4, 5, 9], "and goes with its last holder");
    pool.release(again);
    assert_eq!(pool.tally(), Tally { bytes: 3, count: 3, made: 8, evicted: 5 });
}

/// A miss looks at what was let go of, and not at what is held.
#[test]
fn what_is_held_costs_an_eviction_nothing() {
    let looks = [1_000, 10_000].map(|held| {
        let pool = pool(held + 4, usize::MAX, false);
        let held: Vec<u32> = (0..held).map(|key| get(&pool, key, 1).unwrap()).collect();
        let misses = 1_000_000..1_001_000;
        misses.clone().for_each(|key| pool.release(get(&pool, key, 1).unwrap()));
        assert_eq!(pool.tally().evicted, 996);
        let looks = pool.looks();
        held.into_iter().for_each(|number| pool.release(number));
        assert_eq!(pool.looks(), looks, "nothing had to go");
        looks
    });
    assert_eq!(looks[0], looks[1]);
    assert!(looks[0] <= 1_000, "each is let go of once, and looked at once: {looks:?}");
}

/// Two random hits and a miss, again and again: each miss pays for the uses since the last, and none for all that is
/// there.
#[test]
fn no_miss_looks_at_all_that_is_there() {
    let costs = [1_000, 16_000_u64].map(|windows| {
        let pool = pool(windows, usize::MAX, false);
        (0..windows).for_each(|key| pool.release(get(&pool, key, 1).unwrap()));
        let (mut random, mut most, misses) = (1_u64, 0, 3 * windows);
        let before = pool.looks();
        for miss in 0..misses {
            for _ in 0..2 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = miss + (random >> 33) % windows;
                find(&pool, key).into_iter().for_each(|number| pool.release(number));
            }
            let looks = pool.looks();
            pool.release(get(&pool, windows + miss, 1).unwrap());
            most = most.max(pool.looks() - looks);
        }
        assert_eq!(pool.tally().evicted, misses);
        assert!(most <= 100, "{most} looks for one of {windows}");
        (pool.looks() - before) as f64 / misses as f64
    });
    assert!(costs.iter().all(|cost| *cost <= 4.0), "{costs:?}");
}

/// However often something is used between two evictions, it is looked at once more.
#[test]
fn what_is_used_is_looked_at_once_more() {
    let pool = pool(100, usize::MAX, false);
    (0..100).for_each(|key| pool.release(get(&pool, key, 1).unwrap()));
    for round in 0..10 {
        for _ in 0..10 {
            (0..50).for_each(|key| pool.release(find(&pool, key).unwrap()));
        }
        (0..50).for_each(|key| pool.release(get(&pool, 1_000 + round * 50 + key, 1).unwrap()));
    }
    assert!((0..50).all(|key| find(&pool, key).map(|number| pool.release(number)).is_some()));
    assert!(pool.looks() <= 2_000, "{}", pool.looks());
}

/// It is in its place in the order without that: a stack that all threads write to is for what is used otherwise.
#[test]
fn who_goes_from_miss_to_miss_adds_nothing_to_the_stack() {
    let pool = pool(2, 100, false);
    (0..2).for_each(|key| pool.release(get(&pool, key, 1).unwrap()));
    assert!(pool.has_released(), "there was no victim");
    for key in 2..10 {
        pool.release(get(&pool, key, 1).unwrap());
        assert!(!pool.has_released());
        assert_eq!(keys(&pool), [key - 1, key]);
    }
}

#[test]
fn what_was_made_last_goes_in_its_turn() {
    let pool = pool(3, 100, false);
    let use_all = |keys: std::ops::Range<u64>| keys.for_each(|key| pool.release(get(&pool, key, 1).unwrap()));
    use_all(1..4);
    // It is held when somebody else misses.
    let held = get(&pool, 4, 1).unwrap();
    use_all(5..6);
    pool.release(held);
    use_all(6..7);
    assert_eq!(keys(&pool), [4, 5, 6]);
    use_all(7..8);
    assert_eq!(keys(&pool), [4, 6, 7]);
    use_all(8..9);
    assert_eq!(keys(&pool), [6, 7, 8]);
    // It is used once more.
    use_all(8..9);
    use_all(6..7);
    use_all(9..10);
    assert_eq!(keys(&pool), [6, 8, 9]);
    // It is given up, and its cell is used for something else.
    pool.sweep(|entry| entry.value == 9);
    use_all(10..13);
    assert_eq!(keys(&pool), [10, 11, 12]);
    // Nothing is made in the place of a victim.
    let failed = pool.find_or_make(Number(20), 1, |_| Err(Failure { error: (), for_want_of_room: false }));
    assert!(matches!(failed, Err(MakeError::Failed(()))));
    assert_eq!(keys(&pool), [11, 12]);
    use_all(13..15);
    assert_eq!(keys(&pool), [12, 13, 14]);
    use_all(15..18);
    assert_eq!(keys(&pool), [15, 16, 17]);
}

#[test]
fn a_strict_pool_refuses_until_something_is_let_go_of() {
    let pool = pool(2, 100, true);
    let held = [1, 2].map(|key| get(&pool, key, 1).unwrap());
    for _ in 0..2 {
        let refused = pool.find_or_make(Number(3), 1, |_| Ok::<_, Failure<Infallible>>(3));
        assert!(matches!(refused, Err(MakeError::Full)));
    }
    pool.release(held[0]);
    assert_eq!(keys(&pool), [1, 2], "it is within its limits");
    pool.release(get(&pool, 3, 1).unwrap());
    assert_eq!(keys(&pool), [2, 3]);
    pool.release(held[1]);
}

/// What is refused has nothing given up for it, in whatever order it is looked for.
#[test]
fn a_strict_pool_gives_up_nothing_for_what_it_refuses() {
    let pool = pool(4, 100, true);
    for key in [1, 2, 3, 4] {
        pool.release(get(&pool, key, 1).unwrap());
    }
    assert!(get(&pool, 5, 5).is_none(), "larger than the limit");
    assert_eq!(keys(&pool), [1, 2, 3, 4]);
    (0..7).for_each(|_| pool.release(find(&pool, 1).unwrap()));
    (0..2).for_each(|_| pool.release(find(&pool, 4).unwrap()));
    pool.release(find(&pool, 3).unwrap());
    let held = find(&pool, 2).unwrap();
    let (before, used) = (pool.tally(), uses(&pool));
    assert_eq!(used, [(1, 8), (2, 2), (3, 2), (4, 3)]);
    for _ in 0..2 {
        assert!(get(&pool, 5, 4).is_none(), "one of it is held");
        assert_eq!((uses(&pool), pool.tally()), (used.clone(), before));
    }
    pool.release(get(&pool, 6, 1).unwrap());
    assert_eq!(keys(&pool), [2, 3, 4, 6], "the order of use is what it was");
    pool.release(get(&pool, 7, 1).unwrap());
    assert_eq!(keys(&pool), [2, 3, 6, 7], "the order of use is what it was");
    pool.release(held);
    pool.release(get(&pool, 5, 4).unwrap());
    assert_eq!(keys(&pool), [5]);
}

/// A value that looks whether the lock is free while it is dropped.
struct Watch<'a>(&'a std::sync::OnceLock<Pool<Number, Self>>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        assert!(self.0.get().is_none_or(Pool::is_unlocked), "dropped under the lock");
    }
}

#[test]
fn what_goes_is_dropped_behind_the_lock() {
    let place: &'static std::sync::OnceLock<Pool<Number, Watch<'static>>> = Box::leak(Box::default());
    let pool = place.get_or_init(|| Pool::new(Limits { bytes: 4, count: 100, strict: false }));
    let get = |key, size| {
        // What is not reused of what is shown is dropped behind the lock as well.
        pool.find_or_make(Number(key), size, |_| Ok::<_, Failure<Infallible>>(Watch(place))).unwrap().into_number()
    };
    for key in 0..4 {
        pool.release(get(key, 1));
    }
    pool.release(get(4, 3));
    assert_eq!(pool.tally().count, 2, "two dropped, and one shown");
    pool.dismiss(0);
    let held = [10, 11, 12].map(|key| get(key, 3));
    held.into_iter().for_each(|number| pool.release(number));
    pool.sweep(|_| true);
    assert_eq!(pool.tally().count, 0);
    // What fails for want of room.
    pool.release(get(20, 1));
    let full = pool.find_or_make(Number(21), 1, |_| Err(Failure { error: (), for_want_of_room: true }));
    assert!(matches!(full, Err(MakeError::Failed(()))));
    assert_eq!(pool.tally().count, 0);
}

#[test]
fn what_takes_long_is_made_without_the_lock() {
    let pool = pool(2, 100, false);
    for key in [1, 2] {
        pool.release(get(&pool, key, 1).unwrap());
    }
    let made = pool.find_or_make_apart(Number(3), 1, || {
        assert!(pool.is_unlocked());
        assert_eq!(keys(&pool), [2], "its room was made");
        let other = pool.find_or_make_apart(Number(3), 1, || Ok::<_, Failure<Infallible>>(3)).unwrap();
        drop(other);
        Ok::<_, Failure<Infallible>>(1_000_000)
    });
    drop(made.unwrap());
    assert_eq!(keys(&pool), [3], "what was faster stays, and two rooms were reserved");
    let failed = pool.find_or_make_apart(Number(4), 1, || Err(Failure { error: (), for_want_of_room: false }));
    assert!(matches!(failed, Err(MakeError::Failed(()))));
    pool.release(get(&pool, 5, 1).unwrap());
    assert_eq!(keys(&pool), [3, 5], "no room is reserved any more");
}

#[test]
fn making_that_fails_for_want_of_room_is_tried_once_more() {
    let pool = pool(100, 100, false);
    for key in [1, 2] {
        pool.release(get(&pool, key, 1).unwrap());
    }
    let held = get(&pool, 3, 1).unwrap();
    let tries = RefCell::new(Vec::new());
    let mut make = |victim: &mut Option<u64>| {
        tries.borrow_mut().push(*victim);
        if tries.borrow().len() < 2 { Err(Failure { error: "full", for_want_of_room: true }) } else { Ok(4) }
    };
    let made = pool.find_or_make(Number(4), 1, &mut make).unwrap();
    assert_eq!(*tries.borrow(), [None, None]);
    assert_eq!(keys(&pool), [3, 4]);

    // With nothing to give up there is no second try; and other failures have none.
    let error = pool.find_or_make(Number(5), 1, |_| Err(Failure { error: "full", for_want_of_room: true }));
    assert!(matches!(error, Err(MakeError::Failed("full"))));
    drop(made);
    let error = pool.find_or_make(Number(5), 1, |_| Err(Failure { error: "no", for_want_of_room: false }));
    assert!(matches!(error, Err(MakeError::Failed("no"))));
    assert_eq!(keys(&pool), [3, 4]);
    pool.release(held);
}

/// What went for the limit makes room as well, once it is dropped.
#[test]
fn making_that_fails_for_want_of_room_is_tried_again_without_its_victim() {
    let pool = pool(1, 100, false);
    pool.release(get(&pool, 1, 1).unwrap());
    let tries = RefCell::new(Vec::new());
    let make = |victim: &mut Option<u64>| {
        tries.borrow_mut().push(*victim);
        if victim.is_some() { Err(Failure { error: (), for_want_of_room: true }) } else { Ok(2) }
    };
    drop(pool.find_or_make(Number(2), 1, make).unwrap());
    assert_eq!(*tries.borrow(), [Some(1), None]);
    assert_eq!(keys(&pool), [2]);
}

#[test]
fn a_group_that_is_dismissed_goes_with_its_holders() {
    let pool = pool(100, 100, false);
    let held = get(&pool, 11, 1).unwrap();
    for key in [10, 12, 20] {
        pool.release(get(&pool, key, 1).unwrap());
    }
    pool.dismiss(1);
    assert_eq!(keys(&pool), [11, 20]);
    pool.pin_again(held);
    pool.release(held);
    assert_eq!(keys(&pool), [11, 20]);
    pool.release(held);
    assert_eq!(keys(&pool), [20]);
    pool.release(get(&pool, 11, 1).unwrap());
    assert_eq!(keys(&pool), [11, 20], "a new one is not dismissed");
}

#[test]
fn many_are_found_and_swept() {
    let count = if cfg!(miri) { 300 } else { 20_000 };
    let pool = pool(u64::MAX, usize::MAX, false);
    for key in 0..count {
        pool.release(get(&pool, key, 2).unwrap());
    }
    let held: Vec<u32> = (0..count).filter_map(|key| find(&pool, key)).collect();
    assert_eq!(held.len() as u64, count);
    let swept = pool.sweep(|entry| entry.value % 2 == 0);
    assert_eq!((swept.taken, swept.held, swept.held_bytes), (0, count as usize / 2, count));
    for number in held {
        pool.release(number);
    }
    assert_eq!(pool.sweep(|entry| entry.value % 2 == 0).taken_bytes, count);
    assert_eq!(pool.tally().count as u64, count / 2);
    assert!(find(&pool, 4).is_none());
}

#[test]
fn numbers_fill_chunk_after_chunk() {
    let mut expected = (0, 0);
    for number in 0..100_000 {
        assert_eq!(place_of(number), Some(expected));
        expected.1 += 1;
        if expected.1 == 64 << expected.0 {
            expected = (expected.0 + 1, 0);
        }
    }
    assert_eq!(place_of(u32::MAX), None);
}

#[test]
fn cells_are_there_when_they_were_made() {
    let cells = Cells::<u8>::new();
    assert!(cells.get(3).is_none());
    assert!(cells.get_or_make(3).is_some());
    assert!(cells.get(0).is_some(), "its chunk was made");
    assert!(cells.get(64).is_none());
    assert!(cells.get(u32::MAX).is_none() && cells.get_or_make(u32::MAX).is_none());
}

#[test]
fn stamps_rise_in_every_pool_that_a_thread_uses() {
    let clocks: Vec<Clock> = (0..9).map(|_| Clock::new()).collect();
    let mut before = vec![0; clocks.len()];
    for round in 0..1000 {
        for (clock, before) in clocks.iter().zip(&mut before) {
            for _ in 0..round % 3 {
                let now = clock.now();
                assert!(now > *before);
                *before = now;
            }
        }
        clocks[round % 9].advance();
    }
}

#[test]
fn what_comes_after_a_miss_is_younger_on_every_thread() {
    let clock = Clock::new();
    let fast = (0..100_000).map(|_| clock.now()).last();
    clock.advance();
    let slow = std::thread::scope(|scope| scope.spawn(|| clock.now()).join().ok());
    assert!(slow > fast);
}

/// However often one thread uses something, and whatever it does in other pools.
#[test]
fn a_busy_thread_is_no_more_than_a_thousand_uses_ahead() {
    let (clock, other) = (Clock::new(), Clock::new());
    let busy = std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            assert!((0..300_000).map(|_| other.now()).all(|now| now > 0));
            assert!((0..5).map(|_| clock.now()).all(|now| now > 0));
            let at_first = clock.now();
            (at_first, (0..200_000).map(|_| clock.now()).last().unwrap())
        });
        busy.join().unwrap()
    });
    assert!(busy.0 <= 2048, "{busy:?}: other pools have clocks of their own");
    assert!(clock.now() > busy.1, "a thread that comes later");
}

#[test]
fn the_oldest_come_first() {
    let mut order = Order::default();
    [(5, 0), (2, 1), (9, 2)].into_iter().for_each(|(stamp, number)| order.enter(stamp, number));
    assert_eq!(order.next(), Some((2, 1)));
    for (stamp, number) in [(7, 3), (10, 4), (1, 5), (11, 6)] {
        order.enter(stamp, number);
    }
    let rest: Vec<_> = std::iter::from_fn(|| order.next()).collect();
    assert_eq!(rest, [(1, 5), (5, 0), (7, 3), (9, 2), (10, 4), (11, 6)]);
}

/// "Simple but infeasibly slow": what a pool should do.
#[derive(Default)]
struct Model {
    /// In the order of use: the oldest first.
    order: Vec<u64>,
    size: BTreeMap<u64, u64>,
    holders: BTreeMap<u64, usize>,
    dismissed: Vec<u64>,
}

impl Model {
    fn bytes(&self) -> u64 {
        self.order.iter().map(|key| self.size[key]).sum()
    }

    /// What is larger than the limit by itself does not count.
    fn charge(limits: &Limits, size: u64) -> u64 {
        if size > limits.bytes { 0 } else { size }
    }

    fn charged(&self, limits: &Limits) -> u64 {
        self.order.iter().map(|key| Self::charge(limits, self.size[key])).sum()
    }

    fn held(&self, key: u64) -> bool {
        self.holders.get(&key).is_some_and(|holders| *holders > 0)
    }

    fn exceeds(&self, limits: &Limits, bytes: u64, count: usize) -> bool {
        self.charged(limits) + Self::charge(limits, bytes) > limits.bytes || self.order.len() + count > limits.count
    }

    fn evict(&mut self, limits: &Limits, bytes: u64, count: usize) -> bool {
        while self.exceeds(limits, bytes, count) {
            let Some(at) = self.order.iter().position(|key| !self.held(*key)) else { return false };
            let key = self.order.remove(at);
            self.dismissed.retain(|other| *other != key);
        }
        true
    }

    fn acquire(&mut self, limits: &Limits, key: u64, size: u64) -> bool {
        if !self.order.contains(&key) {
            let before = (self.order.clone(), self.dismissed.clone());
            if limits.strict && size > limits.bytes {
                return false;
            }
            if !self.evict(limits, size, 1) && limits.strict {
                (self.order, self.dismissed) = before;
                return false;
            }
            self.order.push(key);
            self.size.insert(key, size);
            if size > limits.bytes {
                self.dismissed.push(key);
            }
        }
        *self.holders.entry(key).or_default() += 1;
        true
    }

    fn release(&mut self, limits: &Limits, key: u64) {
        *self.holders.entry(key).or_default() -= 1;
        self.order.retain(|other| *other != key);
        if self.held(key)
            || (!self.dismissed.contains(&key)
                && self.charged(limits) + self.size[&key] <= limits.bytes
                && self.order.len() < limits.count)
        {
            self.order.push(key);
        } else {
            self.dismissed.retain(|other| *other != key);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u64, u64),
    Release(usize),
    Collect,
    Dismiss(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..30, prop_oneof![9 => 1_u64..4, 1 => 4_u64..30]).prop_map(|(key, size)| Step::Acquire(key, size)),
        8 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Collect),
        1 => (0_u64..3).prop_map(Step::Dismiss),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }) })]

    #[test]
    fn it_is_a_list_in_the_order_of_use(
        bytes in 4_u64..30,
        count in 2_usize..12,
        strict: bool,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let limits = Limits { bytes, count, strict };
        let pool = Numbers::new(limits);
        let mut model = Model::default();
        let mut held: Vec<(u64, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Acquire(key, size) => {
                    let number = get(&pool, key, size);
                    prop_assert_eq!(number.is_some(), model.acquire(&limits, key, size));
                    held.extend(number.map(|number| (key, number)));
                }
                Step::Release(at) if !held.is_empty() => {
                    let (key, number) = held.swap_remove(at % held.len());
                    pool.release(number);
                    model.release(&limits, key);
                }
                Step::Release(_) => {}
                Step::Collect => {
                    pool.sweep(|_| true);
                    let Model { order, holders, dismissed, .. } = &mut model;
                    order.retain(|key| holders.get(key).is_some_and(|holders| *holders > 0));
                    dismissed.retain(|key| order.contains(key));
                }
                Step::Dismiss(group) => {
                    pool.dismiss(group);
                    let Model { order, holders, dismissed, .. } = &mut model;
                    order.retain(|key| key / 10 != group || holders.get(key).is_some_and(|holders| *holders > 0));
                    dismissed.extend(order.iter().filter(|key| *key / 10 == group));
                }
            }
            let mut expected = model.order.clone();
            expected.sort_unstable();
            prop_assert_eq!(keys(&pool), expected);
            prop_assert_eq!(pool.tally().bytes, model.bytes());
        }
    }
}
