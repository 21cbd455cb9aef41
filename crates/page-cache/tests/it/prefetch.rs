//! Fetching what nobody reads yet.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use page_cache::{
    Cache, CacheBuilder, CachedFile, FnOrigin, Origin, OriginError, PrefetchError, Prefetched, ReadError, RetryPolicy,
    Stat, Validators,
};
use tempfile::TempDir;

use crate::memory_origin::{MemoryOrigin, pattern};

const PAGE: u64 = 4096;

fn builder(directory: &TempDir) -> CacheBuilder {
    Cache::builder(directory.path()).page_size(PAGE).retry(RetryPolicy::never())
}

fn prefetch(file: &CachedFile, ranges: &[Range<u64>]) -> Result<Prefetched, PrefetchError> {
    file.prefetch(ranges, |_| ControlFlow::Continue(()))
}

fn fetched(origin: &MemoryOrigin) -> u64 {
    origin.take_reads().iter().map(|read| read.end - read.start).sum()
}

#[test]
fn what_is_missing_is_fetched_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(40 << 20, 1);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let file = builder(&directory).open().unwrap().file(origin.clone()).unwrap();
    file.bytes(10 << 20..11 << 20).unwrap();
    origin.take_reads();
    let ranges = [30 << 20..u64::MAX, 100..20 << 20, 5..6, 7..7];
    let (mut last, mut calls) = (0, 0);
    let prefetched = file
        .prefetch(&ranges, |progress| {
            assert!(progress.total == 29 << 20 && progress.done <= progress.total);
            (last, calls) = (progress.done.max(last), calls + 1);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(!prefetched.cancelled && last == 29 << 20 && calls >= 4, "{last} {calls}");
    assert_eq!(prefetched.held.iter().collect::<Vec<_>>(), [0..20 << 20, 30 << 20..40 << 20]);
    assert_eq!(fetched(&origin), 29 << 20);
    origin.fail(true);
    assert!(file.bytes(30 << 20..40 << 20).unwrap() == bytes[30 << 20..]);
    // All of it is held, so the origin is not asked.
    assert_eq!(prefetch(&file, &ranges).unwrap(), prefetched);
    assert_eq!(fetched(&origin), 0);
}

#[test]
fn it_ends_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(64 << 20, 1));
    origin.delay(Duration::from_millis(5));
    let file = builder(&directory).max_in_flight(2).open().unwrap().file(origin.clone()).unwrap();
    let prefetched = file.prefetch(&[0..u64::MAX], |_| ControlFlow::Break(())).unwrap();
    let stored = prefetched.held.num_bytes();
    assert!(prefetched.cancelled && (8 << 20..=16 << 20).contains(&stored), "{stored}");
    assert_eq!(fetched(&origin), stored, "those under way are stored");
    assert!(!prefetch(&file, &[0..u64::MAX]).unwrap().cancelled);
    assert_eq!(fetched(&origin), (64 << 20) - stored);
}

/// Bytes that tell when they go.
struct Counted {
    bytes: Vec<u8>,
    now: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.now.fetch_sub(self.bytes.len() as u64, Ordering::SeqCst);
    }
}

