//! Evictions in whose way something is: disks that do not punch or read, fillers that keep pace, what is to be kept,
//! what is too large; and how much goes at a time.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::comes_true;
use crate::CacheBuilder;
use crate::cache::Cache;
use crate::cached_file::CachedFile;
use crate::directory::{Directory, Settings, WhenFull};
use crate::error::OpenError;
use crate::origin::{FnOrigin, Stat, Validators};
use crate::sys::failing::{FailingDisk, Operation};
use crate::sys::{Disk, FileSystemKind, LocalDisk, Lock};

const EXTENT: u64 = 1 << 20;
const PAGE: u64 = 4096;

fn builder(dir: &Path, disk: &FailingDisk) -> CacheBuilder {
    Cache::builder(dir).page_size(PAGE).disk(disk.clone())
}

/// An object of so many bytes that are all one.
fn ones(cache: &Cache, key: &str, length: u64) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let read = |range: Range<u64>| Ok(vec![1; (range.end - range.start) as usize].into());
    cache.file(FnOrigin::new(key.to_owned(), Stat { length, validators }, read)).unwrap()
}

/// Stores one page of each of so many extents.
fn store_scattered(file: &CachedFile, extents: Range<u64>) {
    extents.for_each(|extent| _ = file.bytes(extent * EXTENT..extent * EXTENT + 1).unwrap());
}

fn shared(dir: &Path) -> Arc<Directory> {
    Directory::open(dir, &Settings::default()).unwrap()
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

/// As fillers who take so many bytes as soon as a page is given back.
fn take_when_punched(disk: &FailingDisk, shared: &Arc<Directory>, bytes: u64, pause: Duration) -> Arc<AtomicU64> {
    let punches = Arc::new(AtomicU64::new(0));
    let (counter, shared) = (Arc::clone(&punches), Arc::downgrade(shared));
    disk.fail(move |operation, path| {
        if operation == Operation::Punch && path.extension().is_some_and(|ending| ending == "data") {
            counter.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(pause);
            let shared = shared.upgrade()?;
            shared.budget().control().update_used(|used| used.checked_add(bytes));
        }
        None
    });
    punches
}

#[test]
fn who_evicts_to_a_size_ends_though_others_fill_as_fast() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).max_bytes(32 * EXTENT).open().unwrap();
    let file = ones(&cache, "a", 1 << 40);
    store_scattered(&file, 0..400);
    let shared = shared(directory.path());
    // More than the blocks of the index come to that are given back meanwhile.
    let punches = take_when_punched(&disk, &shared, 3 * PAGE, Duration::ZERO);
    let goal = cache.usage().charged - 50 * (PAGE + 64);
    cache.evict_to(goal).unwrap();
    disk.fail(|_, _| None);
    let gone = 400 - file.held().num_bytes() / PAGE;
    assert!((50..200).contains(&gone), "{gone} pages went for 50, {punches:?}");
}

