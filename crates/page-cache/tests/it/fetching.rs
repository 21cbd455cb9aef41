//! How what is missing is fetched: each byte once, by several requests at once, and no more of them than may be.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::memory_origin::{MemoryOrigin, pattern};
use bytes::Bytes;
use page_cache::{
    Cache, CacheBuilder, CachedFile, FnOrigin, Origin, OriginError, ReadError, RetryPolicy, Stat, Validators,
};
use tempfile::TempDir;

const PAGE: u64 = 4096;

fn builder(directory: &TempDir) -> CacheBuilder {
    Cache::builder(directory.path()).page_size(PAGE)
}

/// An origin that takes a while, counts how many requests it is answering at once, and fails behind an offset.
#[derive(Debug, Clone)]
struct Busy {
    origin: MemoryOrigin,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    fails_from: u64,
}

impl Busy {
    fn new(bytes: Vec<u8>, delay: Duration) -> Self {
        let origin = MemoryOrigin::new("busy", bytes);
        origin.delay(delay);
        Self { origin, now: Arc::default(), most: Arc::default(), fails_from: u64::MAX }
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn fetched(&self) -> u64 {
        self.origin.take_reads().iter().map(|read| read.end - read.start).sum()
    }
}

impl Origin for Busy {
    fn key(&self) -> &str {
        self.origin.key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        self.origin.stat()
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let fails = range.start >= self.fails_from;
        let read = self.origin.read(range, pinned);
        self.now.fetch_sub(1, Ordering::SeqCst);
        if fails { Err(OriginError::Denied { key: self.key().to_owned(), status: 403 }) } else { read }
    }
}

fn scattered(count: u64) -> Vec<Range<u64>> {
    (0..count).map(|number| number * 3 * PAGE + 100..number * 3 * PAGE + 200).collect()
}

#[test]
fn scattered_ranges_of_one_call_are_fetched_at_once() {
    for (max, expected) in [(1, 1), (7, 7), (16, 16), (500, 200)] {
        let directory = tempfile::tempdir().unwrap();
        let bytes = pattern((600 * PAGE) as usize, 3);
        let origin = Busy::new(bytes.clone(), Duration::from_millis(if max == 1 { 0 } else { 20 }));
        let cache = builder(&directory).max_in_flight(max).open().unwrap();
        let file = cache.file(origin.clone()).unwrap();
        let ranges = scattered(200);
        let read = file.read_ranges(&ranges).unwrap();
        for (range, read) in ranges.iter().zip(&read) {
            assert!(read == &bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        assert!(origin.most() <= max && (max == 500 || origin.most() == expected), "{} of {max}", origin.most());
        assert_eq!((file.stats().requests, origin.fetched()), (200, 200 * PAGE));
        assert!(file.read_ranges(&ranges).unwrap() == read);
        assert_eq!(origin.fetched(), 0);
    }
}

#[test]
fn readers_of_a_cold_file_fetch_each_byte_once() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(40 << 20, 4);
    let origin = Busy::new(bytes.clone(), Duration::from_millis(5));
    let cache = builder(&directory).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16usize {
            let (file, bytes) = (file.clone(), &bytes);
            scope.spawn(move || {
                for step in 0..40 {
                    let start = ((step + thread * 5) % 40) << 20;
                    assert!(
                        file.bytes(start as u64..start as u64 + (1 << 20)).unwrap() == bytes[start..start + (1 << 20)]
                    );
                }
            });
        }
    });
    // On a busy machine it may take so long to have a block for the words that a page is not stored, which is counted.
    let (fetched, bypasses) = (origin.fetched(), file.stats().bypasses);
    assert!(fetched == 40 << 20 || fetched > 40 << 20 && (1..=4).contains(&bypasses), "{fetched}, {bypasses} bypasses");
    assert!(origin.most() > 1);
}