#[test]
fn a_thousand_ranges_take_no_more_memory_and_threads_than_the_requests_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (requests, most_requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let stat = Stat { length: 1 << 30, validators };
    let counters = (now.clone(), most.clone(), requests, most_requests.clone());
    let origin = FnOrigin::new("counted", stat, move |range: Range<u64>| {
        let (now, most, requests, most_requests) = &counters;
        most_requests.fetch_max(requests.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let len = range.end - range.start;
        most.fetch_max(now.fetch_add(len, Ordering::SeqCst) + len, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        requests.fetch_sub(1, Ordering::SeqCst);
        Ok(Bytes::from_owner(Counted { bytes: vec![7; len as usize], now: now.clone() }))
    });
    let file = builder(&directory).max_in_flight(4).open().unwrap().file(origin).unwrap();
    let ranges: Vec<_> = (0..1000).map(|number| number << 20..(number << 20) + 64 * 1024).collect();
    // Those that send requests: others of other tests come and go by the hundred.
    let sends = |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "page-cache fetc\n");
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks.filter(|task| sends(&task.as_ref().unwrap().path())).count()
    };
    let before = threads();
    let mut most_threads = 0;
    let prefetched = file
        .prefetch(&ranges, |_| {
            most_threads = most_threads.max(threads());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(prefetched.held.num_bytes(), 1000 * 64 * 1024);
    assert_eq!(now.load(Ordering::SeqCst), 0);
    let (bytes, requests) = (most.load(Ordering::SeqCst), most_requests.load(Ordering::SeqCst));
    assert!(bytes <= 4 * 64 * 1024 && (2..=4).contains(&requests), "{bytes} bytes, {requests} requests");
    // Other tests of this process have some of their own.
    assert!(most_threads > 0);
    assert!(most_threads < before + 200, "{before} threads, and then {most_threads}");
}

#[test]
fn two_at_once_and_a_reader_fetch_each_byte_once() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(32 << 20, 2);
    let origin = MemoryOrigin::new("a", bytes.clone());
    origin.delay(Duration::from_millis(2));
    let file = builder(&directory).open().unwrap().file(origin.clone()).unwrap();
    std::thread::scope(|scope| {
        for start in [0, 8 << 20] {
            let file = &file;
            scope.spawn(move || {
                let prefetched = prefetch(file, &[start..start + (24 << 20)]).unwrap();
                assert_eq!(prefetched.held.num_bytes(), 24 << 20);
            });
        }
        scope.spawn(|| assert!(file.bytes(0..32 << 20).unwrap() == bytes));
    });
    assert_eq!(fetched(&origin), 32 << 20);
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let bytes = pattern(4 << 20, 3);
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", bytes.clone());
    let limit = 2 << 20;
    let cache = builder(&directory).max_bytes(limit).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    for end in [4 << 20, limit] {
        let error = prefetch(&file, &[0..end]).unwrap_err();
        assert!(matches!(&error, PrefetchError::TooLarge { max_bytes, .. } if *max_bytes == limit), "{error}");
        assert!(error.to_string().contains("max_bytes"), "{error}");
    }
    let error = prefetch(&file.without_storing(), &[0..10]).unwrap_err();
    assert!(matches!(error, PrefetchError::NotStored { .. }), "{error}");
    assert!(matches!(
        prefetch(&file, &[Range { start: 9, end: 8 }]),
        Err(PrefetchError::Read(ReadError::Reversed { .. }))
    ));
    assert!(matches!(prefetch(&file, &[5 << 20..6 << 20]), Err(PrefetchError::Read(ReadError::PastEnd { .. }))));
    assert_eq!(origin.take_reads(), []);
    assert_eq!(prefetch(&file, &[0..1 << 20]).unwrap().held.num_bytes(), 1 << 20);
    assert_eq!(prefetch(&file.without_storing(), &[0..10]).unwrap().held.num_bytes(), PAGE, "it is held already");

    let offline = builder(&directory).offline(true).open().unwrap().file(origin.clone()).unwrap();
    assert_eq!(prefetch(&offline, &[0..1 << 20]).unwrap().held.num_bytes(), 1 << 20);
    let error = prefetch(&offline, &[0..(1 << 20) + 1]).unwrap_err();
    assert!(matches!(error, PrefetchError::Read(ReadError::Origin(OriginError::Offline { .. }))), "{error}");

    let unstored = MemoryOrigin::new("b", bytes);
    unstored.set_validators(Validators::default());
    let error = prefetch(&cache.file(unstored).unwrap(), &[0..10]).unwrap_err();
    assert!(matches!(error, PrefetchError::NotStored { .. }), "{error}");
}

/// No more is fetched in vain than a few requests' worth.
#[test]
fn where_there_is_no_room_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(64 << 20, 3));
    let cache = builder(&directory).max_bytes(128 << 20).max_in_flight(2).open().unwrap();
    let other = MemoryOrigin::new("b", pattern(64 << 20, 4));
    let (file, other) = (cache.file(origin.clone()).unwrap(), cache.file(other).unwrap());
    assert_eq!(prefetch(&other, &[0..u64::MAX]).unwrap().held.num_bytes(), 64 << 20);
    // Nothing of either may go.
    assert!(other.keep(0..u64::MAX).unwrap() && file.keep(0..u64::MAX).unwrap());
    let error = prefetch(&file, &[0..u64::MAX]).unwrap_err();
    assert!(matches!(error, PrefetchError::NotStored { .. }), "{error}");
    let stored = file.held().num_bytes();
    assert!(stored > 48 << 20, "{stored}");
    assert!(fetched(&origin) <= (64 << 20) + ((3 * 2 * 8) << 20));
}

