//! What a `CachedFile` reads, and what it asks its origin for.

use std::sync::Barrier;
use std::time::Duration;

use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, Freshness, LocalFile, Origin, OriginError, ReadError, RetryPolicy, Validators};
use proptest::prelude::*;
use tempfile::TempDir;

const PAGE: u64 = 4096;

fn cache(directory: &TempDir) -> Cache {
    let builder = Cache::builder(directory.path().join("cache")).page_size(PAGE);
    builder.retry(RetryPolicy::never()).open().unwrap()
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn only_missing_pages_are_fetched_and_neighbours_in_one_request() {
    let directory = temporary();
    let bytes = pattern(100_000, 1);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let file = cache(&directory).file(origin.clone()).unwrap();

    assert_eq!(file.bytes(5_000..5_010).unwrap(), bytes[5_000..5_010]);
    assert_eq!(origin.take_reads(), [4_096..8_192]);
    assert_eq!(file.bytes(4_096..8_192).unwrap(), bytes[4_096..8_192]);
    assert_eq!(origin.take_reads(), []);
    // Pages 0 and 2 to 5 are missing.
    assert_eq!(file.bytes(100..21_000).unwrap(), bytes[100..21_000]);
    assert_eq!(origin.take_reads(), [0..4_096, 8_192..24_576]);
    // The last page is short.
    assert_eq!(file.bytes(99_999..200_000).unwrap(), bytes[99_999..]);
    assert_eq!(origin.take_reads(), [98_304..100_000]);
    assert_eq!(file.held().iter().collect::<Vec<_>>(), [0..24_576, 98_304..100_000]);
    assert_eq!(file.need(&[0..30_000, 90_000..u64::MAX]), [24_576..32_768, 86_016..98_304]);
    assert_eq!(origin.stats(), 1);
}

#[test]
fn ranges_of_one_call_are_planned_together_and_none_is_fetched_twice() {
    let directory = temporary();
    let bytes = pattern(100_000, 2);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let file = cache(&directory).file(origin.clone()).unwrap();
    let ranges = [50_000..50_001, 10..20, 4_000..9_000, 50_000..50_100, 60_000..60_000, 15..18];
    let read = file.read_ranges(&ranges).unwrap();
    for (range, read) in ranges.iter().zip(read) {
        assert_eq!(read, bytes[range.start as usize..range.end as usize]);
    }
    assert_eq!(origin.take_reads(), [0..12_288, 49_152..53_248]);
}

#[test]
fn long_reads_are_several_requests_of_bounded_size() {
    let directory = temporary();
    let bytes = pattern(20 << 20, 3);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let file = Cache::builder(directory.path()).open().unwrap().file(origin.clone()).unwrap();
    assert!(file.bytes(0..file.len()).unwrap() == bytes);
    let mut reads = origin.take_reads();
    // They are sent at once.
    reads.sort_by_key(|read| read.start);
    assert_eq!(reads, [0..8 << 20, 8 << 20..16 << 20, 16 << 20..20 << 20]);
}

#[test]
fn what_was_read_is_there_in_another_cache_without_any_request() {
    let directory = temporary();
    let bytes = pattern(100_000, 4);
    let origin = MemoryOrigin::new("a", bytes.clone());
    drop(cache(&directory).file(origin.clone()).unwrap().bytes(0..50_000).unwrap());
    origin.take_reads();
    // The first cache is closed, so this one reads everything from the disk again, and verifies it.
    let file = cache(&directory).file(origin.clone()).unwrap();
    origin.fail(true);
    assert_eq!(file.bytes(10..50_000).unwrap(), bytes[10..50_000]);
    assert_eq!((origin.take_reads(), origin.stats()), (vec![], 1));
    // What is not held says what is wrong, and works once the origin does.
    let error = file.bytes(0..100_000).unwrap_err();
    assert!(matches!(&error, ReadError::Origin(OriginError::Unreachable { .. })), "{error}");
    origin.fail(false);
    assert_eq!(file.bytes(0..100_000).unwrap(), bytes);
}

#[test]
fn sizes_around_whole_pages() {
    let directory = temporary();
    for len in [0, 1, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193] {
        let bytes = pattern(len, 5);
        let origin = MemoryOrigin::new(&len.to_string(), bytes.clone());
        for reading in ["first", "held"] {
            let file = cache(&directory).file(origin.clone()).unwrap();
            assert_eq!(file.len(), len as u64);
            assert_eq!(file.is_empty(), len == 0);
            assert_eq!(file.bytes(0..u64::MAX).unwrap(), bytes, "{reading} of {len}");
            assert_eq!(file.bytes(file.len()..file.len()).unwrap(), "");
            if let Some(last) = bytes.last() {
                assert_eq!(file.bytes(len as u64 - 1..len as u64).unwrap(), [*last][..]);
            }
            assert_eq!(file.held().num_bytes(), len as u64);
        }
    }
}

#[test]
fn ranges_that_cannot_be_read() {
    let directory = temporary();
    let file = cache(&directory).file(MemoryOrigin::new("a", pattern(10_000, 6))).unwrap();
    let mut buf = [0; 100];
    #[expect(clippy::reversed_empty_ranges, reason = "a reversed range is what is tested")]
    let reversed = 20..10;
    assert!(matches!(file.bytes(reversed), Err(ReadError::Reversed { .. })));
    assert!(matches!(file.bytes(10_001..10_002), Err(ReadError::PastEnd { start: 10_001, length: 10_000, .. })));
    assert!(matches!(file.read_at(&mut buf, u64::MAX), Err(ReadError::PastEnd { .. })));
    assert_eq!(file.read_at(&mut buf, 10_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 9_950).unwrap(), 50);
    assert!(matches!(file.read_exact_at(&mut buf, 9_950), Err(ReadError::TooShort { .. })));
    assert!(matches!(file.read_exact_at(&mut buf, 10_001), Err(ReadError::PastEnd { .. })));
    file.read_exact_at(&mut buf, 9_900).unwrap();
    assert!(file.read_ranges(&[0..10, 10_001..10_002]).is_err());
    let message = file.bytes(10_001..10_002).unwrap_err().to_string();
    assert!(message.contains("memory:a") && message.contains("10001") && message.contains("10000"), "{message}");
}

#[test]
fn a_changed_object_is_an_error_and_then_a_new_version() {
    let directory = temporary();
    let (old, new) = (pattern(50_000, 7), pattern(60_000, 8));
    let origin = MemoryOrigin::new("a", old.clone());
    let cache = cache(&directory);
    let file = cache.file(origin.clone()).unwrap();
    assert_eq!(file.bytes(0..4_096).unwrap(), old[..4_096]);
    origin.set(new.clone(), "\"2\"");

    // What is held of the old version stays readable; what is not cannot be had any more.
    assert_eq!(file.bytes(0..4_096).unwrap(), old[..4_096]);
    let error = file.bytes(0..8_192).unwrap_err();
    assert!(matches!(&error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    assert!(error.to_string().contains("open it again"), "{error}");

    // The next opening asks, though the last answer is only a moment old, and finds the new version, empty.
    let again = cache.file(origin.clone()).unwrap();
    assert_eq!(again.len(), 60_000);
    assert!(again.held().is_empty());
    assert_eq!(again.bytes(0..60_000).unwrap(), new);
    // The old handle goes on with what it has, which is deleted when nobody reads it any more.
    assert_eq!(file.bytes(0..4_096).unwrap(), old[..4_096]);
    let files = || std::fs::read_dir(cache.dir().join("pairs")).unwrap().count();
    let recount = || cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!((recount().pairs, files()), (2, 4));
    drop(file);
    assert_eq!((recount().pairs, files()), (1, 2));
    assert_eq!(again.bytes(0..60_000).unwrap(), new);
}

#[test]
fn a_change_that_was_seen_beats_every_freshness() {
    for freshness in [Freshness::Immutable, Freshness::default(), Freshness::Always] {
        let directory = temporary();
        let origin = MemoryOrigin::new("a", pattern(50_000, 20));
        let open = || {
            let cache = Cache::builder(directory.path()).page_size(PAGE).freshness(freshness).open().unwrap();
            cache.file(origin.clone()).unwrap()
        };
        let file = open();
        file.bytes(0..10).unwrap();
        origin.set(pattern(50_000, 21), "\"2\"");
        assert!(file.bytes(0..50_000).is_err());
        drop(file);
        assert!(open().bytes(0..50_000).unwrap() == pattern(50_000, 21), "{freshness:?}");
    }
}

#[test]
fn an_absurd_length_is_an_error() {
    #[derive(Debug)]
    struct Absurd(u64);
    impl Origin for Absurd {
        fn key(&self) -> &str {
            "absurd"
        }
        fn stat(&self) -> Result<page_cache::Stat, OriginError> {
            let validators = Validators { etag: Some("\"1\"".into()), ..Validators::default() };
            Ok(page_cache::Stat { length: self.0, validators })
        }
        fn read(&self, range: std::ops::Range<u64>, _: &page_cache::Stat) -> Result<bytes::Bytes, OriginError> {
            Ok(vec![7; (range.end - range.start) as usize].into())
        }
    }
    let directory = temporary();
    for length in [u64::MAX, 1 << 63, (1 << 50) + 1] {
        let error = cache(&directory).file(Absurd(length)).unwrap_err();
        assert!(error.to_string().contains(&length.to_string()), "{error}");
    }
    // The longest that is taken: a few bytes of it cost what few bytes cost.
    let file = cache(&directory).file(Absurd(1 << 50)).unwrap();
    assert_eq!(file.bytes((1 << 50) - 3..u64::MAX).unwrap(), [7; 3][..]);
    assert_eq!(file.need(&[5..6]), [if file.page_size().is_some() { 0..4_096 } else { 5..6 }]);
    assert!(matches!(file.bytes(0..1 << 50), Err(ReadError::NoMemory { .. })));
}

#[test]
fn looking_at_an_entry_while_it_is_read_shares_what_is_open() {
    let directory = temporary();
    for round in 0..100 {
        let origin = MemoryOrigin::new(&round.to_string(), pattern(20_000, 22));
        let cache = cache(&directory);
        cache.file(origin.clone()).unwrap();
        let barrier = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    barrier.wait();
                    cache.file(origin.clone()).unwrap().bytes(0..20_000).unwrap();
                });
            }
            scope.spawn(|| {
                barrier.wait();
                cache.entry(origin.key()).unwrap();
            });
        });
        assert_eq!(origin.take_reads().iter().map(|read| read.end - read.start).sum::<u64>(), 20_000);
    }
}

