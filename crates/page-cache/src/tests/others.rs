//! What is done to a pair while somebody else has its locks, or counts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::memory_origin::{MemoryOrigin, pattern};
use super::open;
use crate::cache::Cache;
use crate::directory::{Directory, OpenedPair, Settings};
use crate::error::{Error, MaintenanceError};
use crate::origin::Origin;
use crate::sys::failing::{FailingDisk, Operation};
use crate::sys::{Disk, DiskFile, LocalDisk, Lock};

fn path(directory: &Path, ending: &str) -> PathBuf {
    let mut paths = directory.join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
}

fn edit(path: PathBuf) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn verify_tells_what_is_held_no_more_from_what_could_not_be_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, bytes) = (FailingDisk::healthy(), pattern(20_000, 14));
    let origin = MemoryOrigin::new("a", bytes.clone());
    open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap().bytes(0..20_000).unwrap();
    for page in [1, 3] {
        edit(path(directory.path(), ".data")).write_all_at(&[0; 10], page * 4096).unwrap();
    }
    let cache = open(directory.path(), &disk).unwrap();
    let file = cache.file(origin).unwrap();
    // Somebody has one of them.
    let other = LocalDisk.open_lock(&path(directory.path(), ".index")).unwrap();
    let page = (1 << 48) + 3;
    assert!(other.try_lock(page..page + 1, Lock::Exclusive).unwrap());
    let verification = file.verify().unwrap();
    assert_eq!(verification.good, [0..4096, 8192..12_288, 16_384..20_000].into_iter().collect());
    assert_eq!(verification.damaged, [4096..8192].into_iter().collect());
    assert_eq!(verification.still_held, [12_288..16_384].into_iter().collect());
    assert_eq!(file.held(), [0..4096, 8192..20_000].into_iter().collect());
    drop(other);
    // Everything is being counted.
    let shared = Directory::open(directory.path(), &Settings::default()).unwrap();
    let counting = shared.budget().exclude(Duration::from_secs(10)).unwrap().unwrap();
    let verification = file.verify().unwrap();
    assert!(verification.damaged.is_empty());
    assert_eq!(verification.still_held, [12_288..16_384].into_iter().collect());
    drop(counting);
    let verification = file.verify().unwrap();
    assert_eq!(verification.damaged, [12_288..16_384].into_iter().collect());
    assert!(verification.still_held.is_empty());
    assert_eq!(file.held(), verification.good);
    assert!(file.bytes(0..20_000).unwrap() == bytes);
}

/// The words of a pair that is not reconciled have generations that its counter may not have seen.
#[test]
fn no_word_goes_before_the_pair_is_reconciled() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, bytes) = (FailingDisk::healthy(), pattern(20_000, 15));
    let origin = MemoryOrigin::new("a", bytes.clone());
    open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap().bytes(0..20_000).unwrap();
    edit(path(directory.path(), ".data")).write_all_at(&[0; 10], 4096).unwrap();
    edit(path(directory.path(), ".index")).write_all_at(&1u64.to_le_bytes(), 4096).unwrap();
    disk.reboot([1, 2]);
    let cache = open(directory.path(), &disk).unwrap();
    // Somebody has another page of it, so it is not reconciled.
    let other = LocalDisk.open_lock(&path(directory.path(), ".index")).unwrap();
    let page = (1 << 48) + 3;
    assert!(other.try_lock(page..page + 1, Lock::Exclusive).unwrap());
    let file = cache.file(origin).unwrap();
    let verification = file.verify().unwrap();
    assert_eq!(verification.still_held, [4096..8192].into_iter().collect());
    assert!(verification.damaged.is_empty() && file.held().contains(0..20_000));
    assert!(file.bytes(0..20_000).unwrap() == bytes);
}

/// Who counts would miss what is moved meanwhile.
#[test]
fn a_pair_is_set_aside_only_while_nobody_counts() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(20_000, 16));
    open(directory.path(), &FailingDisk::healthy()).unwrap().file(origin.clone()).unwrap();
    let data = path(directory.path(), ".data");
    edit(data.clone()).set_len(5).unwrap();
    let shared = Directory::open(directory.path(), &Settings::default()).unwrap();
    let head = shared.load_head(origin.key()).unwrap().unwrap();
    let counting = shared.budget().exclude(Duration::from_secs(10)).unwrap().unwrap();
    assert!(shared.open_pair(&head).is_err());
    assert!(data.exists());
    drop(counting);
    assert!(matches!(shared.open_pair(&head), Ok(OpenedPair::Damaged)));
    assert!(!data.exists());
}

/// What stays open is not checked again when it is opened the next time.
#[test]
fn a_look_at_what_is_held_leaves_nothing_open_that_may_not_be() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_open_entries(0).open().unwrap();
    let origin = MemoryOrigin::new("a", pattern(20_000, 17));
    cache.file(origin.clone()).unwrap().bytes(0..20_000).unwrap();
    let looks: [(&str, &dyn Fn() -> bool); 3] = [
        ("entries", &|| cache.entries().len() == 1),
        ("entry", &|| cache.entry(origin.key()).is_some()),
        ("verify", &|| cache.verify().unwrap().len() == 1),
    ];
    for (name, look) in looks {
        assert!(look(), "{name}");
        let index = LocalDisk.open_lock(&path(directory.path(), ".index")).unwrap();
        assert!(index.try_lock(0..1, Lock::Exclusive).unwrap(), "{name} leaves it live");
    }
}

#[test]
fn what_cannot_be_looked_after_is_an_error_that_names_it_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let options = Cache::builder(directory.path()).max_open_entries(0).disk(disk.clone());
    let cache = options.open().unwrap();
    cache.file(MemoryOrigin::new("sick", pattern(100_000, 19))).unwrap();
    let sick = path(directory.path(), ".index");
    let file = cache.file(MemoryOrigin::new("a", pattern(100_000, 20))).unwrap();
    file.bytes(0..50_000).unwrap();
    let told = |error: MaintenanceError, parts: &[&str]| {
        let message = io::Error::from(Error::from(error)).to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    disk.fail(move |operation, path| match operation {
        Operation::Sync => Some(io::Error::from_raw_os_error(libc::EROFS)),
        Operation::Open | Operation::OpenLock if path == sick => Some(io::Error::from_raw_os_error(libc::EIO)),
        _ => None,
    });
    told(file.keep(0..10).unwrap_err(), &["memory:a: ", "bytes 0..10 could not be kept", "writable for this user"]);
    let mut verified = cache.verify().unwrap();
    verified.sort_by(|(one, _), (other, _)| one.cmp(other));
    let [(_, good), (key, bad)]: [_; 2] = verified.try_into().unwrap();
    assert_eq!(good.unwrap().good.num_bytes(), 65_536);
    assert_eq!(key, "memory:sick");
    told(bad.unwrap_err(), &["memory:sick: ", "0..100000 could not be verified", "check the disk"]);

    disk.fail(|operation, _| (operation == Operation::ReadDir).then(|| io::Error::from_raw_os_error(libc::EMFILE)));
    let dir = directory.path().display().to_string();
    told(cache.verify().unwrap_err(), &[&dir, "verified", "ulimit"]);
    told(cache.recount(Duration::from_secs(1)).unwrap_err(), &[&dir, "counted", "ulimit"]);
    told(cache.evict_older_than(Duration::ZERO).unwrap_err(), &[&dir, "evicted from", "ulimit"]);
    told(cache.evict_to(0).unwrap_err(), &[&dir, "evicted from", "ulimit"]);
}