/// What else its thread has to do is done meanwhile.
#[test]
fn room_is_made_ahead_of_need_for_a_moment_at_a_time() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let limit = 64 * EXTENT;
    let cache = builder(directory.path(), &disk).max_bytes(limit).open().unwrap();
    let file = ones(&cache, "a", 1 << 40);
    store_scattered(&file, 0..400);
    let shared = shared(directory.path());
    let punches = take_when_punched(&disk, &shared, PAGE + 64, Duration::from_millis(5));
    shared.budget().control().update_used(|_| Some(limit - 1000));
    let start = Instant::now();
    // The thread of the directory makes room as well, and one at a time does.
    let at_once = loop {
        let before = punches.load(Ordering::Relaxed);
        shared.stock(WhenFull::Evict).evict_ahead();
        let at_once = punches.load(Ordering::Relaxed) - before;
        if at_once > 0 || start.elapsed() > Duration::from_secs(20) {
            break at_once;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    disk.fail(|_, _| None);
    assert!((1..100).contains(&at_once), "{at_once} of 400 at once");
}

#[test]
fn one_process_makes_room_ahead_of_need_at_a_time_and_then_enough_of_it() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let limit = 64 * EXTENT;
    let cache = Cache::builder(directory.path()).page_size(64 << 10).max_bytes(limit).disk(disk).open().unwrap();
    // As another process that is at it.
    let other = LocalDisk.open_lock(&directory.path().join("control")).unwrap();
    let evictor = (1 << 48) + 2..(1 << 48) + 3;
    assert!(other.try_lock(evictor.clone(), Lock::Exclusive).unwrap());
    let (file, page) = (ones(&cache, "a", 1 << 40), 64 << 10);
    // Backwards, so that nothing is read ahead.
    let mut offset = 128 * EXTENT;
    let mut store = || {
        offset -= page;
        file.bytes(offset..offset + 1).unwrap();
    };
    while cache.usage().charged + 2 * page <= limit {
        store();
    }
    let shared = shared(directory.path());
    assert!(!shared.budget().control().try_lock_evictor().unwrap() && shared.budget().is_short());
    let held = file.held();
    shared.stock(WhenFull::Evict).evict_ahead();
    assert_eq!(file.held(), held);
    other.unlock(evictor);
    // Whoever stores something next finds that there is little left, and has it made by the thread.
    store();
    let enough = limit - limit / 32;
    assert!(comes_true(|| cache.usage().charged <= enough), "{:?}", cache.usage());
    assert!(cache.usage().charged > enough - 4 * EXTENT, "{:?}", cache.usage());
}

#[test]
fn a_disk_that_does_not_punch_costs_no_more_than_what_was_tried() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).page_size(64 << 10).max_bytes(10 * EXTENT).open().unwrap();
    let (old, new) = (ones(&cache, "old", 9 * EXTENT), ones(&cache, "new", 9 * EXTENT));
    old.bytes(0..9 * EXTENT).unwrap();
    let punches = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&punches);
    disk.fail(move |operation, _| {
        (operation == Operation::Punch).then(|| {
            counter.fetch_add(1, Ordering::Relaxed);
            io_error()
        })
    });
    for page in 0..9 * 16 {
        new.bytes(page * (64 << 10)..page * (64 << 10) + 1).unwrap();
    }
    // A second or so has passed.
    assert!((1..20).contains(&punches.load(Ordering::Relaxed)), "{punches:?}");
    assert!(old.held().num_bytes() >= 8 * EXTENT, "{} bytes are left, {punches:?}", old.held().num_bytes());
    assert!(cache.stats().bypasses > 50);
    assert!(cache.evict_to(EXTENT).is_err() || cache.usage().charged > EXTENT);
    assert!(old.held().num_bytes() >= 6 * EXTENT, "who says so costs no more");
    disk.fail(|_, _| None);
    // It is tried again after a pause.
    let has_room = comes_true(|| {
        let bypasses = cache.stats().bypasses;
        new.evict(0..u64::MAX).unwrap();
        new.bytes(0..4 * EXTENT).unwrap();
        cache.stats().bypasses == bypasses
    });
    assert!(has_room, "{:?}", cache.usage());
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found.charged, found.charged_before);
}

#[test]
fn a_file_system_that_cannot_punch_is_refused() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    disk.fail(|operation, _| (operation == Operation::Punch).then(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
    let refused = builder(directory.path(), &disk).open();
    assert!(matches!(refused, Err(OpenError::NoHoles { .. })), "{refused:?}");
}

#[test]
fn who_evicts_what_is_old_waits_once_for_those_who_count_and_says_so() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).open().unwrap();
    (0..5).for_each(|number| _ = ones(&cache, &format!("object {number}"), PAGE).bytes(0..1).unwrap());
    let shared = shared(directory.path());
    let counting = shared.budget().exclude(Duration::from_secs(10)).unwrap().unwrap();
    let start = Instant::now();
    let refused = cache.evict_older_than(Duration::ZERO).unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(2_500), "{refused} after {:?}", start.elapsed());
    drop(counting);
    cache.evict_older_than(Duration::ZERO).unwrap();
    assert_eq!(cache.entries().len(), 0);
}