#[test]
fn who_waits_for_a_page_does_not_wait_for_the_requests_behind_it() {
    let directory = temporary();
    let origin = MemoryOrigin::new("a", pattern(40 << 20, 23));
    let cache = Cache::builder(directory.path()).max_in_flight(2).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    origin.delay(Duration::from_millis(300));
    std::thread::scope(|scope| {
        // Five requests of 8 MiB, two at once.
        let long = scope.spawn(|| file.bytes(0..40 << 20).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        file.bytes(0..1).unwrap();
        assert!(!long.is_finished());
        assert!(origin.take_reads().len() < 4, "it waited for most of the other's requests");
    });
}

#[test]
fn freshness_decides_when_the_origin_is_asked() {
    let directory = temporary();
    let origin = MemoryOrigin::new("a", pattern(10_000, 9));
    let open = |freshness| {
        let cache = Cache::builder(directory.path().join("cache")).page_size(PAGE).freshness(freshness);
        cache.open().unwrap().file(origin.clone()).unwrap()
    };
    let asked = |freshness| {
        let before = origin.stats();
        open(freshness);
        origin.stats() - before
    };
    assert_eq!(asked(Freshness::Immutable), 1, "nothing is known yet");
    assert_eq!(asked(Freshness::Immutable), 0);
    assert_eq!(asked(Freshness::default()), 0);
    assert_eq!(asked(Freshness::Always), 1);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(asked(Freshness::Revalidate { max_age: Duration::from_millis(20) }), 1);
    assert_eq!(asked(Freshness::Revalidate { max_age: Duration::from_secs(60) }), 0);
    // A change is not seen until somebody asks.
    origin.set(pattern(20_000, 10), "\"2\"");
    assert_eq!(open(Freshness::Immutable).len(), 10_000);
    assert_eq!(open(Freshness::Always).len(), 20_000);
    assert_eq!(open(Freshness::Immutable).len(), 20_000);
}

#[test]
fn without_validators_nothing_is_stored() {
    let directory = temporary();
    let bytes = pattern(100_000, 11);
    let origin = MemoryOrigin::new("a", bytes.clone());
    origin.set_validators(Validators { etag: Some("W/\"weak\"".into()), ..Validators::default() });
    let file = cache(&directory).file(origin.clone()).unwrap();
    assert_eq!(file.page_size(), None);
    for _ in 0..2 {
        assert_eq!(file.bytes(10..20).unwrap(), bytes[10..20]);
        assert_eq!(origin.take_reads(), [10..20], "exactly what is asked, each time");
    }
    assert!(file.held().is_empty());
    assert_eq!(std::fs::read_dir(directory.path().join("cache/pairs")).unwrap().count(), 0);
    assert_eq!(cache(&directory).entry(origin.key()), None);
}

#[test]
fn a_second_opener_adopts_the_page_size() {
    let directory = temporary();
    let origin = MemoryOrigin::new("a", pattern(1 << 20, 12));
    let open = |page_size| Cache::builder(directory.path()).page_size(page_size).open().unwrap().file(origin.clone());
    open(4 << 10).unwrap().bytes(0..1).unwrap();
    let file = open(1 << 20).unwrap();
    assert_eq!(file.page_size(), Some(4 << 10));
    assert_eq!(file.held().num_bytes(), 4 << 10);
}

#[test]
fn an_entry_tells_what_is_held_without_asking() {
    let directory = temporary();
    let origin = MemoryOrigin::new("a", pattern(10_000, 13));
    let cache = cache(&directory);
    assert_eq!(cache.entry(origin.key()), None);
    cache.file(origin.clone()).unwrap().bytes(5_000..5_001).unwrap();
    origin.fail(true);
    let entry = cache.entry(origin.key()).unwrap();
    assert_eq!((entry.key.as_str(), entry.stat.length, entry.page_size), (origin.key(), 10_000, PAGE));
    assert_eq!(entry.held.iter().collect::<Vec<_>>(), [4_096..8_192]);
    assert!(entry.checked.elapsed().unwrap() < Duration::from_secs(60));
}

#[test]
fn threads_that_want_the_same_cold_bytes_cost_the_origin_each_byte_once() {
    let directory = temporary();
    let bytes = pattern(1_000_000, 14);
    let origin = MemoryOrigin::new("a", bytes.clone());
    origin.delay(Duration::from_millis(2));
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (directory, origin, bytes, barrier) = (&directory, origin.clone(), &bytes, &barrier);
            scope.spawn(move || {
                barrier.wait();
                // Each opens for itself: they share the pair, the flights, and the one request for the length.
                let file = cache(directory).file(origin).unwrap();
                let mut state = thread;
                for _ in 0..200 {
                    state = (state * 1_103_515_245 + 12_345) % 990_000;
                    let range = state..state + 10_000;
                    let expected = &bytes[range.start as usize..range.end as usize];
                    assert!(file.bytes(range).unwrap() == expected);
                }
                assert!(file.bytes(0..1_000_000).unwrap() == *bytes);
            });
        }
    });
    let reads = origin.take_reads();
    assert_eq!(reads.iter().map(|read| read.end - read.start).sum::<u64>(), 1_000_000, "{reads:?}");
}

