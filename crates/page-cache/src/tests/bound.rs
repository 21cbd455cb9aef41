//! The limit, looked at before every operation on the disk; and evictions that fail.

use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::memory_origin::{MemoryOrigin, pattern};
use super::{child, full};
use crate::cache::Cache;
use crate::cached_file::CachedFile;
use crate::directory::{Directory, Settings, WhenFull};
use crate::origin::{FnOrigin, Stat, Validators};
use crate::sys::FileSystemKind;
use crate::sys::failing::{FailingDisk, Operation};

const EXTENT: u64 = 1 << 20;
const LIMIT: u64 = 3 * EXTENT;
const LEN: u64 = 4 * EXTENT + 1000;

fn open(dir: &Path, disk: &FailingDisk) -> Cache {
    Cache::builder(dir).page_size(16 << 10).max_bytes(LIMIT).max_open_entries(2).disk(disk.clone()).open().unwrap()
}

/// What all files below a directory take, and the directories themselves.
pub(super) fn allocated(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let blocks = |path: &Path| path.symlink_metadata().map_or(0, |metadata| metadata.blocks() * 512);
    let entries = directory.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    blocks(directory) + entries.map(|path| if path.is_dir() { allocated(&path) } else { blocks(&path) }).sum::<u64>()
}

/// What is charged, as every process sees it.
fn charged(directory: &Path) -> Option<u64> {
    let control = std::fs::read(directory.join("control")).ok()?;
    Some(u64::from_le_bytes(control.get(88..96)?.try_into().ok()?))
}

/// Reads pieces of three objects, here and there, and compares every byte.
fn read_about(cache: &Cache, objects: &[(MemoryOrigin, Vec<u8>)], seed: u64, reads: u64) {
    let mut state = seed;
    let mut random = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    for _ in 0..reads {
        let (origin, bytes) = &objects[random(objects.len() as u64) as usize];
        let file = cache.file(origin.clone()).unwrap();
        let (start, len) = (random(LEN), random(300_000));
        let range = start as usize..(start + len).min(LEN) as usize;
        assert!(file.bytes(start..start + len).unwrap() == bytes[range], "bytes {start} and {len} more");
    }
}

fn objects() -> Vec<(MemoryOrigin, Vec<u8>)> {
    ["a", "b", "c"]
        .map(|key| (key, pattern(LEN as usize, key.len() as u64)))
        .map(|(key, bytes)| (MemoryOrigin::new(key, bytes.clone()), bytes))
        .into()
}

#[test]
fn before_every_operation_no_more_is_taken_than_charged_and_no_more_charged_than_allowed() {
    for kind in [FileSystemKind::Local, FileSystemKind::Memory] {
        let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
        disk.pretend(kind);
        let cache = open(directory.path(), &disk);
        let (seen, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let look = {
            let (path, seen, wrong) = (PathBuf::from(directory.path()), Arc::clone(&seen), Arc::clone(&wrong));
            move |operation, _: &Path| {
                if matches!(operation, Operation::Write | Operation::Allocate | Operation::Punch | Operation::Create) {
                    // First what is charged: nobody takes anything without having charged it, and whoever wants to take
                    // something now waits behind this look.
                    let charged = charged(&path).unwrap_or_default();
                    let taken = allocated(&path);
                    seen.fetch_add(1, Ordering::Relaxed);
                    if taken > charged || charged > LIMIT {
                        wrong.fetch_add(1, Ordering::Relaxed);
                        eprintln!("{operation:?}: {taken} taken, {charged} charged");
                    }
                }
                None
            }
        };
        disk.fail(look);
        let objects = objects();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let (cache, objects) = (&cache, &objects);
                scope.spawn(move || read_about(cache, objects, seed, 60));
            }
        });
        disk.fail(|_, _| None);
        assert!(seen.load(Ordering::Relaxed) > 300, "{seen:?}");
        assert_eq!(wrong.load(Ordering::Relaxed), 0);
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        assert!(found.allocated <= found.charged && found.charged <= found.charged_before, "{found:?}");
    }
}

#[test]
fn what_cannot_be_punched_is_charged_until_it_can() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let cache = open(directory.path(), &disk);
    let objects = objects();
    read_about(&cache, &objects, 1, 40);
    disk.fail(|operation, _| (operation == Operation::Punch).then(full));
    read_about(&cache, &objects, 2, 40);
    assert!(allocated(directory.path()) <= cache.usage().charged && cache.usage().charged <= LIMIT);
    assert!(cache.stats().bypasses > 0);
    disk.fail(|_, _| None);
    // While it is counted what could not be punched, nothing is stored; and after one that fails no other punch is
    // tried for a while.
    let (start, mut seed) = (Instant::now(), 3);
    let mut has_room = || {
        seed += 1;
        let bypasses = cache.stats().bypasses;
        read_about(&cache, &objects, seed, 40);
        cache.stats().bypasses == bypasses
    };
    while !has_room() {
        assert!(start.elapsed() < Duration::from_secs(100), "there is no room again");
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert!(found.allocated <= found.charged && found.charged <= found.charged_before, "{found:?}");
}

