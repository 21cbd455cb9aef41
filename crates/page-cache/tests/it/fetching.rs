//! How what is missing is fetched: each byte once, by several requests at once, and no more of them than may be.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::memory_origin::{MemoryOrigin, pattern};
use bytes::Bytes;
use page_cache::{Cache, CacheBuilder, Origin, OriginError, ReadError, Stat};
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
    assert_eq!(origin.fetched(), 40 << 20);
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
