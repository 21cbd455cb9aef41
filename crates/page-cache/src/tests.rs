//! Reads over a disk that fails, through the seam: right bytes, or the origin's own error, and nothing else.

#[path = "../tests/it/memory_origin.rs"]
#[expect(dead_code, reason = "it is the origin of all tests, and these use some of it")]
mod memory_origin;

use std::io;
use std::path::Path;
use std::sync::Arc;

use self::memory_origin::{MemoryOrigin, pattern};
use crate::cache::Cache;
use crate::directory::Directory;
use crate::error::OpenError;
use crate::freshness::Freshness;
use crate::origin::Origin;
use crate::sys::failing::{FailingDisk, Operation};

fn open(dir: &Path, disk: &FailingDisk) -> Result<Cache, OpenError> {
    Ok(Cache::over(Directory::open_on(dir, Arc::new(disk.clone()))?, 4096, Freshness::default()))
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

const ALL: [Operation; 9] = [
    Operation::CreateDir,
    Operation::ReadDir,
    Operation::Open,
    Operation::Create,
    Operation::Rename,
    Operation::Remove,
    Operation::Read,
    Operation::Write,
    Operation::SetLen,
];

#[test]
fn an_open_cache_is_never_why_a_read_fails() {
    for broken in ALL {
        for ending in [".data", ".index", ""] {
            let directory = tempfile::tempdir().unwrap();
            let disk = FailingDisk::healthy();
            let bytes = pattern(100_000, 1);
            let origin = MemoryOrigin::new("a", bytes.clone());
            let cache = open(directory.path(), &disk).unwrap();
            let held = cache.file(origin.clone()).unwrap();
            held.bytes(0..20_000).unwrap();

            disk.fail(move |operation, path| {
                (operation == broken && path.to_string_lossy().contains(ending)).then(full)
            });
            assert!(held.bytes(0..100_000).unwrap() == bytes, "{broken:?} of *{ending}");
            assert!(cache.file(origin.clone()).unwrap().bytes(10..99_000).unwrap() == bytes[10..99_000]);
            let other = MemoryOrigin::new("b", bytes.clone());
            assert!(cache.file(other).unwrap().bytes(0..100_000).unwrap() == bytes, "{broken:?} of *{ending}");
            drop((held, cache));

            // The disk is well again: nothing that it did in between is taken for the file's bytes.
            disk.fail(|_, _| None);
            let cache = open(directory.path(), &disk).unwrap();
            assert!(cache.file(origin).unwrap().bytes(0..100_000).unwrap() == bytes, "{broken:?} of *{ending}");
        }
    }
}

/// The n-th operation of a whole session fails, and every one behind it; for every n.
#[test]
fn a_disk_that_dies_at_any_moment_costs_no_byte() {
    let bytes = pattern(30_000, 2);
    let mut died = true;
    let mut n = 0;
    while died {
        let directory = tempfile::tempdir().unwrap();
        let disk = FailingDisk::healthy();
        let origin = MemoryOrigin::new("a", bytes.clone());
        let cache = open(directory.path(), &disk).unwrap();
        let (count, flag) = (Arc::new(std::sync::atomic::AtomicUsize::new(0)), n);
        let counter = Arc::clone(&count);
        disk.fail(move |_, _| {
            let before = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            (before >= flag).then(|| io::Error::from(io::ErrorKind::Other))
        });
        for range in [5_000..9_000, 0..30_000, 0..100] {
            let file = cache.file(origin.clone()).unwrap();
            assert!(file.bytes(range.clone()).unwrap() == bytes[range.start as usize..range.end as usize], "{n}");
        }
        died = count.load(std::sync::atomic::Ordering::SeqCst) > n;
        drop(cache);
        disk.fail(|_, _| None);
        let cache = open(directory.path(), &disk).unwrap();
        assert!(cache.file(origin).unwrap().bytes(0..30_000).unwrap() == bytes, "{n}");
        n += 1;
    }
    assert!(n > 10, "only {n} operations were seen");
}

#[test]
fn a_directory_in_which_nothing_can_be_done_is_refused_at_once() {
    for broken in [Operation::CreateDir, Operation::ReadDir, Operation::Create, Operation::Write, Operation::Rename] {
        let directory = tempfile::tempdir().unwrap();
        let disk = FailingDisk::healthy();
        disk.fail(move |operation, _| (operation == broken).then(full));
        let error = open(directory.path(), &disk).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{broken:?}: {error}");
        disk.fail(|_, _| None);
        open(directory.path(), &disk).unwrap();
    }
}

#[test]
fn a_head_that_cannot_be_written_costs_a_request_and_no_page() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let bytes = pattern(10_000, 3);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = open(directory.path(), &disk).unwrap();
    disk.fail(|operation, path| {
        (operation == Operation::Create && path.parent().is_some_and(|dir| dir.ends_with("heads"))).then(full)
    });
    let file = cache.file(origin.clone()).unwrap();
    file.bytes(0..10_000).unwrap();
    assert_eq!(file.bytes(0..10_000).unwrap(), bytes);
    assert_eq!(origin.take_reads(), [0..10_000], "the pair serves for as long as it is open");
    assert_eq!(cache.entry(origin.key()), None);
}

