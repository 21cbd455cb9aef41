//! The limit and what is to be kept, where others are at work at the same moment or the system was started anew.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bound::allocated;
use super::comes_true;
use crate::cache::Cache;
use crate::cached_file::CachedFile;
use crate::directory::{Directory, Settings, WhenFull};
use crate::error::OpenError;
use crate::freshness::Freshness;
use crate::origin::{FnOrigin, Stat, Validators};
use crate::sys::failing::{FailingDisk, Operation};
use crate::sys::{Disk, LocalDisk, Lock, LockFile};

const EXTENT: u64 = 1 << 20;

/// An object of ones, however long.
fn ones(cache: &Cache, key: &str, length: u64) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let stat = Stat { length, validators };
    cache
        .file(FnOrigin::new(key, stat, |range: Range<u64>| Ok(vec![1; (range.end - range.start) as usize].into())))
        .unwrap()
}

fn open(dir: &Path, disk: &FailingDisk) -> Cache {
    Cache::builder(dir).freshness(Freshness::Immutable).max_bytes(40 * EXTENT).disk(disk.clone()).open().unwrap()
}

/// A lock on control of somebody in another process.
fn lock_of_another(dir: &Path, byte: u64, lock: Lock) -> LockFile {
    let other = LocalDisk.open_lock(&dir.join("control")).unwrap();
    assert!(other.try_lock((1 << 48) + byte..(1 << 48) + byte + 1, lock).unwrap());
    other
}

#[test]
fn one_at_a_time_changes_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Cache::builder(directory.path()).patience(Duration::from_millis(50));
    drop(builder().max_bytes(4 * EXTENT).open().unwrap());
    let other = lock_of_another(directory.path(), 3, Lock::Exclusive);
    let refused = builder().max_bytes(2 * EXTENT).open().unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert_eq!(builder().open().unwrap().usage().max_bytes, 4 * EXTENT, "who changes nothing need not wait");
    drop(other);
    assert_eq!(builder().max_bytes(2 * EXTENT).open().unwrap().usage().max_bytes, 2 * EXTENT);
}

/// What is charged is older than what is stored, as after a power cut, and somebody was stopped in a section.
#[test]
fn a_smaller_limit_is_refused_as_long_as_nothing_can_be_counted() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = open(directory.path(), &disk);
    ones(&cache, "a", 30 * EXTENT).bytes(0..30 * EXTENT).unwrap();
    drop(cache);
    disk.reboot([5, 6]);
    let control = std::fs::File::options().write(true).open(directory.path().join("control")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&control, &65_536u64.to_le_bytes(), 88).unwrap();
    let stopped = lock_of_another(directory.path(), 1, Lock::Shared);
    let patience = Duration::from_secs(2);
    let smaller =
        || Cache::builder(directory.path()).max_bytes(5 * EXTENT).patience(patience).disk(disk.clone()).open();
    let start = Instant::now();
    let refused = smaller().unwrap_err();
    assert!(matches!(refused, OpenError::NotCounted { max_bytes, .. } if max_bytes == 5 * EXTENT), "{refused}");
    assert!(start.elapsed() < 2 * patience, "it is not waited for twice");
    drop(stopped);
    assert_eq!(open(directory.path(), &disk).usage().max_bytes, 40 * EXTENT);
    let cache = smaller().unwrap();
    assert!(cache.usage().charged <= 5 * EXTENT);
    assert!(allocated(directory.path()) <= 5 * EXTENT);
}

#[test]
fn what_cannot_be_changed_since_the_system_was_started_is_an_error() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = open(directory.path(), &disk);
    let file = ones(&cache, "a", 4 * EXTENT);
    file.bytes(0..4 * EXTENT).unwrap();
    assert!(file.keep(0..4 * EXTENT).unwrap());
    drop((file, cache));
    disk.reboot([5, 6]);
    let cache = open(directory.path(), &disk);
    disk.fail(|operation, _| (operation == Operation::Punch).then(|| io::Error::from_raw_os_error(libc::EIO)));
    let file = ones(&cache, "a", 4 * EXTENT);
    for done in [file.release(0..4 * EXTENT), file.evict(0..4 * EXTENT).map(drop), file.keep(0..1).map(drop)] {
        assert_eq!(done.unwrap_err().io_kind(), io::ErrorKind::ResourceBusy);
    }
    assert_eq!(file.kept().unwrap().num_bytes(), 4 * EXTENT);
    disk.fail(|_, _| None);
    assert!(comes_true(|| file.release(0..4 * EXTENT).is_ok()), "it is never tried again");
    assert!(file.kept().unwrap().is_empty() && file.evict(0..4 * EXTENT).unwrap() > 4 * EXTENT);
}