/// It ends before its first, second, ... change of what is on the disk: of extents that go, of a small object that goes
/// as a whole, and of pairs of which nothing is left.
#[test]
fn an_evictor_that_dies_at_any_step_leaves_no_more_than_is_charged() {
    if child::is_child() {
        return evict_until_the_end();
    }
    let objects = objects();
    let mut survived = 0;
    loop {
        let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
        let cache = open(directory.path(), &disk);
        cache.file(objects[0].0.clone()).unwrap().bytes(0..2 * EXTENT).unwrap();
        let small = MemoryOrigin::new("small", pattern(20_000, 1));
        cache.file(small).unwrap().bytes(0..20_000).unwrap();
        drop(cache);
        let mut evictor = child::command(an_evictor_that_dies_at_any_step_leaves_no_more_than_is_charged);
        let status = evictor.env("DIR", directory.path()).env("SURVIVES", survived.to_string()).status().unwrap();
        let (taken, charged) = (allocated(directory.path()), charged(directory.path()).unwrap());
        assert!(taken <= charged && charged <= LIMIT, "{survived} changes: {taken} taken, {charged} charged");
        let cache = open(directory.path(), &disk);
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        assert!(found.allocated <= found.charged && found.charged <= found.charged_before, "{survived}: {found:?}");
        read_about(&cache, &objects, survived, 3);
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{survived}: {status}");
        survived += 1;
    }
    // Two extents, each with a punch; and of two pairs the head, what both files take, and both files.
    assert!(survived >= 2 + 2 * 5, "only {survived} changes were seen");
}

fn evict_until_the_end() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (disk, survives) = (FailingDisk::healthy(), variable("SURVIVES").parse::<u64>().unwrap());
    let cache = open(Path::new(&variable("DIR")), &disk);
    let mut count = 0;
    disk.fail(move |operation, _| {
        use Operation::{Allocate, Punch, Remove, Rename, Write};
        if matches!(operation, Allocate | Punch | Remove | Rename | Write) {
            if count == survives {
                std::process::abort();
            }
            count += 1;
        }
        None
    });
    cache.evict_to(cache.usage().charged - 1).unwrap();
    cache.evict_older_than(Duration::ZERO).unwrap();
    assert!(cache.entries().is_empty());
}

/// An object without a pair is not stored for as long as its handle lives.
#[test]
fn who_opens_an_object_outlasts_an_attempt_to_count() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path(), &FailingDisk::healthy());
    let shared = Directory::open(directory.path(), &Settings::default()).unwrap();
    let (begin, begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _counting = shared.budget().exclude(Duration::from_secs(10)).unwrap().unwrap();
            begin.send(()).unwrap();
            // Who counts waits for others for half a second, and counts then.
            std::thread::sleep(Duration::from_millis(700));
        });
        begun.recv().unwrap();
        let file = cache.file(MemoryOrigin::new("object", pattern(1000, 1))).unwrap();
        assert!(file.page_size().is_some(), "it is not stored");
    });
}

/// A huge object of which a page here and there is stored, each with a block of words of its own; then so many of them
/// go.
fn hollow_out(cache: &Cache, gone: u64) -> CachedFile {
    const STORED: u64 = 160;
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let stat = Stat { length: STORED * BLOCK_OF_WORDS, validators };
    let origin =
        FnOrigin::new("huge", stat, |range: Range<u64>| Ok(vec![1; (range.end - range.start) as usize].into()));
    let file = cache.file(origin).unwrap();
    for page in 0..STORED {
        file.bytes(page * BLOCK_OF_WORDS..page * BLOCK_OF_WORDS + 1).unwrap();
    }
    let goal = cache.usage().charged - gone * (4096 + 64);
    assert!(cache.evict_to(goal).unwrap().charged <= goal);
    file
}

/// So many bytes have their words in one block.
const BLOCK_OF_WORDS: u64 = 512 * 4096;

fn open_for_huge(dir: &Path, disk: &FailingDisk) -> (Cache, Arc<Directory>) {
    let cache = Cache::builder(dir).page_size(4096).max_bytes(64 << 20).disk(disk.clone()).open().unwrap();
    (cache, Directory::open(dir, &Settings::default()).unwrap())
}