#[test]
fn a_hit_does_not_wait_for_a_miss_of_another_page() {
    let directory = temporary();
    let origin = MemoryOrigin::new("a", pattern(100_000, 15));
    let file = cache(&directory).file(origin.clone()).unwrap();
    file.bytes(0..1).unwrap();
    origin.delay(Duration::from_millis(500));
    std::thread::scope(|scope| {
        let miss = scope.spawn(|| file.bytes(50_000..50_001).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        let start = std::time::Instant::now();
        file.bytes(0..4_096).unwrap();
        assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
        assert!(!miss.is_finished(), "the origin was not asked slowly enough to show anything");
    });
}

#[test]
fn an_origin_that_answers_with_too_many_bytes_stores_nothing() {
    #[derive(Debug)]
    struct Long(MemoryOrigin);
    impl Origin for Long {
        fn key(&self) -> &str {
            self.0.key()
        }
        fn stat(&self) -> Result<page_cache::Stat, OriginError> {
            self.0.stat()
        }
        fn read(&self, range: std::ops::Range<u64>, pinned: &page_cache::Stat) -> Result<bytes::Bytes, OriginError> {
            Ok([&self.0.read(range, pinned)?[..], &[0]].concat().into())
        }
    }
    let directory = temporary();
    let file = cache(&directory).file(Long(MemoryOrigin::new("a", pattern(10_000, 16)))).unwrap();
    let error = file.bytes(0..10).unwrap_err();
    assert!(matches!(&error, ReadError::Origin(OriginError::InvalidResponse { .. })), "{error}");
    assert!(file.held().is_empty());
}

#[test]
fn a_local_file_is_an_origin() {
    let directory = temporary();
    let path = directory.path().join("file");
    let bytes = pattern(100_000, 17);
    std::fs::write(&path, &bytes).unwrap();
    let cache = cache(&directory);
    let file = cache.file(LocalFile::new(&path).unwrap()).unwrap();
    assert_eq!(file.bytes(99_000..u64::MAX).unwrap(), bytes[99_000..]);
    std::fs::write(&path, pattern(100_001, 18)).unwrap();
    assert_eq!(file.bytes(99_000..u64::MAX).unwrap(), bytes[99_000..]);
    assert!(file.bytes(0..1).is_err());
    assert_eq!(cache.file(LocalFile::new(&path).unwrap()).unwrap().len(), 100_001);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_read_is_the_files_bytes_and_fetched_once(
        len in 1usize..60_000,
        reads in prop::collection::vec((0u64..65_000, 0u64..20_000, any::<bool>()), 1..20),
    ) {
        let directory = temporary();
        let bytes = pattern(len, 19);
        let origin = MemoryOrigin::new("a", bytes.clone());
        let mut file = cache(&directory).file(origin.clone()).unwrap();
        let mut fetched = svf_core::RangeSet::new();
        for (start, count, reopen) in reads {
            if reopen {
                drop(file);
                file = cache(&directory).file(origin.clone()).unwrap();
            }
            let start = start % (len as u64 + 1);
            let end = (start + count).min(len as u64);
            prop_assert!(file.bytes(start..start + count).unwrap() == bytes[start as usize..end as usize]);
            for read in origin.take_reads() {
                prop_assert_eq!(fetched.insert(read.clone()), read.end - read.start, "fetched twice");
            }
            prop_assert_eq!(file.held(), fetched.clone());
        }
    }
}

/// A file system in memory gives a page to whoever looks at a hole of a mapped file; here nobody does.
#[test]
fn on_a_file_system_in_memory_nothing_is_taken_by_looking() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else { return };
    let bytes = pattern(3_000_000, 41);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    for start in [0, 1_000_000, 2_990_000] {
        assert_eq!(file.bytes(start..start + 10_000).unwrap(), bytes[start as usize..start as usize + 10_000]);
    }
    assert!(file.verify().unwrap().damaged.is_empty());
    assert_eq!(file.need(&[0..3_000_000]).len(), 2);
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!((found.charged, found.pages), (found.charged_before, 10));
    assert!(found.allocated <= found.charged, "{found:?}");
    // The index has its fixed part and one or two blocks of words, the data its pages.
    assert!(found.allocated <= (10 + 6) * PAGE, "{found:?}");
    assert!(file.bytes(0..3_000_000).unwrap() == bytes);
    assert!(file.bytes(0..3_000_000).unwrap() == bytes);
    assert_eq!(file.stats().origin_bytes, 3_000_000);
}

