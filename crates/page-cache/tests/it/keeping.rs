//! What is to be kept: it stays, costs nobody else anything that it need not, and can be found and let go of.

use std::time::Duration;

use crate::accounting::{allocated, check_budget};
use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CachedFile, FnOrigin, Freshness, OpenError, Stat, Validators, WhenFull};

const EXTENT: u64 = 1 << 20;

fn object(cache: &Cache, key: &str, extents: u64) -> CachedFile {
    cache.file(MemoryOrigin::new(key, pattern((extents * EXTENT) as usize, extents))).unwrap()
}

/// An object of ones, however long.
fn ones(cache: &Cache, key: &str, length: u64) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let stat = Stat { length, validators };
    cache.file(FnOrigin::new(key, stat, |range| Ok(vec![1; (range.end - range.start) as usize].into()))).unwrap()
}

fn kept(file: &CachedFile) -> u64 {
    file.kept().unwrap().num_bytes()
}

#[test]
fn what_is_to_be_kept_once_it_is_stored_outlasts_who_needs_room() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_bytes(8 * EXTENT).max_open_entries(0).open().unwrap();
    assert!(object(&cache, "to be kept", 4).keep(0..2 * EXTENT).unwrap());
    let other = ones(&cache, "other", 40 * EXTENT);
    for number in 0..40 {
        other.bytes(number * EXTENT..(number + 1) * EXTENT).unwrap();
    }
    assert_eq!(kept(&object(&cache, "to be kept", 4)), 2 * EXTENT);
}

/// Nobody has read anything of it, and all the same it is no old object.
#[test]
fn what_is_to_be_kept_once_it_is_stored_is_used_when_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_open_entries(0).open().unwrap();
    assert!(object(&cache, "to be kept", 4).keep(0..2 * EXTENT).unwrap());
    assert!(cache.entry("memory:to be kept").unwrap().last_used.is_some());
    cache.evict_older_than(Duration::from_secs(3600)).unwrap();
    assert_eq!(kept(&object(&cache, "to be kept", 4)), 2 * EXTENT);
    cache.evict_older_than(Duration::ZERO).unwrap();
    assert_eq!(kept(&object(&cache, "to be kept", 4)), 2 * EXTENT, "not that it would go then");
}

#[test]
fn what_cannot_be_kept_changes_nothing() {
    for when_full in [WhenFull::Stop, WhenFull::Evict] {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).max_bytes(4 * EXTENT).when_full(when_full).open().unwrap();
        let other = ones(&cache, "other", 3 * EXTENT);
        other.bytes(0..3 * EXTENT).unwrap();
        // To take it down would take twice the limit.
        let huge = ones(&cache, "huge", 1 << 42);
        let charged = cache.usage().charged;
        assert!(!huge.keep(0..u64::MAX).unwrap());
        assert_eq!((kept(&huge), other.held().num_bytes()), (0, 3 * EXTENT), "{when_full:?}");
        assert_eq!(cache.usage().charged, charged, "{when_full:?}");
        assert!(huge.keep(0..10).unwrap());
        assert_eq!(kept(&huge), EXTENT);
    }
}

/// A cache that is to stop evicts nothing for what is to be kept either.
#[test]
fn keeping_evicts_only_where_storing_does() {
    for (when_full, fits) in [(WhenFull::Stop, false), (WhenFull::Evict, true)] {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).max_bytes(4 * EXTENT).when_full(when_full).open().unwrap();
        let long = ones(&cache, "long", 1 << 40);
        let other = ones(&cache, "other", 4 * EXTENT);
        other.bytes(0..4 * EXTENT).unwrap();
        let held = other.held();
        // Two hundred and fifty-six blocks of 4 KiB.
        assert_eq!(long.keep(0..512 << 30).unwrap(), fits);
        assert_eq!(kept(&long), if fits { 512 << 30 } else { 0 });
        assert_eq!(other.held() == held, !fits);
        assert!(allocated(directory.path()) <= cache.usage().charged && cache.usage().charged <= 4 * EXTENT);
        check_budget(&cache);
    }
}

