//! The limit, where several change it, and where what is taken is not pages: heads, names, blocks of indexes.

use std::time::Duration;

use crate::accounting::{allocated, check_budget};
use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};

const EXTENT: u64 = 1 << 20;
/// So many bytes have their words in one block of the index, in the smallest pages.
const BLOCK_OF_WORDS: u64 = 512 * 4096;

/// An object of ones, however long.
fn ones(cache: &Cache, key: &str, length: u64) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let stat = Stat { length, validators };
    cache.file(FnOrigin::new(key, stat, |range| Ok(vec![1; (range.end - range.start) as usize].into()))).unwrap()
}

/// One that is refused, and one that is not, in any order.
#[test]
fn of_two_who_lower_the_limit_at_once_none_takes_the_others_back() {
    for round in 0..40 {
        let directory = tempfile::tempdir().unwrap();
        let first = Cache::builder(directory.path()).max_bytes(24 * EXTENT).open().unwrap();
        let file = ones(&first, "a", 12 * EXTENT);
        file.bytes(0..12 * EXTENT).unwrap();
        assert!(file.keep(0..6 * EXTENT).unwrap());
        let open = |limit: u64, wait: u64| {
            std::thread::sleep(Duration::from_micros(wait));
            Cache::builder(directory.path()).max_bytes(limit).open().is_ok()
        };
        let (refused, other) = std::thread::scope(|scope| {
            // What is to be kept fits, and what it costs beyond its pages does not: that is found out by trying.
            let refused = scope.spawn(|| open(6 * EXTENT + (80 << 10), 0));
            let other = scope.spawn(|| open(16 * EXTENT, round * 50));
            (refused.join().unwrap(), other.join().unwrap())
        });
        assert!(!refused && other, "{round}");
        assert_eq!(first.usage().max_bytes, 16 * EXTENT, "{round}");
    }
}

/// A page here and there, each with a block of words of its own.
fn scattered(cache: &Cache, count: u64) -> CachedFile {
    let file = ones(cache, "scattered", count * BLOCK_OF_WORDS);
    for number in 0..count {
        file.bytes(number * BLOCK_OF_WORDS..number * BLOCK_OF_WORDS + 1).unwrap();
    }
    file
}

#[test]
fn blocks_of_an_index_with_nothing_in_them_hold_up_no_limit() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(4096).max_bytes(64 * EXTENT).open().unwrap();
    let file = scattered(&cache, 300);
    // It is open, and so its blocks do not go with it.
    let smaller = Cache::builder(directory.path()).page_size(4096).max_bytes(EXTENT / 2).open().unwrap();
    assert!(smaller.usage().charged <= EXTENT / 2 && allocated(directory.path()) <= EXTENT / 2);
    drop(file);
    check_budget(&cache);
}

#[test]
fn blocks_of_an_index_that_are_empty_once_a_range_has_gone_are_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(4096).max_bytes(64 * EXTENT).open().unwrap();
    let before = cache.usage().charged;
    let file = scattered(&cache, 300);
    file.evict(0..u64::MAX).unwrap();
    let start = std::time::Instant::now();
    while cache.usage().charged > before + (100 << 10) {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", cache.usage());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(allocated(directory.path()) <= cache.usage().charged);
}

/// One that is longer would take more than its pair is charged for it: such an object is not stored.
#[test]
fn heads_are_within_the_limit_however_long_keys_and_validators_are() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, limit) = (directory.path().join("cache"), 2 * EXTENT);
    let cache = Cache::builder(&dir).page_size(4096).max_bytes(limit).max_open_entries(4).open().unwrap();
    let check = || {
        let (taken, usage) = (allocated(&dir), cache.usage());
        assert!(taken <= usage.charged && usage.charged <= limit, "{taken} {usage:?}");
    };
    for (number, len) in [900_000, 5_000, 3_000, 1_000].into_iter().cycle().take(120).enumerate() {
        let key = format!("{number}{}", "k".repeat(len));
        let file = ones(&cache, &key, 4096);
        assert_eq!(file.bytes(0..1).unwrap(), vec![1]);
        assert_eq!(file.page_size().is_some(), len < 4_000, "{len}");
        check();
    }
    let validators = Validators { etag: Some("e".repeat(100_000)), ..Validators::default() };
    let long = FnOrigin::new("etag", Stat { length: 4096, validators }, |_| Ok(vec![1; 4096].into()));
    assert_eq!(cache.file(long).unwrap().page_size(), None);
    check();
}

/// Whoever writes a head next removes what a dead process has left of one, so that there is never more than one.
#[test]
fn of_a_head_that_dead_processes_wrote_one_half_is_left_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).freshness(Freshness::Always).open().unwrap();
    let origin = MemoryOrigin::new("a", pattern(10_000, 1));
    cache.file(origin.clone()).unwrap();
    let heads = directory.path().join("heads");
    let names = || -> Vec<String> {
        heads.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let [name] = names().try_into().unwrap();
    std::fs::write(heads.join(format!(".{name}.svf-tmp")), b"half").unwrap();
    cache.file(origin).unwrap();
    assert_eq!(names(), [name]);
}

/// On ext4 a directory never becomes smaller.
#[test]
fn what_the_directories_take_is_charged() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("cache");
    let cache = Cache::builder(&dir).page_size(4096).max_bytes(32 * EXTENT).open().unwrap();
    let names = |below: &str| {
        let name = |number: u32| dir.join(below).join(format!("{number:0200}"));
        (0..1_000).for_each(|number| std::fs::write(name(number), b"").unwrap());
        (0..1_000).for_each(|number| std::fs::remove_file(name(number)).unwrap());
    };
    names("heads");
    let check = |when: &str| {
        let (taken, charged) = (allocated(&dir), cache.usage().charged);
        assert!(taken <= charged, "{when}: {taken} bytes are taken, {charged} charged");
    };
    let file = ones(&cache, "a", EXTENT);
    check("as it is noticed by who makes a pair");
    names("pairs");
    drop(file);
    cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    check("counted");
    let usage = cache.evict_to(0).unwrap();
    assert_eq!(usage.charged, usage.fixed, "it cannot go");
    // What cannot go holds up no limit.
    let smaller = Cache::builder(&dir).max_bytes(EXTENT / 8).open().unwrap();
    assert_eq!(smaller.usage().charged, usage.charged);
    check_budget(&cache);
}