/// What names the object has to fit into its head: else it would be stored again and again, and never found.
#[test]
fn a_key_that_no_head_can_hold_is_read_and_not_stored() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(20_000, 40);
    // Each of the latter takes two bytes where it is written down.
    for (key, fits) in [("k".repeat(3_500), true), ("k".repeat(4096), false), ("\"".repeat(2_500), false)] {
        let dir = directory.path().join(format!("{fits}-{}", key.len()));
        let origin = MemoryOrigin::new(&key, bytes.clone());
        for round in 0..3 {
            let cache = Cache::builder(&dir).page_size(4096).open().unwrap();
            let file = cache.file(origin.clone()).unwrap();
            assert!(file.bytes(0..20_000).unwrap() == bytes);
            let read = origin.take_reads();
            assert_eq!(read.is_empty(), fits && round > 0, "{} bytes, round {round}: {read:?}", key.len());
            assert_eq!((file.page_size().is_some(), file.held().is_empty()), (fits, !fits));
            assert_eq!(cache.entry(origin.key()).is_some(), fits);
        }
        let files = |below: &str| dir.join(below).read_dir().unwrap().count();
        assert_eq!((files("heads"), files("pairs"), files("aside")), if fits { (1, 2, 0) } else { (0, 0, 0) });
    }
}