#[test]
fn a_call_that_fails_keeps_what_has_come_and_gives_no_zeros() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern((600 * PAGE) as usize, 5);
    let good = Busy::new(bytes.clone(), Duration::from_millis(2));
    let failing = Busy { fails_from: 300 * PAGE, ..good.clone() };
    let cache = builder(&directory).max_in_flight(4).open().unwrap();
    let file = cache.file(failing).unwrap();
    let ranges = scattered(200);
    let beside = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            // Of the same pages, while they are fetched, and while that fails.
            (0..50).map(|number| (number * 6 % 200, file.bytes(ranges[number * 6 % 200].clone()))).collect::<Vec<_>>()
        });
        assert!(matches!(file.read_ranges(&ranges), Err(ReadError::Origin(OriginError::Denied { .. }))));
        beside.join().unwrap()
    });
    for (number, read) in beside {
        match read {
            Ok(read) => assert!(read == bytes[ranges[number].start as usize..ranges[number].end as usize], "{number}"),
            Err(error) => assert!(ranges[number].start >= 300 * PAGE, "{number}: {error}"),
        }
    }
    let held = file.held();
    assert!(held.num_bytes() > 0 && held.end() <= 300 * PAGE);
    good.fetched();
    let file = cache.file(good.clone()).unwrap();
    let read = file.read_ranges(&ranges).unwrap();
    assert!(ranges.iter().zip(read).all(|(range, read)| read == bytes[range.start as usize..range.end as usize]));
    assert_eq!(good.fetched(), 200 * PAGE - held.num_bytes(), "what had come is not fetched again");
}

/// An origin that gives nothing before it is told to, or fails.
#[derive(Debug, Clone)]
struct Gate {
    origin: MemoryOrigin,
    /// Requests that are let through, and how those before end.
    turns: Arc<(Mutex<Vec<Turn>>, Condvar)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Give,
    Fail,
    /// In a way that may pass.
    Away,
    Panic,
}

impl Gate {
    fn new(origin: MemoryOrigin) -> Self {
        Self { origin, turns: Arc::default() }
    }

    /// One more request ends, like this.
    fn let_through(&self, turn: Turn) {
        self.turns.0.lock().unwrap().push(turn);
        self.turns.1.notify_all();
    }

    fn reads(&self) -> usize {
        self.origin.take_reads().len()
    }
}

impl Origin for Gate {
    fn key(&self) -> &str {
        self.origin.key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        self.origin.stat()
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        let read = self.origin.read(range.clone(), pinned);
        let turns = self.turns.0.lock().unwrap();
        let long = Duration::from_secs(100);
        let (mut turns, _) = self.turns.1.wait_timeout_while(turns, long, |turns| turns.is_empty()).unwrap();
        match turns.remove(0) {
            Turn::Give => read,
            Turn::Fail => Err(OriginError::Denied { key: self.key().to_owned(), status: 403 }),
            Turn::Away => {
                let (key, request) = (self.key().to_owned(), format!("{range:?}"));
                Err(OriginError::Incomplete { key, request, received: 0, attempts: 1 })
            }
            Turn::Panic => {
                drop(turns);
                panic!("on purpose")
            }
        }
    }
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

const READERS: u64 = 8;

/// Has many threads read the same, all of them while the first request is under way, and counts the requests.
fn read_at_once(file: &CachedFile, gate: &Gate, first: Turn, later: Turn) -> (usize, Vec<std::thread::Result<Bytes>>) {
    let range = 3 * PAGE + 5..3 * PAGE + 200;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| file.bytes(range.clone()).unwrap())).collect();
        wait_for("all others wait", || file.stats().waits == READERS - 1);
        gate.let_through(first);
        let mut reads = gate.reads();
        if first != Turn::Give {
            // One of them leads now, for all others.
            wait_for("all others wait again", || file.stats().waits == READERS - 1 + READERS - 2);
            gate.let_through(later);
        }
        let results = readers.into_iter().map(|reader| reader.join()).collect();
        reads += gate.reads();
        (reads, results)
    })
}