/// The files of a pair, of which there is one by now.
fn only_pair(dir: &Path) -> Vec<PathBuf> {
    dir.join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_pair_that_cannot_be_read_is_in_nobodys_way() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let open = |limit| builder(directory.path(), &disk).max_open_entries(0).max_bytes(limit).open();
    let cache = open(8 * EXTENT).unwrap();
    // Nearly all that can be chosen from.
    ones(&cache, "bad", 7 * EXTENT).bytes(0..7 * EXTENT).unwrap();
    let bad = only_pair(directory.path());
    let bad_takes = cache.usage().charged;
    for number in 0..8 {
        ones(&cache, &format!("good {number}"), 40_000).bytes(0..40_000).unwrap();
    }
    let openings = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&openings);
    disk.fail(move |operation, path| {
        (operation == Operation::Open && bad.iter().any(|bad| bad == path)).then(|| {
            counter.fetch_add(1, Ordering::Relaxed);
            io_error()
        })
    });
    // Of larger pages, so that the index takes none of the room.
    let wide = builder(directory.path(), &disk).page_size(64 << 10).open().unwrap();
    let new = ones(&wide, "new", 1 << 30);
    store_scattered(&new, 0..100);
    assert_eq!(wide.stats().bypasses, 0);
    // Some each time that the directory is listed anew, and not sixteen for each page.
    assert!((1..500).contains(&openings.load(Ordering::Relaxed)), "{openings:?}");
    let left = || cache.entries().iter().filter(|entry| entry.key.starts_with("good")).count();
    ones(&cache, "good 9", 40_000).bytes(0..40_000).unwrap();
    assert!(left() > 0);
    drop(new);
    cache.evict_older_than(Duration::ZERO).unwrap_err();
    assert_eq!(left(), 0, "all else has gone");
    assert!(open(bad_takes + EXTENT / 4).is_ok(), "what a limit has to do with it can go");
}

#[test]
fn who_evicts_without_descriptors_closes_what_nobody_uses() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).max_open_entries(20).max_bytes(4 * EXTENT).open().unwrap();
    let new = ones(&cache, "new", 1 << 30);
    for number in 0..60 {
        ones(&cache, &format!("object {number}"), 50_000).bytes(0..50_000).unwrap();
    }
    let dir = directory.path().canonicalize().unwrap();
    let open = move || {
        let links =
            Path::new("/proc/self/fd").read_dir().unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        links.filter(|link| link.starts_with(&dir)).count()
    };
    let most = open();
    disk.fail(move |operation, _| {
        let is_open = matches!(operation, Operation::Open | Operation::OpenLock);
        (is_open && open() >= most).then(|| io::Error::from_raw_os_error(libc::EMFILE))
    });
    let before = cache.stats().bypasses;
    store_scattered(&new, 0..700);
    assert_eq!(cache.stats().bypasses, before, "{:?}", cache.usage());
}

#[test]
fn what_may_go_is_found_among_much_that_is_kept() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).open().unwrap();
    let (kept, other) = (ones(&cache, "kept", 1 << 30), ones(&cache, "other", 1 << 30));
    assert!(kept.keep(0..400 * EXTENT).unwrap());
    store_scattered(&kept, 0..400);
    store_scattered(&other, 0..4);
    let limit = cache.usage().charged;
    let _limited = builder(directory.path(), &disk).max_bytes(limit).open().unwrap();
    let before = cache.stats().bypasses;
    // Two extents share a block of the index.
    for _ in 0..40 {
        store_scattered(&other, 4..5);
        store_scattered(&other, 0..4);
    }
    let bypasses = cache.stats().bypasses - before;
    assert!(bypasses <= 20, "{bypasses} of 200 were not stored");
    assert_eq!(kept.held().num_bytes(), 400 * PAGE);
}