#[test]
fn blocks_of_an_index_that_cannot_go_now_go_later() {
    let directory = tempfile::tempdir().unwrap();
    let (cache, shared) = open_for_huge(directory.path(), &FailingDisk::healthy());
    let stored = {
        // Somebody stores something, and whoever would give blocks back has to go without.
        let _section = shared.budget().enter().unwrap();
        let _file = hollow_out(&cache, 120);
        shared.stock(WhenFull::Evict).give_back_blocks();
        cache.usage().charged
    };
    let start = Instant::now();
    while cache.usage().charged + 100 * 4096 > stored {
        assert!(start.elapsed() < Duration::from_secs(20), "{stored} bytes are charged, and then {:?}", cache.usage());
        shared.stock(WhenFull::Evict).give_back_blocks();
    }
    assert!(allocated(directory.path()) <= cache.usage().charged);
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found.charged, found.charged_before);
}

/// Whoever stores something is kept out for about as long as one of them takes, and not for all.
#[test]
fn others_are_let_in_between_blocks_of_an_index_that_go() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let (cache, shared) = open_for_huge(directory.path(), &disk);
    let punches = Arc::new(AtomicU64::new(0));
    let _file = {
        // Until then none goes.
        let _section = shared.budget().enter().unwrap();
        let (counter, file) = (Arc::clone(&punches), hollow_out(&cache, 100));
        disk.fail(move |operation, path: &Path| {
            if operation == Operation::Punch && path.extension().is_some_and(|ending| ending == "index") {
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
            None
        });
        file
    };
    let (start, mut entered_at) = (Instant::now(), std::collections::BTreeSet::new());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The thread of the directory may be at it as well.
            while punches.load(Ordering::Relaxed) < 5 && start.elapsed() < Duration::from_secs(20) {
                shared.stock(WhenFull::Evict).give_back_blocks();
                std::thread::sleep(Duration::from_millis(10));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            if shared.budget().enter().is_some() {
                entered_at.insert(punches.load(Ordering::Relaxed));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    let punches = punches.load(Ordering::Relaxed);
    assert!(
        punches >= 5 && entered_at.len() as u64 * 3 >= punches,
        "{punches} went, and others came at {entered_at:?}"
    );
}

/// What is given back and not uncharged yet is found by whoever counts next.
#[test]
fn who_dies_while_blocks_of_an_index_go_leaves_word_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let (cache, shared) = open_for_huge(directory.path(), &disk);
    let (seen, unsaid) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let look = {
        let (control, seen, unsaid) = (directory.path().join("control"), Arc::clone(&seen), Arc::clone(&unsaid));
        move |operation, path: &Path| {
            if operation == Operation::Punch && path.extension().is_some_and(|ending| ending == "index") {
                seen.fetch_add(1, Ordering::Relaxed);
                let wanted = std::fs::read(&control).ok().and_then(|control| Some(*control.get(96)?));
                unsaid.fetch_add(u64::from(wanted != Some(1)), Ordering::Relaxed);
            }
            None
        }
    };
    let _file = {
        let _section = shared.budget().enter().unwrap();
        let file = hollow_out(&cache, 120);
        disk.fail(look);
        file
    };
    // The thread of the directory may be at it already.
    let start = Instant::now();
    while seen.load(Ordering::Relaxed) == 0 || shared.budget().is_recount_due() {
        shared.stock(WhenFull::Evict).give_back_blocks();
        assert!(start.elapsed() < Duration::from_secs(20), "a recount stays wanted, though all of it was uncharged");
    }
    assert_eq!(unsaid.load(Ordering::Relaxed), 0);
}

/// What is found on the disk is charged, whatever the limit.
#[test]
fn what_is_charged_beyond_the_limit_goes_though_nobody_stores_anything() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path(), &FailingDisk::healthy());
    cache.file(objects()[0].0.clone()).unwrap().bytes(0..5 * EXTENT / 2).unwrap();
    let shared = Directory::open(directory.path(), &Settings::default()).unwrap();
    let rest = LIMIT - cache.usage().charged;
    shared.budget().enter().unwrap().charge(rest + EXTENT / 2);
    assert!(cache.usage().charged > LIMIT);
    let start = Instant::now();
    while cache.usage().charged > LIMIT {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", cache.usage());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_others_are_working_on_goes_later_and_something_else_now() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_bytes(9 * EXTENT).open().unwrap();
    let object = |key| {
        let bytes = pattern(12 * EXTENT as usize, 1);
        (cache.file(MemoryOrigin::new(key, bytes.clone())).unwrap(), bytes)
    };
    let (file, bytes) = object("a");
    assert!(file.bytes(0..8 * EXTENT).unwrap() == bytes[..8 * EXTENT as usize]);
    // As another evictor has what can best be done without, for as long as it takes to give it back.
    let (_, pair) = file.opened().pair().unwrap();
    let stalest = pair.pages_of_extent(0).start..pair.pages_of_extent(3).end;
    let _claim = pair.page_locks().try_claim_all(stalest).unwrap().unwrap();
    let (other, other_bytes) = object("b");
    for start in (0..12 * EXTENT).step_by(100_000) {
        let end = (start + 100_000).min(12 * EXTENT);
        assert!(other.bytes(start..end).unwrap() == other_bytes[start as usize..end as usize]);
    }
    assert_eq!(cache.stats().bypasses, 0);
    assert!(file.held().contains(0..4 * EXTENT) && cache.usage().charged <= 9 * EXTENT);
}

