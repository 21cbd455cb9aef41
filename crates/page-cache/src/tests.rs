//! Reads over a disk that fails, through the seam: right bytes, or the origin's own error, and nothing else.

#[cfg(feature = "object_store")]
mod answers;
mod bound;
mod charges;
#[path = "../tests/it/child.rs"]
mod child;
mod eviction;
mod limits;
#[path = "../tests/it/memory_origin.rs"]
#[expect(dead_code, reason = "it is the origin of all tests, and these use some of it")]
mod memory_origin;
mod others;
mod reservation;
mod restart;

use std::io;
use std::path::Path;
use std::sync::Arc;

use self::memory_origin::{MemoryOrigin, pattern};
use crate::cache::Cache;
use crate::error::OpenError;
use crate::freshness::Freshness;
use crate::origin::Origin;
use crate::sys::FileSystemKind;
use crate::sys::failing::{FailingDisk, Operation};

fn open(dir: &Path, disk: &FailingDisk) -> Result<Cache, OpenError> {
    Cache::builder(dir).page_size(4096).disk(disk.clone()).open()
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

const ALL: [Operation; 15] = [
    Operation::CreateDir,
    Operation::ReadDir,
    Operation::Open,
    Operation::Create,
    Operation::Rename,
    Operation::Remove,
    Operation::Read,
    Operation::Write,
    Operation::SetLen,
    Operation::Allocate,
    Operation::Punch,
    Operation::Map,
    Operation::OpenLock,
    Operation::Link,
    Operation::Size,
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
    let writes = Arc::new(crate::sync::Mutex::<Vec<&str>>::default());
    let seen = Arc::clone(&writes);
    disk.fail(move |operation, path| {
        if operation == Operation::Write {
            seen.lock().push(if path.to_string_lossy().contains(".data") { "data" } else { "index" });
        }
        None
    });
    file.bytes(0..10_000).unwrap();
    // The object's last byte comes alone.
    assert_eq!(*writes.lock(), ["data"; 2], "words are stored, not written");
}

/// The write makes the file longer again, with zeros in place of pages that processes have checked.
#[test]
fn data_that_is_cut_short_just_before_a_write_gives_no_zeros() {
    for wanted in [20_000..30_000, 90_000..100_000] {
        let directory = tempfile::tempdir().unwrap();
        let disk = FailingDisk::healthy();
        let bytes = pattern(100_000, 8);
        let origin = MemoryOrigin::new("a", bytes.clone());
        let [file, other] = [&disk, &FailingDisk::healthy()]
            .map(|disk| open(directory.path(), disk).unwrap().file(origin.clone()).unwrap());
        for reader in [&file, &other] {
            assert!(reader.bytes(0..20_000).unwrap() == bytes[..20_000]);
        }
        let mut is_cut = false;
        disk.fail(move |operation, path| {
            if operation == Operation::Write && path.extension().is_some_and(|ending| ending == "data") && !is_cut {
                is_cut = true;
                std::fs::File::options().write(true).open(path).unwrap().set_len(8192).unwrap();
            }
            None
        });
        assert!(file.bytes(wanted.clone()).unwrap() == bytes[wanted.start as usize..wanted.end as usize]);
        for reader in [&file, &other] {
            assert!(reader.bytes(0..100_000).unwrap() == bytes);
        }
    }
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
    let always = Cache::builder(directory.path()).page_size(4096).freshness(Freshness::Always).disk(disk.clone());
    let always = always.open().unwrap();
    always.file(origin.clone()).unwrap();
    disk.fail(|_, _| None);
    assert_eq!(cache.file(origin.clone()).unwrap().held().num_bytes(), 10_000);
    assert_eq!(directory.path().join("heads").read_dir().unwrap().count(), 1, "the half was removed");
}

#[test]
fn a_directory_on_a_remote_file_system_is_refused_unless_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    disk.pretend(FileSystemKind::Remote("NFS"));
    let error = open(directory.path(), &disk).unwrap_err();
    assert!(matches!(error, OpenError::RemoteFileSystem { kind: "NFS", .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("local disk") && message.contains("allow_remote_file_system"), "{message}");
    let allowed = Cache::builder(directory.path()).page_size(4096).disk(disk.clone()).allow_remote_file_system(true);
    let bytes = pattern(50_000, 9);
    let file = allowed.open().unwrap().file(MemoryOrigin::new("a", bytes.clone())).unwrap();
    for _ in 0..2 {
        assert!(file.bytes(0..50_000).unwrap() == bytes);
    }
    assert_eq!(file.stats().origin_bytes, 50_000);
}

#[test]
fn a_directory_where_files_have_no_holes_is_refused_and_nothing_allows_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    disk.pretend(FileSystemKind::WithoutHoles("vfat"));
    let error = Cache::builder(directory.path()).disk(disk).allow_remote_file_system(true).open().unwrap_err();
    assert!(matches!(error, OpenError::NoHoles { kind: "vfat", .. }), "{error}");
    assert!(error.to_string().contains("ext4"), "{error}");
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "nothing was made there");
}

