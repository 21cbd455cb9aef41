//! The limit where something is wrong: processes that do not agree on it, evictors that die, clocks that jump, and an
//! object that never fits, read by several at once.
//!
//! `PAGE_CACHE_KILLS` says how often evictors die; `cargo xtask crash` sets it high.

use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use crate::accounting::{allocated, allocated_by_pairs, charged, check_budget};
use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use crate::random::{Random, number};
use page_cache::{Cache, CachedFile};

const EXTENT: u64 = 1 << 20;
const LIMIT: u64 = 6 * EXTENT;
const LEN: u64 = 15 * EXTENT + 1234;
const SMALL_LEN: u64 = 3 * EXTENT + 1234;

fn open(dir: &Path, limit: u64) -> Cache {
    Cache::builder(dir).max_bytes(limit).open().unwrap()
}

fn object(cache: &Cache, key: u64, len: u64) -> (CachedFile, Vec<u8>) {
    let bytes = pattern(len as usize, key);
    (cache.file(MemoryOrigin::new(&key.to_string(), bytes.clone())).unwrap(), bytes)
}

/// Reads all of an object, from one end to the other.
fn read_through(file: &CachedFile, bytes: &[u8]) {
    const PIECE: usize = 400_000;
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        let start = (number * PIECE) as u64;
        assert!(file.bytes(start..start + piece.len() as u64).unwrap() == piece, "{} at {start}", file.key());
    }
}

fn check_within(dir: &Path, limit: u64) {
    let (allocated, charged) = (allocated(dir), charged(dir));
    assert!(allocated <= charged && charged <= limit, "{allocated} bytes are taken, {charged} charged of {limit}");
}

fn dir_of_child() -> PathBuf {
    std::env::var_os("DIR").unwrap().into()
}

#[test]
fn the_limit_of_the_last_process_holds_for_all() {
    if child::is_child() {
        let cache = open(&dir_of_child(), LIMIT / 2);
        check_within(&dir_of_child(), LIMIT / 2);
        let (file, bytes) = object(&cache, 2, LEN);
        return read_through(&file, &bytes);
    }
    let directory = tempfile::tempdir().unwrap();
    let (dir, cache) = (directory.path(), open(directory.path(), LIMIT));
    let (file, bytes) = object(&cache, 1, LEN);
    read_through(&file, &bytes);
    assert!(charged(dir) > LIMIT / 2);
    let child = child::command(the_limit_of_the_last_process_holds_for_all).env("DIR", dir).status().unwrap();
    assert!(child.success());
    assert_eq!(cache.usage().max_bytes, LIMIT / 2);
    check_within(dir, LIMIT / 2);
    read_through(&file, &bytes);
    check_within(dir, LIMIT / 2);
    let again = open(dir, LIMIT);
    read_through(&file, &bytes);
    assert!(again.usage().charged > LIMIT / 2);
    check_within(dir, LIMIT);
    check_budget(&again);
}

#[test]
fn evictors_that_are_killed_leave_no_more_than_is_charged() {
    if child::is_child() {
        return fill_and_evict(&dir_of_child());
    }
    let directory = tempfile::tempdir().unwrap();
    let (dir, mut random) = (directory.path().join("cache"), Random::new(11));
    open(&dir, LIMIT);
    for kill in 0..number("PAGE_CACHE_KILLS", 25) {
        let began = directory.path().join("evicts");
        _ = std::fs::remove_file(&began);
        let mut evictor =
            child::command(evictors_that_are_killed_leave_no_more_than_is_charged).env("DIR", &dir).spawn().unwrap();
        while !began.exists() {
            assert!(evictor.try_wait().unwrap().is_none(), "{kill}: it has ended");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(random.below(12_000)));
        evictor.kill().unwrap();
        assert_eq!(evictor.wait().unwrap().signal(), Some(libc::SIGKILL), "{kill}");
        // The directory's own charge stands for nothing of this.
        let (allocated, charged) = (allocated_by_pairs(&dir) + (64 << 10), charged(&dir));
        assert!(allocated <= charged && charged <= LIMIT, "{kill}: {allocated} bytes are taken, {charged} charged");
    }
    let cache = open(&dir, LIMIT);
    check_budget(&cache);
    for key in 0..EVICTORS {
        let (file, bytes) = object(&cache, key, SMALL_LEN);
        read_through(&file, &bytes);
    }
    check_within(&dir, LIMIT);
}