#[test]
fn threads_that_ask_for_the_same_at_once_share_a_request_though_nothing_is_stored() {
    let bytes = pattern(100_000, 6);
    for way in ["stored", "no validators", "not to be stored", "no room"] {
        let directory = tempfile::tempdir().unwrap();
        let origin = MemoryOrigin::new("shared", bytes.clone());
        let gate = Gate::new(origin.clone());
        if way == "no validators" {
            origin.set_validators(page_cache::Validators::default());
        }
        let limit = if way == "no room" { 1 } else { 10 << 20 };
        let cache = builder(&directory).max_bytes(limit).open().unwrap();
        let file = cache.file(gate.clone()).unwrap();
        let file = if way == "not to be stored" { file.without_storing() } else { file };
        let (reads, results) = read_at_once(&file, &gate, Turn::Give, Turn::Give);
        assert_eq!(reads, 1, "{way}");
        for read in results {
            assert_eq!(read.unwrap(), bytes[3 * PAGE as usize + 5..3 * PAGE as usize + 200], "{way}");
        }
        assert_eq!(!file.held().is_empty(), way == "stored", "{way}");
    }
}

#[test]
fn a_reader_that_fails_or_panics_leaves_the_flight_to_others() {
    let bytes = pattern(100_000, 6);
    for (stored, first) in [(true, Turn::Fail), (true, Turn::Panic), (false, Turn::Fail), (false, Turn::Panic)] {
        let directory = tempfile::tempdir().unwrap();
        let gate = Gate::new(MemoryOrigin::new("shared", bytes.clone()));
        let file = builder(&directory).open().unwrap().file(gate.clone()).unwrap();
        let file = if stored { file } else { file.without_storing() };
        let (reads, results) = read_at_once(&file, &gate, first, Turn::Give);
        assert_eq!(reads, 2, "one that came to nothing, and one for all others");
        let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(bad.len(), 1);
        assert!(good.into_iter().all(|read| read.unwrap() == bytes[3 * PAGE as usize + 5..3 * PAGE as usize + 200]));
        // Nothing of the flight is left.
        gate.let_through(Turn::Give);
        assert_eq!(file.bytes(0..10).unwrap(), bytes[..10]);
    }
}

/// An origin in trouble was asked again by the leader for as long as it may be: those who waited for him do not wait as
/// long again, one behind the other.
#[test]
fn who_waits_for_an_origin_in_trouble_is_told_at_once() {
    let bytes = pattern(100_000, 6);
    for stored in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let gate = Gate::new(MemoryOrigin::new("trouble", bytes.clone()));
        let cache = builder(&directory).retry(page_cache::RetryPolicy::never()).open().unwrap();
        let file = cache.file(gate.clone()).unwrap();
        let file = if stored { file } else { file.without_storing() };
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| file.bytes(5..200))).collect();
            wait_for("all others wait", || file.stats().waits == READERS - 1);
            gate.let_through(Turn::Away);
            for reader in readers {
                let error = reader.join().unwrap().unwrap_err();
                assert!(matches!(error, ReadError::Origin(OriginError::Incomplete { .. })), "{error}");
            }
        });
        assert_eq!(gate.reads(), 1);
        gate.let_through(Turn::Give);
        assert_eq!(file.bytes(5..200).unwrap(), bytes[5..200]);
    }
}

/// The other one may have other credentials, or another way to the object.
#[test]
fn the_error_of_another_origin_of_the_same_object_is_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(100_000, 6);
    let gate = Gate::new(MemoryOrigin::new("shared", bytes.clone()));
    let cache = builder(&directory).retry(RetryPolicy::never()).open().unwrap();
    let bad = cache.file(gate.clone()).unwrap();
    let good = cache.file(MemoryOrigin::new("shared", bytes.clone())).unwrap();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| bad.bytes(5..200));
        wait_for("the first request", || gate.reads() == 1);
        let other = scope.spawn(|| good.bytes(5..200));
        wait_for("the other waits", || good.stats().waits == 1);
        gate.let_through(Turn::Away);
        assert!(matches!(leader.join().unwrap(), Err(ReadError::Origin(OriginError::Incomplete { .. }))));
        assert_eq!(other.join().unwrap().unwrap(), bytes[5..200]);
    });
}

