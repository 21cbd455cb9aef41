//! The limit: never exceeded, whatever is read; and what goes for it, stays, or is never stored.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CacheBuilder, CachedFile, OpenError, Origin, WhenFull};
use tempfile::TempDir;

const PAGE: u64 = 64 << 10;
const EXTENT: u64 = 1 << 20;
const LIMIT: u64 = 8 * EXTENT;

fn builder(directory: &TempDir) -> CacheBuilder {
    Cache::builder(directory.path().join("cache")).page_size(PAGE)
}

fn open(directory: &TempDir) -> Cache {
    builder(directory).max_bytes(LIMIT).open().unwrap()
}

/// What all files below a directory take.
fn allocated(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let blocks = |path: &Path| path.symlink_metadata().map_or(0, |metadata| metadata.blocks() * 512);
    entries.map(|path| if path.is_dir() { allocated(&path) } else { blocks(&path) }).sum()
}

/// An object of so many extents, and the file of it.
fn object(cache: &Cache, key: &str, extents: u64) -> (MemoryOrigin, CachedFile, Vec<u8>) {
    let bytes = pattern((extents * EXTENT) as usize, extents);
    let origin = MemoryOrigin::new(key, bytes.clone());
    (origin.clone(), cache.file(origin).unwrap(), bytes)
}

fn extent(number: u64) -> std::ops::Range<u64> {
    number * EXTENT..(number + 1) * EXTENT
}

/// Whether all of an extent is held, some of it, or nothing.
fn holds(file: &CachedFile, number: u64) -> bool {
    file.held().contains(extent(number))
}

#[test]
fn an_object_larger_than_the_limit_is_read_again_and_again_within_it() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory);
    let (_, file, bytes) = object(&cache, "large", 20);
    for round in 0..3 {
        for start in (0..bytes.len()).step_by(300_000) {
            let end = (start + 300_000).min(bytes.len());
            assert!(file.bytes(start as u64..end as u64).unwrap() == bytes[start..end], "round {round} at {start}");
            let (usage, taken) = (cache.usage(), allocated(directory.path()));
            assert!(taken <= usage.charged && usage.charged <= LIMIT, "{taken} {usage:?}");
        }
    }
    assert!(file.held().num_bytes() > LIMIT / 2, "it is used");
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    // A block of the index that nothing is in any more is given back by a recount at the latest.
    let lost = found.charged_before - found.charged;
    assert!(lost == 0 || lost == 4096, "{lost}");
    assert!(cache.stats().bypasses == 0, "{:?}", cache.stats());
}

/// Each extent is used often enough to be worth more than whatever is read once; and what is read once is read by
/// pieces of an extent, of a page, and less.
#[test]
fn a_scan_does_not_flush_what_is_used_again_and_again() {
    for piece in [EXTENT, EXTENT / 4, PAGE, 30_000] {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(&directory);
        let (hot_origin, hot, _) = object(&cache, "hot", 3);
        let (_, scanned, _) = object(&cache, "scanned", 60);
        for _ in 0..3 {
            for number in 0..3 {
                hot.bytes(extent(number)).unwrap();
            }
            // Another use is one for which a quarter of this limit was filled since.
            scanned.bytes(57 * EXTENT..60 * EXTENT).unwrap();
            scanned.evict(57 * EXTENT..60 * EXTENT).unwrap();
            fold(&cache, &hot);
        }
        hot_origin.take_reads();
        for start in (0..40 * EXTENT).step_by(piece as usize) {
            scanned.bytes(start..start + piece).unwrap();
        }
        for number in 0..3 {
            assert!(holds(&hot, number), "pieces of {piece}: extent {number} of what is hot has gone");
            hot.bytes(extent(number)).unwrap();
        }
        assert_eq!(hot_origin.take_reads(), []);
        assert!(cache.usage().charged <= LIMIT);
    }
}