#[test]
fn an_origin_that_fails_ends_it_and_what_has_come_stays() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(64 << 20, 3));
    let file = builder(&directory).max_in_flight(1).open().unwrap().file(origin.clone()).unwrap();
    let error = file
        .prefetch(&[0..u64::MAX], |_| {
            origin.fail(true);
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(matches!(error, PrefetchError::Read(ReadError::Origin(OriginError::Unreachable { .. }))), "{error}");
    assert_eq!((file.held().num_bytes(), origin.take_reads().len()), (8 << 20, 2));
    // And one that has changed is known to have.
    origin.fail(false);
    origin.set(pattern(64 << 20, 4), "\"2\"");
    let error = prefetch(&file, &[0..u64::MAX]).unwrap_err();
    assert!(matches!(error, PrefetchError::Read(ReadError::Origin(OriginError::Changed { .. }))), "{error}");
    let asked = origin.stats();
    Origin::stat(&builder(&directory).open().unwrap().file(origin.clone()).map(|_| origin.clone()).unwrap()).unwrap();
    assert!(origin.stats() > asked + 1, "who opens it next asks");
}

#[test]
fn it_ends_when_it_is_told_to_though_nothing_comes() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(1 << 20, 1));
    let hour = Duration::from_secs(3600);
    let policy = RetryPolicy { deadline: 10 * hour, first_pause: hour, longest_pause: hour };
    let file = builder(&directory).retry(policy).open().unwrap().file(origin.clone()).unwrap();
    origin.fail(true);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(file.prefetch(&[0..u64::MAX], |_| ControlFlow::Break(()))));
    let prefetched = receiver.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert!(prefetched.cancelled && prefetched.held.is_empty());
    assert_eq!(origin.take_reads().len(), 1);
}

/// The one who looks on has no slot, and neither have those who wait until they may tell.
#[test]
fn who_looks_on_may_read_other_files() {
    for max in [1, 4] {
        let directory = tempfile::tempdir().unwrap();
        let cache = builder(&directory).max_in_flight(max).patience(Duration::from_secs(600)).open().unwrap();
        let file = cache.file(MemoryOrigin::new("a", pattern(1 << 20, 1))).unwrap();
        let other = cache.file(MemoryOrigin::new("b", pattern(1 << 20, 2))).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let ranges: Vec<_> = (0..40).map(|number| number * 5 * PAGE..number * 5 * PAGE + 1).collect();
            let mut calls = 0;
            let prefetched = file.prefetch(&ranges, |_| {
                let start = calls * 6 * PAGE;
                other.read_ranges(&[start..start + 1, start + 3 * PAGE..start + 3 * PAGE + 1]).unwrap();
                calls = (calls + 1) % 40;
                ControlFlow::Continue(())
            });
            sender.send(prefetched.unwrap().held.num_bytes())
        });
        assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(40 * PAGE), "it never ends");
    }
}
