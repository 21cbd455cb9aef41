//! The limit, looked at before every operation on the disk; and evictions that fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::full;
use super::memory_origin::{MemoryOrigin, pattern};
use crate::cache::Cache;
use crate::sys::FileSystemKind;
use crate::sys::failing::{FailingDisk, Operation};

const EXTENT: u64 = 1 << 20;
const LIMIT: u64 = 3 * EXTENT;
const LEN: u64 = 4 * EXTENT + 1000;

fn open(dir: &Path, disk: &FailingDisk) -> Cache {
    Cache::builder(dir).page_size(16 << 10).max_bytes(LIMIT).max_open_entries(2).disk(disk.clone()).open().unwrap()
}

/// What all files below a directory take, and the directories themselves.
fn allocated(directory: &Path) -> u64 {
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
    // While it is counted what could not be punched, nothing is stored.
    let has_room = (3..30).any(|seed| {
        let bypasses = cache.stats().bypasses;
        read_about(&cache, &objects, seed, 40);
        cache.stats().bypasses == bypasses
    });
    assert!(has_room, "there is room again");
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert!(found.allocated <= found.charged && found.charged <= found.charged_before, "{found:?}");
}

/// Nothing that it does reaches the disk from some operation on, as if it had been killed there.
#[test]
fn an_evictor_that_dies_at_any_step_leaves_no_more_than_is_charged() {
    let (mut survived, mut steps) = (0, u64::MAX);
    while survived < steps {
        let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
        let objects = objects();
        let cache = open(directory.path(), &disk);
        let file = cache.file(objects[0].0.clone()).unwrap();
        file.bytes(0..2 * EXTENT).unwrap();
        let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, is_over) = (Arc::clone(&count), Arc::clone(&over));
        disk.fail(move |operation, _| {
            let changes =
                matches!(operation, Operation::Write | Operation::Allocate | Operation::Punch | Operation::Remove);
            let dead =
                changes && !is_over.load(Ordering::Relaxed) && counter.fetch_add(1, Ordering::Relaxed) >= survived;
            dead.then(full)
        });
        // It fails, or not: what it says is of no matter to who is killed.
        _ = cache.evict_to(EXTENT / 2);
        steps = steps.min(count.load(Ordering::Relaxed)).max(survived);
        over.store(true, Ordering::Relaxed);
        drop((file, cache));
        let taken = allocated(directory.path());
        let charged = charged(directory.path()).unwrap();
        assert!(taken <= charged, "{survived} operations: {taken} taken, {charged} charged");
        let cache = open(directory.path(), &disk);
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        assert!(found.allocated <= found.charged && found.charged <= found.charged_before, "{survived}: {found:?}");
        read_about(&cache, &objects, survived, 5);
        survived += 1;
        if survived >= count.load(Ordering::Relaxed) && survived > 1 {
            break;
        }
    }
    assert!(survived >= 3, "only {survived} operations were seen");
}