/// Whoever evicts has looked whether it is to be kept, and has not taken it from readers yet.
#[test]
fn who_has_something_kept_waits_for_who_is_just_evicting_it() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = open(directory.path(), &disk);
    let file = ones(&cache, "a", 2 * EXTENT);
    file.bytes(0..2 * EXTENT).unwrap();
    let shared = Directory::open(directory.path(), &Settings { max_bytes: None, ..Settings::default() }).unwrap();
    let head = shared.peek_head("a").unwrap();
    let crate::directory::OpenedPair::Good(pair) = shared.open_pair(&head).unwrap() else { panic!("it is damaged") };
    let [stopped, go_on] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (has_stopped, may_go_on) = (Arc::clone(&stopped), Arc::clone(&go_on));
    // The first read of an index behind the look at its stamps is that of the words.
    disk.fail(move |operation, path| {
        if operation == Operation::Read
            && path.extension().is_some_and(|ending| ending == "index")
            && std::thread::current().name() == Some("evictor")
        {
            has_stopped.store(true, Ordering::Relaxed);
            assert!(comes_true(|| may_go_on.load(Ordering::Relaxed)));
        }
        None
    });
    std::thread::scope(|scope| {
        let evictor = std::thread::Builder::new().name("evictor".to_owned());
        let evictor = evictor.spawn_scoped(scope, || pair.evict_extent(&shared.budget().enter().unwrap(), 0).unwrap());
        let evictor = evictor.unwrap();
        assert!(comes_true(|| stopped.load(Ordering::Relaxed)));
        let keeper = scope.spawn(|| {
            assert!(file.keep(0..2 * EXTENT).unwrap());
            file.held().num_bytes()
        });
        std::thread::sleep(Duration::from_millis(200));
        assert!(!keeper.is_finished(), "what is held now goes in a moment");
        go_on.store(true, Ordering::Relaxed);
        assert!(evictor.join().unwrap() > EXTENT);
        assert_eq!(keeper.join().unwrap(), EXTENT);
    });
    assert_eq!(pair.evict_extent(&shared.budget().enter().unwrap(), 1).unwrap(), 0, "it is to be kept");
    assert_eq!(file.held().num_bytes(), EXTENT);
}

/// It is given back extent by extent.
#[test]
fn others_go_on_while_a_long_range_is_evicted() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = open(directory.path(), &disk);
    let file = ones(&cache, "a", 30 * EXTENT);
    file.bytes(0..20 * EXTENT).unwrap();
    let punches = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&punches);
    disk.fail(move |operation, _| {
        // As a medium that is slow to forget.
        if operation == Operation::Punch && std::thread::current().name() == Some("evictor") {
            counter.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    });
    std::thread::scope(|scope| {
        let evictor = std::thread::Builder::new().name("evictor".to_owned());
        let evictor = evictor.spawn_scoped(scope, || file.evict(0..u64::MAX).unwrap()).unwrap();
        while punches.load(Ordering::Relaxed) < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        assert!(!evictor.is_finished(), "it was waited for");
        file.bytes(25 * EXTENT..25 * EXTENT + 1).unwrap();
        assert!(!evictor.is_finished(), "it was waited for");
        assert_eq!(cache.stats().bypasses, 0);
        assert!(evictor.join().unwrap() > 19 * EXTENT);
    });
}

#[test]
fn a_cache_that_is_to_stop_evicts_nothing_when_it_is_counted_after_a_restart() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let open = || {
        let builder = Cache::builder(directory.path()).page_size(4096).freshness(Freshness::Immutable);
        builder.max_bytes(72 * EXTENT).when_full(WhenFull::Stop).max_open_entries(0).disk(disk.clone()).open().unwrap()
    };
    let held = |cache: &Cache| cache.entries().iter().map(|entry| entry.held.num_bytes()).sum::<u64>();
    let cache = open();
    // So many that whoever opens it does not wait for the count.
    for number in 0..510 {
        ones(&cache, &number.to_string(), 4096).bytes(0..1).unwrap();
    }
    // Less than the sixty-fourth is left that is made room for elsewhere.
    let large = ones(&cache, "large", 100 * EXTENT);
    large.bytes(0..50 * EXTENT).unwrap();
    let mut end = 50 * EXTENT;
    while cache.usage().charged < 72 * EXTENT - (800 << 10) {
        large.bytes(end..end + (128 << 10)).unwrap();
        end += 128 << 10;
    }
    drop(large);
    let before = held(&cache);
    drop(cache);
    disk.reboot([7, 8]);
    let cache = open();
    let start = Instant::now();
    // Its boot id stands in control.
    while std::fs::read(directory.path().join("control")).unwrap()[64] != 7 {
        assert!(start.elapsed() < Duration::from_secs(60), "it is never counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((held(&cache), cache.stats().evictions), (before, 0));
}