/// Where even a look at a hole of a mapped file takes a block, everything is read by system calls.
#[test]
fn in_memory_file_systems_are_read_without_mappings() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    disk.pretend(FileSystemKind::Memory);
    let bytes = pattern(50_000, 10);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let file = open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap();
    for _ in 0..3 {
        assert!(file.bytes(0..50_000).unwrap() == bytes);
    }
    assert_eq!((origin.take_reads(), file.stats().hits), (vec![0..50_000], 2));
}

/// After a start of the system a pair is made to agree with itself before anything is stored in it.
#[test]
fn after_a_restart_words_data_and_budget_agree_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let bytes = pattern(1_000_000, 11);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let cache = open(directory.path(), &disk).unwrap();
    cache.file(origin.clone()).unwrap().bytes(0..900_000).unwrap();
    drop(cache);
    let paths: Vec<_> = directory.path().join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let find = |ending| paths.iter().find(|path| path.to_string_lossy().ends_with(ending)).unwrap();
    let edit =
        |path: &Path, edit: &dyn Fn(&std::fs::File)| edit(&std::fs::File::options().write(true).open(path).unwrap());
    use std::os::unix::fs::FileExt;
    let punch = |file: &std::fs::File, range: std::ops::Range<u64>| crate::sys::DiskFile::punch(file, range).unwrap();
    // Data that was lost under words, and words that were lost over data; a word that says CHARGED; an old counter.
    edit(find(".data"), &|file| punch(file, 40_960..81_920));
    edit(find(".index"), &|file| {
        let table = 16_384;
        file.write_all_at(&[0; 80], table + 50 * 8).unwrap();
        file.write_all_at(&[0, 0, 0, 0x40, 0, 0, 0, 0], table + 100 * 8).unwrap();
        file.write_all_at(&1u64.to_le_bytes(), 4096).unwrap();
    });
    origin.take_reads();
    disk.reboot([1, 2]);
    let cache = open(directory.path(), &disk).unwrap();
    let file = cache.file(origin.clone()).unwrap();
    let held = file.held();
    assert!(!held.contains(40_960..40_961) && !held.contains(204_800..204_801) && !held.contains(409_600..409_601));
    assert_eq!(held.num_bytes(), 901_120 - 40_960 - 10 * 4096 - 4096);
    let found = cache.recount(std::time::Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found.charged, found.charged_before, "reconciling left the budget right");
    assert_eq!(found.pages, held.num_bytes() / 4096);
    // 4096 of the index's header, of its counters, of its map, and of the one block each of stamps and words.
    assert_eq!(found.allocated, held.num_bytes() + 5 * 4096, "no block that nobody vouches for");
    assert!(file.bytes(0..1_000_000).unwrap() == bytes);
    let fetched: u64 = origin.take_reads().iter().map(|read| read.end - read.start).sum();
    assert_eq!(fetched, 1_000_000 - held.num_bytes());
    // The counter was raised above every word: none was given out twice.
    let index = std::fs::read(find(".index")).unwrap();
    let words: Vec<u64> = index[16_384..]
        .chunks(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
        .filter(|&word| word != 0)
        .collect();
    let generations: std::collections::HashSet<u64> = words.iter().map(|word| word & 0x3FFF_FFFF).collect();
    assert_eq!((words.len(), generations.len()), (245, 245));
}