#[test]
fn who_finds_that_nothing_can_go_does_not_look_for_it_each_time() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let open = || builder(directory.path(), &disk).max_open_entries(1);
    let cache = open().open().unwrap();
    for number in 0..30 {
        let file = ones(&cache, &format!("kept {number}"), 50_000);
        assert!(file.keep(0..50_000).unwrap());
        file.bytes(0..50_000).unwrap();
    }
    let other = ones(&cache, "other", 1 << 30);
    store_scattered(&other, 0..1);
    assert!(other.keep(0..EXTENT).unwrap());
    let _limited = open().max_bytes(cache.usage().charged).open().unwrap();
    let operations = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&operations);
    disk.fail(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        None
    });
    let before = cache.stats().bypasses;
    (0..400).for_each(|page| _ = other.bytes((2 + page) * PAGE..(2 + page) * PAGE + 1).unwrap());
    assert_eq!(cache.stats().bypasses - before, 400);
    let operations = operations.load(Ordering::Relaxed);
    assert!(operations < 400 * 20, "{operations} operations for 400 reads");
}

#[test]
fn who_finds_that_others_work_on_all_that_can_go_does_not_look_again_at_once() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).open().unwrap();
    let (file, other) = (ones(&cache, "a", 8 * EXTENT), ones(&cache, "other", 1 << 30));
    file.bytes(0..8 * EXTENT).unwrap();
    store_scattered(&other, 0..1);
    assert!(other.keep(0..EXTENT).unwrap());
    let _limited = builder(directory.path(), &disk).max_bytes(cache.usage().charged).open().unwrap();
    let (_, pair) = file.opened().pair().unwrap();
    let _claim = pair.page_locks().try_claim_all(0..8 * EXTENT / PAGE).unwrap().unwrap();
    let operations = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&operations);
    disk.fail(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        None
    });
    (0..200).for_each(|page| _ = other.bytes((2 + page) * PAGE..(2 + page) * PAGE + 1).unwrap());
    let operations = operations.load(Ordering::Relaxed);
    assert!(operations < 200 * 30, "{operations} operations for 200 reads");
}

#[test]
fn nothing_goes_for_a_page_that_cannot_fit() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let limit = 4 * EXTENT + (100 << 10);
    let small = builder(directory.path(), &disk).max_bytes(limit).open().unwrap();
    let big = Cache::builder(directory.path()).page_size(4 * EXTENT).disk(disk.clone()).open().unwrap();
    let (big, file) = (ones(&big, "big", 40 * EXTENT), ones(&small, "small", 3 * EXTENT));
    file.bytes(0..3 * EXTENT).unwrap();
    for page in 0..3 {
        big.bytes(page * 4 * EXTENT..page * 4 * EXTENT + 1).unwrap();
        assert_eq!((file.held().num_bytes(), big.held().num_bytes()), (3 * EXTENT, 0));
    }
}

/// Among them the parts of objects that nobody has open, which only who tries finds out.
#[test]
fn what_was_found_not_to_fit_is_not_tried_again_at_once() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let limit = 4 * EXTENT + (200 << 10);
    let small = builder(directory.path(), &disk).max_bytes(limit).max_open_entries(0).open().unwrap();
    let kept = ones(&small, "kept", EXTENT);
    assert!(kept.keep(0..EXTENT).unwrap());
    kept.bytes(0..EXTENT / 2).unwrap();
    drop(kept);
    let big = Cache::builder(directory.path()).page_size(4 * EXTENT).disk(disk.clone()).open().unwrap();
    let (big, file) = (ones(&big, "big", 40 * EXTENT), ones(&small, "small", 2 * EXTENT));
    let mut lost = 0;
    for page in 0..4 {
        file.bytes(0..2 * EXTENT).unwrap();
        let before = file.held().num_bytes();
        big.bytes(page * 4 * EXTENT..page * 4 * EXTENT + 1).unwrap();
        lost += u64::from(file.held().num_bytes() < before);
    }
    assert!(lost <= 1, "{lost} times");
}

#[test]
fn many_small_extents_make_room_for_one_large_page() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let small = builder(directory.path(), &disk).open().unwrap();
    let file = ones(&small, "small", 1 << 40);
    store_scattered(&file, 0..1300);
    let limit = small.usage().charged + (64 << 10);
    let big =
        Cache::builder(directory.path()).page_size(4 * EXTENT).max_bytes(limit).disk(disk.clone()).open().unwrap();
    let big = ones(&big, "big", 40 * EXTENT);
    big.bytes(0..1).unwrap();
    assert_eq!(big.held().num_bytes(), 4 * EXTENT);
    assert!(small.usage().charged <= limit);
}