/// The leader's bytes are there for all who wait as soon as they have come, though there is no slot for another
/// request.
#[test]
fn who_waits_for_another_thread_needs_no_slot() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(100_000, 6);
    let gate = Gate::new(MemoryOrigin::new("slots", bytes.clone()));
    let file = builder(&directory).max_in_flight(1).open().unwrap().file(gate.clone()).unwrap();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| file.bytes(0..10).unwrap());
        wait_for("the first request", || gate.reads() == 1);
        // This one has to wait for a slot, and gets the next.
        let elsewhere = scope.spawn(|| file.bytes(50_000..50_010).unwrap());
        let passenger = scope.spawn(|| file.bytes(5..15).unwrap());
        wait_for("both wait", || file.stats().misses == 3 && file.stats().waits == 1);
        gate.let_through(Turn::Give);
        assert_eq!(leader.join().unwrap(), bytes[..10]);
        assert_eq!(passenger.join().unwrap(), bytes[5..15]);
        assert!(!elsewhere.is_finished());
        gate.let_through(Turn::Give);
        assert_eq!(elsewhere.join().unwrap(), bytes[50_000..50_010]);
    });
    assert_eq!(file.stats().requests, 2);
}

#[test]
fn a_thread_that_is_stuck_is_not_waited_for_longer_than_patience() {
    let bytes = pattern(100_000, 6);
    for stored in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let gate = Gate::new(MemoryOrigin::new("stuck", bytes.clone()));
        let cache = builder(&directory).patience(Duration::from_millis(50)).open().unwrap();
        let file = cache.file(gate.clone()).unwrap();
        let file = if stored { file } else { file.without_storing() };
        std::thread::scope(|scope| {
            let stuck = scope.spawn(|| file.bytes(0..10).unwrap());
            wait_for("the first request", || gate.reads() == 1);
            let other = scope.spawn(|| file.bytes(5..15).unwrap());
            wait_for("a request beside it", || gate.reads() == 1);
            gate.let_through(Turn::Give);
            gate.let_through(Turn::Give);
            assert_eq!(
                (stuck.join().unwrap(), other.join().unwrap()),
                (bytes[..10].to_vec().into(), bytes[5..15].to_vec().into())
            );
        });
        assert_eq!(file.stats().requests, 2);
    }
}

fn versioned(length: u64) -> Stat {
    Stat { length, validators: Validators { version: Some("1".into()), ..Validators::default() } }
}

/// What a call returns, unless it takes too long.
fn in_time<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(call()));
    receiver.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{what} never ends"))
}

/// Each request of the one is many reads of the other, and both have the same few slots.
#[test]
fn an_origin_may_read_other_files_of_its_cache() {
    for max in [1, 4] {
        let directory = tempfile::tempdir().unwrap();
        let bytes = pattern(1 << 20, 4);
        // So that whoever waits for a slot in vain is found out.
        let cache = builder(&directory).max_in_flight(max).patience(Duration::from_secs(600)).open().unwrap();
        let inner = cache.file(MemoryOrigin::new("inner", bytes.clone())).unwrap();
        let origin = FnOrigin::new("outer", versioned(1 << 20), move |range: Range<u64>| {
            let halves = [range.start..range.start + 10, range.start + 10..range.end];
            let halves = inner.read_ranges(&halves).map_err(std::io::Error::other)?;
            Ok(halves.concat().into())
        });
        let outer = cache.file(origin).unwrap();
        let read = in_time("reading", move || outer.read_ranges(&scattered(40)).unwrap());
        for (range, read) in scattered(40).into_iter().zip(read) {
            assert!(read == bytes[range.start as usize..range.end as usize], "{range:?}");
        }
    }
}