#[test]
fn a_changed_object_can_be_opened_again_though_nothing_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let origin = MemoryOrigin::new("a", pattern(50_000, 4));
    let cache = open(directory.path(), &disk).unwrap();
    let old = cache.file(origin.clone()).unwrap();
    old.bytes(0..10).unwrap();
    origin.set(pattern(60_000, 5), "\"2\"");
    disk.fail(|operation, _| matches!(operation, Operation::Create | Operation::Write).then(full));
    assert!(old.bytes(0..50_000).is_err());
    for _ in 0..2 {
        assert!(cache.file(origin.clone()).unwrap().bytes(0..60_000).unwrap() == pattern(60_000, 5));
    }
    // The head still names the old pair, so that must still be there.
    assert_eq!(old.bytes(0..10).unwrap(), pattern(50_000, 4)[..10]);
    assert_eq!(directory.path().join("pairs").read_dir().unwrap().count(), 2);
}

#[test]
fn a_head_that_cannot_be_read_for_a_moment_costs_nothing_that_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let bytes = pattern(50_000, 6);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = open(directory.path(), &disk).unwrap();
    cache.file(origin.clone()).unwrap().bytes(0..50_000).unwrap();
    disk.fail(|operation, path| {
        let head = path.parent().is_some_and(|dir| dir.ends_with("heads"));
        (head && operation == Operation::Open).then(|| io::Error::from_raw_os_error(24))
    });
    assert!(cache.file(origin.clone()).unwrap().bytes(0..50_000).unwrap() == bytes);
    assert_eq!(cache.entry(origin.key()), None);
    disk.fail(|_, _| None);
    assert_eq!(cache.file(origin.clone()).unwrap().held().num_bytes(), 50_000);
}

/// The order in which a fill reaches the disk: data, counter, words. A process that dies in between must leave
/// nothing that vouches for what is not there.
#[test]
fn a_page_is_written_before_the_word_that_vouches_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let cache = open(directory.path(), &disk).unwrap();
    let file = cache.file(MemoryOrigin::new("a", pattern(10_000, 7))).unwrap();
    let writes = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = Arc::clone(&writes);
    disk.fail(move |operation, path| {
        if operation == Operation::Write {
            seen.lock().push(if path.to_string_lossy().contains(".data") { "data" } else { "index" });
        }
        None
    });
    file.bytes(0..10_000).unwrap();
    assert_eq!(*writes.lock(), ["data", "index", "index"]);
}

#[test]
fn a_head_is_replaced_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let bytes = pattern(10_000, 8);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = open(directory.path(), &disk).unwrap();
    cache.file(origin.clone()).unwrap().bytes(0..10_000).unwrap();
    // Half of the new head is written, and then the disk is full.
    disk.fail(|operation, path| {
        let head = path.parent().is_some_and(|dir| dir.ends_with("heads"));
        (head && operation == Operation::Write).then(full)
    });
    let always =
        Cache::over(Directory::open_on(directory.path(), Arc::new(disk.clone())).unwrap(), 4096, Freshness::Always);
    always.file(origin.clone()).unwrap();
    disk.fail(|_, _| None);
    assert_eq!(cache.file(origin.clone()).unwrap().held().num_bytes(), 10_000);
    assert_eq!(directory.path().join("heads").read_dir().unwrap().count(), 1, "the half was removed");
}