#[test]
fn behind_blocks_of_the_index_with_nothing_in_them_everything_is_found_equally_often() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(4096).open().unwrap();
    // In a block there are the words of so many bytes.
    let (block, blocks) = (512 * 4096, 64);
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let zeros = |range: std::ops::Range<u64>| Ok(vec![0; (range.end - range.start) as usize].into());
    let origin = FnOrigin::new("a", Stat { length: blocks * block, validators }, zeros);
    let file = cache.file(origin).unwrap();
    for number in 0..blocks {
        file.bytes(number * block..number * block + 1).unwrap();
    }
    file.evict(0..(blocks - 4) * block).unwrap();
    let (_, pair) = file.opened().pair().unwrap();
    let mut counts = std::collections::BTreeMap::<u64, u32>::new();
    for random in 0..4_000 {
        let (extent, _) = pair.index().any_extent(random).unwrap().unwrap();
        *counts.entry(extent).or_default() += 1;
    }
    assert!(counts.len() == 4 && counts.values().all(|count| (800..1_200).contains(count)), "{counts:?}");
    file.evict(0..blocks * block).unwrap();
    assert!(pair.index().any_extent(1).unwrap().is_none());
}

/// It may take seconds, where there are many objects.
#[test]
fn who_stores_something_does_not_list_the_directory_again() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let builder = || Cache::builder(directory.path()).page_size(4096).max_open_entries(0).disk(disk.clone());
    let store = |cache: &Cache, number: u64| {
        let bytes = pattern(4096, number);
        let file = cache.file(MemoryOrigin::new(&format!("object {number}"), bytes.clone())).unwrap();
        assert!(file.bytes(0..4096).unwrap() == bytes);
    };
    let cache = builder().open().unwrap();
    (0..200).for_each(|number| store(&cache, number));
    let limit = cache.usage().charged;
    drop(cache);
    let cache = builder().max_bytes(limit).open().unwrap();
    // The first one finds nothing listed at all.
    (200..210).for_each(|number| store(&cache, number));
    let (this, listings) = (std::thread::current().id(), [0; 2].map(|_| Arc::new(AtomicU64::new(0))));
    let [mine, others] = listings.clone();
    disk.fail(move |operation, _| {
        let listing = u64::from(operation == Operation::ReadDir);
        let counter = if std::thread::current().id() == this { &mine } else { &others };
        counter.fetch_add(listing, Ordering::Relaxed);
        None
    });
    let start = Instant::now();
    for number in 210.. {
        store(&cache, number);
        // What is not known to be there cannot be chosen, so the thread has to come in time.
        std::thread::sleep(Duration::from_millis(1));
        if listings[1].load(Ordering::Relaxed) >= 3 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{listings:?}");
    }
    assert!(listings[0].load(Ordering::Relaxed) <= 1, "{listings:?}, where the thread comes too late once");
}

/// However many objects there are, none of them is looked for again each time that one goes.
#[test]
fn the_directory_is_listed_now_and_then_and_not_for_each_object_that_goes() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
    let builder = || Cache::builder(directory.path()).page_size(4096).max_open_entries(0).disk(disk.clone());
    let cache = builder().open().unwrap();
    let store = |cache: &Cache, number: u64| {
        let bytes = pattern(4096, number);
        let file = cache.file(MemoryOrigin::new(&format!("object {number}"), bytes.clone())).unwrap();
        assert!(file.bytes(0..4096).unwrap() == bytes);
    };
    (0..300).for_each(|number| store(&cache, number));
    let limit = cache.usage().charged;
    drop(cache);
    let cache = builder().max_bytes(limit).open().unwrap();
    let listings = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&listings);
    disk.fail(move |operation, _| {
        count.fetch_add(u64::from(operation == Operation::ReadDir), Ordering::Relaxed);
        None
    });
    (300..450).for_each(|number| store(&cache, number));
    let listed = listings.swap(0, Ordering::Relaxed);
    // Half of what there was is other now, and a sixteenth of it comes from one listing to the next.
    assert!((1..=20).contains(&listed), "{listed} times");
    for _ in 0..10 {
        let charged = cache.usage().charged;
        assert!(cache.evict_to(charged - 1).unwrap().charged < charged);
    }
    assert!(listings.load(Ordering::Relaxed) <= 2, "{listings:?}");
    disk.fail(|_, _| None);
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found.charged, found.charged_before);
}