/// So many threads that at any moment some of them are in the middle of something, and do not run.
const EVICTORS: u64 = 6;

fn fill_and_evict(dir: &Path) {
    let cache = Cache::builder(dir).max_bytes(LIMIT).page_size(4096).eager().open().unwrap();
    let [filled, evicted] = [Barrier::new(EVICTORS as usize), Barrier::new(EVICTORS as usize)];
    std::thread::scope(|scope| {
        for key in 0..EVICTORS {
            let (cache, filled, evicted) = (&cache, &filled, &evicted);
            scope.spawn(move || {
                let mut random = Random::new(u64::from(std::process::id()) * EVICTORS + key);
                let (file, bytes) = object(cache, key, SMALL_LEN);
                loop {
                    let start = random.below(SMALL_LEN - EXTENT);
                    let range = start..start + random.below(EXTENT);
                    assert!(file.bytes(range.clone()).unwrap() == bytes[range.start as usize..range.end as usize]);
                    // What others are charged for and have not stored yet would hide what is charged too little.
                    if filled.wait().is_leader() {
                        std::fs::write(dir.with_file_name("evicts"), b"").unwrap();
                    }
                    if key == 0 {
                        cache.evict_to(random.below(LIMIT / 2)).unwrap();
                    }
                    file.evict(0..SMALL_LEN).unwrap();
                    evicted.wait();
                }
            });
        }
    });
}

#[test]
fn a_use_in_the_future_is_no_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, cache) = (directory.path(), open(directory.path(), LIMIT));
    let mut seen = Vec::new();
    let year = Duration::from_secs(365 * 86_400);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    // The clock was a year ahead, and set right; or it was in another century, or nobody can tell.
    for (key, used) in [(1, (now + year).as_secs()), (2, (now - year).as_secs()), (3, i64::MAX as u64), (4, u64::MAX)] {
        let (file, bytes) = object(&cache, key, EXTENT);
        read_through(&file, &bytes);
        drop(file);
        let head = cache.entry(&format!("memory:{key}")).unwrap();
        assert!(head.last_used.unwrap() <= SystemTime::now());
        let paths = dir.join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut indexes = paths.filter(|path| path.extension().is_some_and(|ending| ending == "index"));
        let index = indexes.find(|path| !seen.contains(path)).unwrap();
        seen.push(index.clone());
        let index = std::fs::File::options().write(true).open(index).unwrap();
        index.write_all_at(&used.to_le_bytes(), 4120).unwrap();
    }
    cache.evict_older_than(Duration::from_secs(3600)).unwrap();
    let held = |key: u64| cache.entry(&format!("memory:{key}")).map_or(0, |entry| entry.held.num_bytes());
    assert_eq!((held(1), held(2), held(3)), (EXTENT, 0, EXTENT));
    cache.evict_older_than(Duration::ZERO).unwrap();
    assert_eq!(held(1), EXTENT, "a year from now it is old");
    // Whoever uses it again says when, by the clock that is right.
    let (file, bytes) = object(&cache, 1, EXTENT);
    read_through(&file, &bytes);
    drop(file);
    assert!(cache.entry("memory:1").unwrap().last_used.unwrap() <= SystemTime::now());
}

#[test]
fn two_processes_read_what_never_fits_again_and_again() {
    if child::is_child() {
        let cache = open(&dir_of_child(), LIMIT);
        let (file, bytes) = object(&cache, 1, LEN);
        for _ in 0..4 {
            read_through(&file, &bytes);
            assert!(cache.usage().charged <= LIMIT);
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("cache");
    let start = || child::command(two_processes_read_what_never_fits_again_and_again).env("DIR", &dir).spawn().unwrap();
    let children = [start(), start()];
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    check_within(&dir, LIMIT);
    let cache = open(&dir, LIMIT);
    let (file, _) = object(&cache, 1, LEN);
    assert!(file.held().num_bytes() > LIMIT / 2, "it is used");
    check_budget(&cache);
}
