//! What a hit costs the system: no system call and no allocation, which are counted; and a fill and an eviction, as few
//! as they can do with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use bytes::Bytes;
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Stat, Validators};

#[path = "it/system_calls.rs"]
mod system_calls;

use self::system_calls::{calls_between_marks, dir_if_traced, mark_begin, mark_end};

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

// SAFETY: it is the system's allocator in all but a counter, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: what the caller promises is what is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const LEN: u64 = 8 << 20;

fn byte(offset: u64) -> u8 {
    (offset / 3) as u8
}

fn open(dir: &Path) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    // Made before, so that what it costs the system to have memory for them is not counted.
    let all: Bytes = (0..LEN).map(byte).collect::<Vec<_>>().into();
    let origin = FnOrigin::new("bytes", Stat { length: LEN, validators }, move |range| {
        Ok(all.slice(range.start as usize..range.end as usize))
    });
    Cache::builder(dir).open().unwrap().file(origin).unwrap()
}

/// A file of which all is held and has been checked by this process.
fn checked(dir: &Path) -> CachedFile {
    let file = open(dir);
    let bytes = file.bytes(0..LEN).unwrap();
    assert!(bytes.iter().zip(0..).all(|(&here, offset)| here == byte(offset)));
    file
}

fn hit(file: &CachedFile, out: &mut [u8]) {
    let (hits, end) = (file.stats().hits, LEN - out.len() as u64);
    for step in 0..1_000 {
        assert_eq!(file.read_at(out, step * 1_234_567 % end).unwrap(), out.len());
    }
    assert_eq!(file.stats().hits - hits, 1_000);
}

#[test]
fn a_hit_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = checked(directory.path());
    for size in [1, 64, 4096, 65_536, 1 << 20] {
        let mut out = vec![0; size];
        hit(&file, &mut out[..1]);
        let before = ALLOCATIONS.get();
        hit(&file, &mut out);
        assert_eq!(ALLOCATIONS.get() - before, 0, "hits of {size} bytes");
    }
    let before = ALLOCATIONS.get();
    drop(file.bytes(100..5_000).unwrap());
    assert!(ALLOCATIONS.get() - before <= 2, "the result, and nothing else");
}

#[test]
fn a_hit_makes_no_system_call() {
    if let Some(dir) = dir_if_traced() {
        return hit_between_marks(&dir);
    }
    let calls = calls_between_marks("a_hit_makes_no_system_call");
    assert!(calls.is_none_or(|calls| calls.is_empty()), "system calls of 2,000 hits");
}

/// The page's lock and the section's, how long files may be, the file's length, the bytes, the length again, and both
/// locks back; and nobody is woken who does not wait.
#[test]
fn a_fill_makes_few_system_calls() {
    if let Some(dir) = dir_if_traced() {
        return fill_between_marks(&dir);
    }
    let Some(calls) = calls_between_marks("a_fill_makes_few_system_calls") else { return };
    let count = |name: &str| calls.iter().filter(|line| line.contains(&format!(" {name}("))).count();
    let [locks, writes, wakes] = ["fcntl", "pwrite64", "futex"].map(count);
    // The thread of the directory may be in a section, or leave one, at the same moment, which is once at most.
    assert!(writes == FILLS && locks.abs_diff(4 * FILLS) <= 2 && wakes <= 2, "{calls:#?}");
    // And looks at the length of the file, before and behind the write, and at how long it may be.
    assert!(calls.len() <= 8 * FILLS + 2, "{calls:#?}");
}

/// How many pages are filled between the marks, each by a read of its own.
const FILLS: usize = 10;

fn hit_between_marks(dir: &Path) {
    let file = checked(dir);
    let (mut small, mut large) = ([0; 64], vec![0; 100_000]);
    hit(&file, &mut small);
    mark_begin();
    hit(&file, &mut small);
    hit(&file, &mut large);
    mark_end();
}

fn fill_between_marks(dir: &Path) {
    let file = open(dir);
    let (page, mut out) = (file.page_size().unwrap(), [0; 100]);
    // A page at a time.
    file.advise(0..LEN, Advice::Random);
    // The first fill takes a block of the index, and maps the data.
    file.read_exact_at(&mut out, 0).unwrap();
    mark_begin();
    for number in 1..=FILLS as u64 {
        file.read_exact_at(&mut out, number * page).unwrap();
    }
    mark_end();
    assert!(file.held().contains(0..(FILLS as u64 + 1) * page));
}

/// Whoever makes room among many small objects, none of which anybody has open, looks at a few of them, by their
/// indexes alone, and deletes one.
#[test]
fn an_eviction_among_small_objects_makes_few_system_calls() {
    if let Some(dir) = dir_if_traced() {
        return evict_between_marks(&dir);
    }
    let Some(calls) = calls_between_marks("an_eviction_among_small_objects_makes_few_system_calls") else { return };
    assert!(calls.len() <= 80 * EVICTIONS, "{} calls: {calls:#?}", calls.len());
}

/// How many small objects go between the marks, each for itself.
const EVICTIONS: usize = 10;

fn evict_between_marks(dir: &Path) {
    // A limit from which on there are many extents.
    let cache = Cache::builder(dir).page_size(4096).max_bytes(64 << 20).max_open_entries(0).open().unwrap();
    for number in 0..100 {
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let stat = Stat { length: 4096, validators };
        let origin = FnOrigin::new(format!("object {number}"), stat, |_| Ok(vec![1; 4096].into()));
        cache.file(origin).unwrap().read_exact_at(&mut [0], 0).unwrap();
    }
    let evict = || {
        let charged = cache.usage().charged;
        assert!(cache.evict_to(charged - 1).unwrap().charged < charged);
    };
    // The first one lists the directory.
    evict();
    mark_begin();
    (0..EVICTIONS).for_each(|_| evict());
    mark_end();
    assert_eq!(cache.entries().len(), 99 - EVICTIONS);
}