/// Waits until the thread of the directory has written down what was used.
fn fold(cache: &Cache, file: &CachedFile) {
    let before = cache.entry(file.key()).unwrap().last_used;
    let start = std::time::Instant::now();
    while cache.entry(file.key()).unwrap().last_used == before {
        assert!(start.elapsed() < Duration::from_secs(20), "uses are not written down");
        file.bytes(0..1).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cache_that_is_to_stop_stores_nothing_more_when_it_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let cache = builder(&directory).max_bytes(LIMIT).when_full(WhenFull::Stop).open().unwrap();
    let (origin, file, bytes) = object(&cache, "object", 20);
    assert!(file.bytes(0..20 * EXTENT).unwrap() == bytes);
    let held = file.held();
    assert!(held.num_bytes() > LIMIT / 2 && cache.usage().charged <= LIMIT);
    assert!(file.bytes(0..20 * EXTENT).unwrap() == bytes);
    assert_eq!(file.held(), held);
    assert!(!origin.take_reads().is_empty() && cache.stats().bypasses > 0);
}

#[test]
fn what_is_kept_stays_until_it_is_released_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (origin, bytes) = {
        let cache = open(&directory);
        let (origin, file, bytes) = object(&cache, "object", 20);
        assert!(file.keep(3 * EXTENT..5 * EXTENT).unwrap());
        assert_eq!(file.kept().unwrap().iter().collect::<Vec<_>>(), [3 * EXTENT..5 * EXTENT]);
        assert_eq!(file.held().num_bytes(), 0, "nothing is fetched by that");
        (origin, bytes)
    };
    // One request after the other: what several store at once is more than there is room for.
    let cache = builder(&directory).max_bytes(LIMIT).max_in_flight(1).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    for _ in 0..2 {
        assert!(file.bytes(0..20 * EXTENT).unwrap() == bytes);
        assert!(holds(&file, 3) && holds(&file, 4));
    }
    file.release(4 * EXTENT..4 * EXTENT + 1).unwrap();
    assert_eq!(file.kept().unwrap().iter().collect::<Vec<_>>(), [3 * EXTENT..4 * EXTENT]);
    for _ in 0..4 {
        assert!(file.bytes(5 * EXTENT..20 * EXTENT).unwrap() == bytes[5 * EXTENT as usize..]);
    }
    assert!(holds(&file, 3) && !holds(&file, 4));
    assert!(file.evict(3 * EXTENT..4 * EXTENT).unwrap() > EXTENT, "who says so can have it go all the same");
    assert!(!holds(&file, 3));
    assert!(cache.usage().charged <= LIMIT);
}

#[test]
fn what_is_to_be_kept_once_it_is_stored_is_remembered_though_all_else_goes() {
    let directory = tempfile::tempdir().unwrap();
    let cache = builder(&directory).max_open_entries(0).open().unwrap();
    let (origin, file, _) = object(&cache, "object", 3);
    assert!(file.keep(extent(1)).unwrap());
    drop(file);
    let (_, file, _) = object(&cache, "other", 3);
    file.bytes(0..3 * EXTENT).unwrap();
    drop(file);
    cache.evict_to(0).unwrap();
    assert_eq!(cache.entries().len(), 1);
    let file = cache.file(origin).unwrap();
    assert_eq!(file.kept().unwrap().iter().collect::<Vec<_>>(), [extent(1)]);
    file.release(extent(1)).unwrap();
    drop(file);
    cache.evict_to(0).unwrap();
    assert!(cache.entries().is_empty());
}

#[test]
fn a_cache_full_of_what_is_kept_reads_on() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory);
    let (_, file, bytes) = object(&cache, "object", 12);
    file.keep(0..u64::MAX).unwrap();
    assert!(file.bytes(0..12 * EXTENT).unwrap() == bytes);
    let held = file.held();
    let (other_origin, other, other_bytes) = object(&cache, "other", 2);
    assert!(other.bytes(0..2 * EXTENT).unwrap() == other_bytes);
    assert!(other.bytes(0..2 * EXTENT).unwrap() == other_bytes);
    assert!(!other_origin.take_reads().is_empty());
    assert!(cache.usage().charged <= LIMIT && file.held() == held);
    drop((file, other));
    let refused = builder(&directory).max_bytes(LIMIT / 2).open().unwrap_err();
    assert!(matches!(refused, OpenError::Held { kept, .. } if kept == held.num_bytes()), "{refused}");
    assert_eq!(cache.usage().max_bytes, LIMIT, "the limit is what it was");
}

#[test]
fn a_smaller_limit_holds_when_the_cache_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory);
    let (_, file, bytes) = object(&cache, "object", 7);
    file.bytes(0..7 * EXTENT).unwrap();
    assert!(allocated(directory.path()) > LIMIT / 2);
    let smaller = builder(&directory).max_bytes(LIMIT / 2).open().unwrap();
    assert!(smaller.usage().charged <= LIMIT / 2 && allocated(directory.path()) <= LIMIT / 2);
    assert!(file.bytes(0..7 * EXTENT).unwrap() == bytes);
    assert!(cache.usage().charged <= LIMIT / 2, "it holds for all who have it open");
    let tiny = builder(&directory).max_bytes(1).open();
    assert!(matches!(tiny, Err(OpenError::Held { .. })), "a file is in use: {tiny:?}");
    drop(file);
    let tiny = builder(&directory).max_bytes(1).open().unwrap();
    let (_, file, bytes) = object(&tiny, "object", 2);
    assert!(file.bytes(0..2 * EXTENT).unwrap() == bytes, "nothing is stored, and it reads");
    assert_eq!(file.held().num_bytes(), 0);
}