/// It reads in a thread of its own, in which nothing tells that somebody waits for it with a slot.
#[test]
fn an_origin_that_needs_another_slot_gets_on_after_patience() {
    let directory = tempfile::tempdir().unwrap();
    let cache = builder(&directory).max_in_flight(1).patience(Duration::from_millis(50)).open().unwrap();
    let inner = cache.file(MemoryOrigin::new("inner", pattern(1 << 20, 4))).unwrap();
    let origin = FnOrigin::new("outer", versioned(1 << 20), move |range: Range<u64>| {
        let inner = inner.clone();
        std::thread::spawn(move || inner.bytes(range)).join().unwrap().map_err(std::io::Error::other)
    });
    let outer = cache.file(origin).unwrap();
    assert_eq!(in_time("reading", move || outer.bytes(0..10).unwrap()), pattern(1 << 20, 4)[..10]);
}

/// What is known to fail is not held back by requests that may succeed later.
#[test]
fn an_error_does_not_wait_for_an_origin_in_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let policy = RetryPolicy { deadline: 10 * hour, first_pause: hour, longest_pause: hour };
    let in_trouble = Arc::new((Mutex::new(false), Condvar::new()));
    let origin = FnOrigin::new("trouble", versioned(1 << 20), move |range: Range<u64>| {
        let mut is_so = in_trouble.0.lock().unwrap();
        if range.start > 0 {
            *is_so = true;
            in_trouble.1.notify_all();
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        drop(in_trouble.1.wait_while(is_so, |is_so| !*is_so).unwrap());
        Err(std::io::Error::other("for good"))
    });
    let file = builder(&directory).retry(policy).open().unwrap().file(origin).unwrap();
    let error = in_time("reading", move || file.read_ranges(&[0..1, 100 * PAGE..100 * PAGE + 1]).unwrap_err());
    assert!(error.to_string().contains("for good"), "{error}");
}

/// A pause needs no slot.
#[test]
fn an_origin_in_trouble_keeps_no_other_one_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let policy = RetryPolicy { first_pause: Duration::from_secs(3), ..RetryPolicy::default() };
    let cache = builder(&directory).max_in_flight(1).retry(policy).open().unwrap();
    let down = MemoryOrigin::new("down", pattern(100_000, 1));
    let (trouble, healthy) =
        (cache.file(down.clone()).unwrap(), cache.file(MemoryOrigin::new("good", pattern(100_000, 2))).unwrap());
    down.fail(true);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| (trouble.bytes(0..10).unwrap(), Instant::now()));
        wait_for("the first attempt", || !down.take_reads().is_empty());
        assert_eq!(healthy.bytes(0..10).unwrap(), pattern(100_000, 2)[..10]);
        let read = Instant::now();
        down.fail(false);
        let (bytes, end) = slow.join().unwrap();
        assert_eq!(bytes, pattern(100_000, 1)[..10]);
        assert!(read < end, "it has waited for the pause of another origin");
    });
}

/// An offline read asks nobody, so it waits for nobody.
#[test]
fn an_offline_read_needs_no_slot() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Gate::new(MemoryOrigin::new("offline", pattern(100_000, 6)));
    let online = builder(&directory).max_in_flight(1).open().unwrap();
    let file = online.file(gate.clone()).unwrap();
    let offline = builder(&directory).max_in_flight(1).offline(true).open().unwrap().file(gate.clone()).unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| file.bytes(0..10).unwrap());
        wait_for("the first request", || gate.reads() == 1);
        let error = offline.bytes(50_000..50_010);
        let is_early = !slow.is_finished();
        gate.let_through(Turn::Give);
        assert!(matches!(error, Err(ReadError::Origin(OriginError::Offline { .. }))), "{error:?}");
        assert!(is_early);
    });
}