/// What is said to be empty is not charged, and nothing else.
#[test]
fn an_eviction_that_breaks_off_in_the_index_charges_what_it_leaves() {
    for failing in [1, 2, 20] {
        let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
        disk.pretend(FileSystemKind::Memory);
        let cache = builder(directory.path(), &disk).open().unwrap();
        let file = ones(&cache, "a", EXTENT);
        file.bytes(0..EXTENT).unwrap();
        let mut reads = None;
        disk.fail(move |operation, path| {
            let is_index = path.extension().is_some_and(|ending| ending == "index");
            match operation {
                Operation::Punch if !is_index => reads = Some(0),
                Operation::Read if is_index => reads = reads.map(|reads: u64| reads + 1),
                _ => {}
            }
            (reads == Some(failing)).then(io_error)
        });
        let before = cache.usage().charged;
        file.evict(0..EXTENT).unwrap_err();
        disk.fail(|_, _| None);
        let (_, pair) = file.opened().pair().unwrap();
        let words = pair.index().load_run(&(0..EXTENT / PAGE)).unwrap();
        let emptied = words.iter().filter(|word| word.is_empty()).count() as u64;
        assert_eq!(before - cache.usage().charged, emptied * (PAGE + 64), "{failing}");
        assert!((1..EXTENT / PAGE).contains(&emptied) || failing < 20, "{emptied}");
        // And somebody looks at what is left soon.
        assert!(comes_true(|| cache.usage().charged < before - EXTENT), "{:?}", cache.usage());
    }
}

#[test]
fn no_punch_is_longer_than_who_reads_behind_it_can_wait() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = Cache::builder(directory.path()).page_size(4 * EXTENT).disk(disk.clone()).open().unwrap();
    let file = ones(&cache, "a", 8 * EXTENT);
    file.bytes(0..8 * EXTENT).unwrap();
    disk.longest_punch();
    assert!(file.evict(0..8 * EXTENT).unwrap() > 8 * EXTENT);
    assert_eq!(disk.longest_punch(), EXTENT);
}

#[test]
fn uses_before_it_went_count_for_less_when_it_is_stored_anew() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).max_bytes(64 * EXTENT).open().unwrap();
    let (file, other) = (ones(&cache, "a", 2 * EXTENT), ones(&cache, "other", 1 << 30));
    let pages = [0..PAGE, EXTENT..EXTENT + PAGE];
    pages.clone().into_iter().for_each(|page| _ = file.bytes(page).unwrap());
    // So much is filled that the next use is another one.
    other.bytes(0..5 * EXTENT).unwrap();
    file.evict(0..EXTENT).unwrap();
    file.bytes(pages[0].clone()).unwrap();
    // Of the other extent something stays.
    file.bytes(EXTENT + PAGE..EXTENT + 2 * PAGE).unwrap();
    other.bytes(20 * EXTENT..25 * EXTENT).unwrap();
    file.bytes(EXTENT + 5 * PAGE..EXTENT + 6 * PAGE).unwrap();
    let (directory, pair) = file.opened().pair().unwrap();
    let [anew, held] = [0, 1].map(|extent| pair.stamp(extent).unwrap().staleness(directory.budget().now()));
    // Half a life is 2,048 periods, and a quarter of a use 659.
    assert!((-900..-400).contains(&anew), "{anew}");
    assert!(held < -1_500, "{held}");
}

#[test]
fn what_was_just_read_is_not_old_though_nobody_has_written_that_down_yet() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = builder(directory.path(), &disk).open().unwrap();
    let file = ones(&cache, "a", EXTENT);
    file.bytes(0..EXTENT).unwrap();
    let (_, pair) = file.opened().pair().unwrap();
    for _ in 0..3 {
        pair.index().set_last_used(1_000_000).unwrap();
        file.bytes(0..1).unwrap();
        cache.evict_older_than(Duration::from_secs(3600)).unwrap();
        assert_eq!(file.held().num_bytes(), EXTENT);
    }
}