#[test]
fn evicting_by_range_size_and_age() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory);
    let (_, old, _) = object(&cache, "old", 3);
    let (_, new, _) = object(&cache, "new", 2);
    old.bytes(0..3 * EXTENT).unwrap();
    let charged = cache.usage().charged;
    let freed = old.evict(100..3 * PAGE - 1).unwrap();
    assert_eq!(freed, PAGE + 64, "the one page that lies within it as a whole");
    assert_eq!((old.stats().evictions, new.stats().evictions, cache.stats().evictions), (1, 0, 1));
    assert_eq!(cache.usage().charged, charged - freed);
    assert_eq!(old.held().iter().collect::<Vec<_>>(), [0..PAGE, 2 * PAGE..3 * EXTENT]);
    assert_eq!(old.evict(0..0).unwrap() + old.evict(5 * EXTENT..9 * EXTENT).unwrap(), 0);

    std::thread::sleep(Duration::from_millis(2_100));
    new.bytes(0..2 * EXTENT).unwrap();
    assert!(cache.evict_older_than(Duration::MAX).unwrap().charged > 4 * EXTENT);
    cache.evict_older_than(Duration::from_secs(2)).unwrap();
    assert_eq!((old.held().num_bytes(), new.held().num_bytes()), (0, 2 * EXTENT));

    let usage = cache.evict_to(EXTENT + EXTENT / 2).unwrap();
    assert!(usage.charged <= EXTENT + EXTENT / 2 && new.held().num_bytes() >= EXTENT / 2, "{usage:?}");
    drop((old, new));
    cache.evict_to(0).unwrap();
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!((found.pairs, found.pages, found.charged), (0, 0, found.charged_before));
    assert!(cache.entries().is_empty());
}

#[test]
fn a_rule_says_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let rule = |read: &page_cache::Admission<'_>| read.key != "memory:refused" && read.missing.start < EXTENT;
    let cache = builder(&directory).max_bytes(LIMIT).admit(rule).open().unwrap();
    let (origin, refused, bytes) = object(&cache, "refused", 2);
    assert!(refused.bytes(10..20).unwrap() == bytes[10..20] && refused.bytes(10..20).unwrap() == bytes[10..20]);
    assert_eq!(origin.take_reads(), [10..20, 10..20], "byte for byte");
    let (_, file, bytes) = object(&cache, "admitted", 2);
    assert!(file.bytes(0..2 * EXTENT).unwrap() == bytes);
    assert_eq!(file.held().num_bytes(), 2 * EXTENT);
    file.evict(0..u64::MAX).unwrap();
    file.bytes(EXTENT..EXTENT + 1).unwrap();
    let scan = file.without_storing();
    assert!(scan.bytes(0..2 * EXTENT).unwrap() == bytes);
    assert_eq!(file.held().num_bytes(), 0);
    file.bytes(0..1).unwrap();
    assert!(scan.bytes(0..1).unwrap() == bytes[..1]);
    assert_eq!(file.held().num_bytes(), PAGE, "what is held is used");
}

/// Of objects that are smaller than an extent whole pairs go, and their heads.
#[test]
fn many_small_objects_come_and_go_within_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let cache = builder(&directory).max_bytes(2 * EXTENT).max_open_entries(4).open().unwrap();
    for number in 0..200u64 {
        let bytes = pattern(10_000, number);
        let origin = MemoryOrigin::new(&format!("object {number}"), bytes.clone());
        assert!(cache.file(origin).unwrap().bytes(0..10_000).unwrap() == bytes);
        let (usage, taken) = (cache.usage(), allocated(directory.path()));
        assert!(taken <= usage.charged && usage.charged <= 2 * EXTENT, "{number}: {taken} {usage:?}");
    }
    let entries = cache.entries();
    assert!(entries.len() > 10 && entries.len() < 100, "{}", entries.len());
    assert!(entries.iter().filter(|entry| entry.held.num_bytes() > 0).count() > 10);
    // A page each.
    assert!((100..200).contains(&cache.stats().evictions), "{:?}", cache.stats());
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found.charged, found.charged_before, "of a pair that nothing is left of nothing is left");
}

#[test]
fn an_old_version_goes_when_its_last_reader_has_gone() {
    let directory = tempfile::tempdir().unwrap();
    let cache = builder(&directory).freshness(page_cache::Freshness::Always).open().unwrap();
    let (origin, old, bytes) = object(&cache, "object", 2);
    old.bytes(0..2 * EXTENT).unwrap();
    let changed = pattern(bytes.len(), 99);
    origin.set(changed.clone(), "\"2\"");
    let new = cache.file(origin.clone()).unwrap();
    assert!(new.bytes(0..EXTENT).unwrap() == changed[..EXTENT as usize]);
    assert!(old.bytes(0..2 * EXTENT).unwrap() == bytes, "who reads it reads on");
    assert!(allocated(directory.path()) > 3 * EXTENT);
    drop(old);
    let start = std::time::Instant::now();
    while allocated(directory.path()) > 2 * EXTENT {
        assert!(start.elapsed() < Duration::from_secs(20), "the old version stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(new.held().contains(0..EXTENT) && origin.key() == new.key());
}