/// Neither can be opened, and neither will get better: a socket, and a file that its owner may not read.
#[test]
fn what_stands_in_the_place_of_a_file_and_cannot_be_opened_is_set_aside() {
    for ending in [".data", ".index", ""] {
        for unreadable in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let disk = FailingDisk::healthy();
            let (origin, bytes) = (MemoryOrigin::new("a", pattern(50_000, 12)), pattern(50_000, 12));
            open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap().bytes(0..50_000).unwrap();
            let below = directory.path().join(if ending.is_empty() { "heads" } else { "pairs" });
            let mut paths = below.read_dir().unwrap().map(|entry| entry.unwrap().path());
            let path = paths.find(|path| path.to_string_lossy().ends_with(ending)).unwrap();
            if unreadable {
                // Root may read everything.
                disk.fail({
                    let path = path.clone();
                    move |operation, other| {
                        let opens = matches!(operation, Operation::Open | Operation::OpenLock);
                        (opens && other == path).then(|| io::Error::from_raw_os_error(libc::EACCES))
                    }
                });
            } else {
                std::fs::remove_file(&path).unwrap();
                // Its name is longer than a socket's path may be.
                let short = directory.path().join("socket");
                drop(std::os::unix::net::UnixListener::bind(&short).unwrap());
                std::fs::rename(short, &path).unwrap();
            }
            let cache = open(directory.path(), &disk).unwrap();
            let file = cache.file(origin.clone()).unwrap();
            assert!(file.bytes(0..50_000).unwrap() == bytes);
            assert_eq!(file.held().num_bytes(), 50_000, "{ending} {unreadable}: it is stored again");
            drop(file);
            disk.fail(|_, _| None);
            cache.recount(std::time::Duration::from_secs(10)).unwrap().unwrap();
            assert_eq!(directory.path().join("aside").read_dir().unwrap().count(), 0);
            assert_eq!(directory.path().join("pairs").read_dir().unwrap().count(), 2, "{ending} {unreadable}");
        }
    }
}

/// Looks until it is so, and tells whether it ever was.
fn comes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while !is_so() {
        if start.elapsed() > std::time::Duration::from_secs(20) {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    true
}

/// A directory that cannot be counted when it is opened is counted once it can be, though nobody opens it again.
#[test]
fn a_recount_that_failed_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let (origin, bytes) = (MemoryOrigin::new("a", pattern(50_000, 13)), pattern(50_000, 13));
    open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap().bytes(0..10_000).unwrap();
    disk.reboot([3, 4]);
    let tries = Arc::new(crate::sync::Mutex::new(0));
    disk.fail({
        let tries = Arc::clone(&tries);
        move |operation, path| {
            let lists = operation == Operation::ReadDir && path.ends_with("pairs");
            *tries.lock() += u32::from(lists);
            lists.then(|| io::Error::from_raw_os_error(libc::EMFILE))
        }
    });
    let cache = open(directory.path(), &disk).unwrap();
    let read = || {
        let file = cache.file(origin.clone()).unwrap();
        assert!(file.bytes(0..50_000).unwrap() == bytes);
        file.held().num_bytes()
    };
    assert!(comes_true(|| read() < 50_000 && *tries.lock() >= 3), "it is tried again, and with pauses");
    disk.fail(|_, _| None);
    assert!(comes_true(|| read() == 50_000), "it was counted, and is stored");
}

#[test]
fn a_recount_that_somebody_asks_for_is_done_by_who_is_at_work() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let origin = MemoryOrigin::new("a", pattern(50_000, 14));
    let cache = open(directory.path(), &disk).unwrap();
    cache.file(origin.clone()).unwrap().bytes(0..10_000).unwrap();
    let right = cache.usage().charged;
    let control = std::fs::File::options().write(true).open(directory.path().join("control")).unwrap();
    use std::os::unix::fs::FileExt;
    control.write_all_at(&(right + 1_000_000).to_le_bytes(), 88).unwrap();
    control.write_all_at(&1u64.to_le_bytes(), 96).unwrap();
    assert_eq!(cache.usage().charged, right + 1_000_000);
    let charged_after_opening = || {
        drop(cache.file(origin.clone()).unwrap());
        cache.usage().charged
    };
    assert!(comes_true(|| charged_after_opening() == right));
}