/// While pages are being stored nothing of them can go, and for a moment it is not tried again then.
#[test]
fn room_to_keep_something_is_searched_for_though_none_was_found_a_moment_ago() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_bytes(4 * EXTENT).open().unwrap();
    let long = ones(&cache, "long", 1 << 40);
    for round in 0..20 {
        let other = ones(&cache, "other", 4 * EXTENT);
        other.bytes(0..4 * EXTENT).unwrap();
        let range = (round << 33)..(round << 33) + 1;
        assert!(long.keep(range).unwrap(), "{round}");
        other.evict(0..4 * EXTENT).unwrap();
    }
}

#[test]
fn a_limit_that_is_refused_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_bytes(32 * EXTENT).open().unwrap();
    let [kept, other] = ["kept", "other"].map(|key| object(&cache, key, 10));
    assert!(kept.keep(0..10 * EXTENT).unwrap());
    kept.bytes(0..10 * EXTENT).unwrap();
    other.bytes(0..10 * EXTENT).unwrap();
    let refused = Cache::builder(directory.path()).max_bytes(5 * EXTENT).open().unwrap_err();
    assert!(matches!(refused, OpenError::Held { kept, .. } if kept == 10 * EXTENT), "{refused}");
    assert_eq!((other.held().num_bytes(), cache.usage().max_bytes), (10 * EXTENT, 32 * EXTENT));
    // It says how much, and these say which.
    let entries = cache.entries();
    let held_up: Vec<_> = entries.iter().filter(|entry| !entry.kept.is_empty()).collect();
    assert_eq!(held_up.len(), 1);
    assert_eq!((held_up[0].key.as_str(), held_up[0].kept.num_bytes()), ("memory:kept", 10 * EXTENT));
    assert!(held_up[0].charged > 10 * EXTENT);
    let charged: u64 = entries.iter().map(|entry| entry.charged).sum();
    assert_eq!(charged + cache.usage().fixed, cache.usage().charged);
    assert!(cache.release("memory:kept").unwrap());
    let smaller = Cache::builder(directory.path()).max_bytes(5 * EXTENT).open().unwrap();
    assert!(smaller.usage().charged <= 5 * EXTENT);
}

/// By its key, without an origin, as who operates a cache does it.
#[test]
fn an_object_is_released_evicted_and_removed_by_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).freshness(Freshness::Immutable).open().unwrap();
    let empty = cache.usage().charged;
    let file = object(&cache, "a", 3);
    assert!(file.keep(0..EXTENT).unwrap());
    file.bytes(0..3 * EXTENT).unwrap();
    let key = file.key().to_owned();
    assert!(cache.release(&key).unwrap());
    assert_eq!((kept(&file), file.held().num_bytes()), (0, 3 * EXTENT));
    assert!(file.keep(0..EXTENT).unwrap());
    assert!(cache.evict(&key).unwrap() > 3 * EXTENT);
    assert_eq!((kept(&file), file.held().num_bytes()), (EXTENT, 0));
    file.bytes(0..EXTENT).unwrap();
    assert!(!cache.remove(&key).unwrap(), "it is open");
    assert_eq!((kept(&file), file.held().num_bytes()), (0, 0));
    file.bytes(0..EXTENT).unwrap();
    drop(file);
    assert!(cache.remove(&key).unwrap());
    assert_eq!((cache.entry(&key), cache.usage().charged), (None, empty));
    assert_eq!(
        (cache.remove(&key).unwrap(), cache.release(&key).unwrap(), cache.evict(&key).unwrap()),
        (true, false, 0)
    );
    // One whose files are gone is forgotten as well.
    object(&cache, "a", 3).bytes(0..EXTENT).unwrap();
    drop(cache);
    for pair in directory.path().join("pairs").read_dir().unwrap() {
        std::fs::remove_file(pair.unwrap().path()).unwrap();
    }
    let cache = Cache::builder(directory.path()).open().unwrap();
    assert!(cache.entry(&key).is_some());
    assert!(cache.remove(&key).unwrap());
    assert_eq!(cache.entry(&key), None);
}

/// What is to be kept is a matter of a version.
#[test]
fn a_new_version_has_nothing_that_is_to_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).freshness(Freshness::Always).open().unwrap();
    let origin = MemoryOrigin::new("a", pattern(2 * EXTENT as usize, 1));
    let file = cache.file(origin.clone()).unwrap();
    assert!(file.keep(0..EXTENT).unwrap());
    drop(file);
    origin.set(pattern(2 * EXTENT as usize, 2), "\"2\"");
    assert_eq!(kept(&cache.file(origin).unwrap()), 0);
}
