//! What a hit costs the system: no system call and no allocation, which are counted; and a fill, as few as it can do with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Stat, Validators};

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
    if std::env::var_os(TRACED).is_some() {
        return hit_between_marks();
    }
    let calls = calls_between_marks("a_hit_makes_no_system_call");
    assert!(calls.is_none_or(|calls| calls.is_empty()), "system calls of 2,000 hits");
}

/// The page's lock and the section's, how long files may be, the file's length, the bytes, the length again, and both
/// locks back; and nobody is woken who does not wait.
#[test]
fn a_fill_makes_few_system_calls() {
    if std::env::var_os(TRACED).is_some() {
        return fill_between_marks();
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

/// The system calls that a test of this program, started again, makes between its marks; none without strace.
fn calls_between_marks(test: &str) -> Option<Vec<String>> {
    if Command::new("strace").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("strace is not installed, so system calls are not counted here; cargo xtask ci installs it");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let traced = Command::new("strace")
        .args(["-f", "-o", log.to_str().unwrap(), "--"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads=1"])
        .env(TRACED, directory.path().join("cache"))
        .output()
        .unwrap();
    assert!(traced.status.success(), "{traced:?}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(BEGIN) && log.contains(END), "the marks are not there");
    let mut from_mark = log.lines().skip_while(|line| !line.contains(BEGIN));
    // Of the thread that reads: that of the directory wakes up now and then.
    let thread = from_mark.next().and_then(|mark| mark.split_whitespace().next()).unwrap().to_owned();
    // A call during which another thread made one stands there twice.
    let to_mark = from_mark.take_while(|line| !line.contains(END)).filter(|line| !line.contains(" resumed>"));
    Some(to_mark.filter(|line| line.split_whitespace().next() == Some(&thread)).map(str::to_owned).collect())
}

/// Set in the process that is traced: where its cache is.
const TRACED: &str = "PAGE_CACHE_TEST_TRACED";
const BEGIN: &str = "/no such file: hits begin";
const END: &str = "/no such file: hits end";

fn hit_between_marks() {
    let dir = std::env::var_os(TRACED).unwrap();
    let file = checked(Path::new(&dir));
    let (mut small, mut large) = ([0; 64], vec![0; 100_000]);
    hit(&file, &mut small);
    // Looking for a file that is not there is a system call that shows in the log.
    _ = Path::new(BEGIN).exists();
    hit(&file, &mut small);
    hit(&file, &mut large);
    _ = Path::new(END).exists();
}

fn fill_between_marks() {
    let file = open(Path::new(&std::env::var_os(TRACED).unwrap()));
    let (page, mut out) = (file.page_size().unwrap(), [0; 100]);
    // A page at a time.
    file.advise(0..LEN, Advice::Random);
    // The first fill takes a block of the index, and maps the data.
    file.read_exact_at(&mut out, 0).unwrap();
    _ = Path::new(BEGIN).exists();
    for number in 1..=FILLS as u64 {
        file.read_exact_at(&mut out, number * page).unwrap();
    }
    _ = Path::new(END).exists();
    assert!(file.held().contains(0..(FILLS as u64 + 1) * page));
}
