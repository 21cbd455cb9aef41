//! What is counted and not timed: bytes that are fetched, maps, allocations, system calls, memory and disk.
//!
//! The counts are exact, but for memory that the allocator and the system round; tests of the crates assert the same.
//! Each is a figure of the report, beside what nobody can do with less of.

#![expect(clippy::unwrap_used, reason = "a count that cannot be made is none")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, Origin, Stat, Validators};
use svf_benches::{
    BLOCK, Order, Random, SEED, STRIDE, block_offsets, is_quick, is_wanted, pattern, random_reads, record,
};
use svf_core::BlockMap;
use window_mman::MapManager;

/// The system's allocator, which counts what is allocated, and how often this thread asks.
struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);
thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

// SAFETY: it is the system's allocator in all but two counters, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: what the caller promises is what is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Records a count under the name that was asked for.
fn count(id: &str, unit: &str, of: impl FnOnce() -> f64) {
    if is_wanted(id) {
        record(id, of(), unit);
    }
}

fn main() {
    if let Some(directory) = std::env::var_os(READER) {
        return fetch_by_threads(Path::new(&directory));
    }
    if let Some(times) = std::env::var_os(TRACED) {
        return hit_so_often(times.to_str().unwrap().parse().unwrap());
    }
    in_memory();
    windows();
    scattered();
    one_cold_file();
    long_entry();
    full();
    hits();
}

/// What a million blocks take beyond their bytes, and what a read of one allocates.
fn in_memory() {
    let blocks = if is_quick() { 100_000 } else { 1_000_000 };
    let filled = |file: &[u8]| {
        let mut map = BlockMap::new();
        for offset in block_offsets(blocks, STRIDE, Order::Shuffled { seed: SEED }) {
            map.write(offset, &file[offset as usize..][..BLOCK as usize]).unwrap();
        }
        map
    };
    let file = pattern(blocks * STRIDE as usize, SEED);
    // The allocator keeps more than it was asked for, and what was freed before is none of it.
    count("svf-core/resident-beyond-the-data/ours/64", "B", || {
        let before = resident();
        let map = filled(&file);
        resident().saturating_sub(before + map.num_bytes()) as f64 / blocks as f64
    });
    count("svf-core/memory-beyond-the-data/ours/64", "B", || {
        let before = ALLOCATED.load(Ordering::Relaxed);
        let map = filled(&file);
        let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
        assert_eq!(map.num_blocks(), blocks);
        (allocated - map.num_bytes()) as f64 / blocks as f64
    });
    count("svf-core/allocations-of-a-read/ours/64", "allocations", || {
        let (map, reads) = (filled(&file), random_reads(10_000, BLOCK, STRIDE, file.len() as u64, SEED));
        let read = |range: &Range<u64>| {
            let found = map.read(range.clone()).unwrap();
            assert!(found == file[range.start as usize..range.end as usize]);
        };
        // The first share of a block's bytes makes their counter, once.
        reads.iter().for_each(read);
        let before = ALLOCATIONS.get();
        reads.iter().for_each(read);
        (ALLOCATIONS.get() - before) as f64 / reads.len() as f64
    });
}

/// How often windows are mapped for 20,000 reads of which nine in ten are of 48 MiB, with 64 MiB of windows.
fn windows() {
    const WINDOW: u64 = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let mut random = Random::new(SEED);
    let mut read = || {
        let bytes: u64 = if random.below(10) < 9 { 48 << 20 } else { 1 << 30 };
        random.below(bytes / 64) * 64
    };
    let trace: Vec<u64> = (0..20_000).map(|_| read()).collect();
    count("window-mman/maps-of-a-trace/ours/64", "maps", || {
        let manager = MapManager::builder().window_size(WINDOW).max_mapped_bytes(64 * WINDOW).build().unwrap();
        // SAFETY: the file is in a directory of this process alone, which writes to it no more.
        let file = unsafe { manager.open(&path).unwrap().assume_stable() };
        let mut cursor = file.cursor();
        for &offset in &trace {
            assert_eq!(cursor.use_region(offset..offset + 64).unwrap(), [0; 64]);
        }
        manager.stats().maps as f64
    });
    count("window-mman/maps-of-a-trace/lru/64", "maps", || {
        let (mut order, mut maps) = (Vec::new(), 0);
        for window in trace.iter().map(|offset| offset / WINDOW) {
            match order.iter().rposition(|other| *other == window) {
                Some(place) => _ = order.remove(place),
                None => maps += 1,
            }
            order.push(window);
            if order.len() > 64 {
                order.remove(0);
            }
        }
        f64::from(maps)
    });
}

/// An object of the same bytes over and over.
fn object(key: &str, length: u64) -> impl Origin + use<> {
    let content = pattern(PIECE as usize, SEED);
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    FnOrigin::new(key, Stat { length, validators }, move |range: Range<u64>| {
        let start = (range.start % PIECE) as usize;
        let bytes = content[start..].iter().chain(content.iter().cycle());
        Ok(bytes.take((range.end - range.start) as usize).copied().collect::<Vec<_>>().into())
    })
}

const PIECE: u64 = 4 << 20;

fn open(directory: &Path, page_size: u64, length: u64) -> CachedFile {
    let cache = Cache::builder(directory).page_size(page_size).freshness(Freshness::Immutable).open().unwrap();
    cache.file(object("object", length)).unwrap()
}

/// What 1,000 scattered, distinct, aligned reads of 4 KiB fetch.
fn scattered() {
    let length = 1 << 30;
    let places = block_offsets(1_000, 1 << 20, Order::Shuffled { seed: SEED });
    for page_size in [64 << 10, 4 << 10] {
        count(&format!("page-cache/scattered-bytes/ours/{page_size}"), "B", || {
            let directory = tempfile::tempdir().unwrap();
            let file = open(directory.path(), page_size, length);
            let mut out = vec![0; 4 << 10];
            let content = pattern(PIECE as usize, SEED);
            for place in &places {
                file.read_exact_at(&mut out, *place).unwrap();
                assert!(out == content[(place % PIECE) as usize..][..out.len()]);
            }
            file.stats().origin_bytes as f64
        });
        count(&format!("page-cache/scattered-bytes/asked/{page_size}"), "B", || (places.len() * (4 << 10)) as f64);
    }
}

/// Set in a process that reads all of a file by four threads, and prints how many bytes it fetched: the directory.
const READER: &str = "SVF_BENCH_READER";
const COLD_LEN: u64 = 32 << 20;

/// What eight processes of four threads fetch of a file that all of them read from start to end.
fn one_cold_file() {
    let id = "page-cache/fetched-by-8-processes/ours/4";
    count(id, "B", || {
        let directory = tempfile::tempdir().unwrap();
        let start = |_| {
            let mut reader = Command::new(std::env::current_exe().unwrap());
            reader.env(READER, directory.path()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let readers: Vec<_> = (0..8).map(start).collect();
        let fetched = readers.into_iter().map(|reader| {
            let output = reader.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
        });
        fetched.sum::<u64>() as f64
    });
    count("page-cache/fetched-by-8-processes/bytes/4", "B", || COLD_LEN as f64);
}

fn fetch_by_threads(directory: &Path) {
    let (file, content) = (open(directory, 64 << 10, COLD_LEN), pattern(PIECE as usize, SEED));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, content) = (&file, &content);
            scope.spawn(move || {
                let mut out = vec![0; 16 << 10];
                // Each begins somewhere else.
                let places = (0..COLD_LEN).step_by(out.len()).collect::<Vec<_>>();
                let (before, after) = places.split_at(thread * places.len() / 4);
                for place in after.iter().chain(before) {
                    file.read_exact_at(&mut out, *place).unwrap();
                    assert!(out == content[(place % PIECE) as usize..][..out.len()]);
                }
            });
        }
    });
    println!("{}", file.stats().origin_bytes);
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = status.lines().find(|line| line.starts_with("Rss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// What an entry of 1 TiB takes when one page of it was read.
fn long_entry() {
    let directory = tempfile::tempdir().unwrap();
    let touch = || {
        let file = open(directory.path(), 64 << 10, 1 << 40);
        file.read_exact_at(&mut [0; 64], 1 << 39).unwrap();
        file
    };
    count("page-cache/entry-of-1TiB-memory/ours/1", "B", || {
        drop(touch());
        let before = resident();
        let file = touch();
        let after = resident();
        assert_eq!(file.len(), 1 << 40);
        after.saturating_sub(before) as f64
    });
    count("page-cache/entry-of-1TiB-disk/ours/1", "B", || {
        drop(touch());
        allocated(directory.path()) as f64
    });
}

/// The blocks of all files below a directory, in bytes.
fn allocated(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => allocated(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            // It has gone meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// The most that is ever allocated on disk while four times as much is read as may be.
fn full() {
    const LIMIT: u64 = 64 << 20;
    count(&format!("page-cache/allocated/ours/{LIMIT}"), "B", || {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).max_bytes(LIMIT).freshness(Freshness::Immutable).open().unwrap();
        let file = cache.file(object("object", 4 << 30)).unwrap();
        file.advise(0..u64::MAX, Advice::Random);
        let (mut out, mut most) = (vec![0; 64 << 10], 0);
        for place in random_reads((4 * LIMIT / (64 << 10)) as usize, 64 << 10, 64 << 10, 4 << 30, SEED) {
            file.read_exact_at(&mut out, place.start).unwrap();
            most = most.max(allocated(directory.path()));
        }
        let stats = file.stats();
        assert!(most > LIMIT / 2 && stats.bypasses * 4 < stats.requests, "{most} {stats:?}");
        most as f64
    });
    count(&format!("page-cache/allocated/limit/{LIMIT}"), "B", || LIMIT as f64);
}

/// Set in a process that hits so often, whose system calls are counted.
const TRACED: &str = "SVF_BENCH_TRACED";
const HIT_LEN: u64 = 8 << 20;

fn hit_so_often(times: usize) {
    let directory = tempfile::tempdir().unwrap();
    let file = open(directory.path(), 64 << 10, HIT_LEN);
    hit(&file, 4 << 10, times);
}

/// Reads all of it, so that all is held and checked; then hits in turn. Returns what they allocate.
fn hit(file: &CachedFile, size: u64, times: usize) -> u64 {
    let content = pattern(PIECE as usize, SEED);
    for _ in 0..2 {
        let bytes = file.bytes(0..HIT_LEN).unwrap();
        assert!(bytes[..PIECE as usize] == content && bytes[PIECE as usize..] == content);
    }
    let (reads, mut out) = (random_reads(4096, size, 1, HIT_LEN, SEED), vec![0; size as usize]);
    let (misses, before) = (file.stats().misses, ALLOCATIONS.get());
    for read in reads.iter().cycle().take(times) {
        assert_eq!(file.read_at(&mut out, read.start).unwrap(), out.len());
    }
    let after = ALLOCATIONS.get();
    assert_eq!(file.stats().misses, misses);
    after - before
}

/// What a hit of 4 KiB allocates, and which system calls it makes.
fn hits() {
    const TIMES: usize = 10_000;
    count("page-cache/allocations-of-a-hit/ours/4096", "allocations", || {
        let directory = tempfile::tempdir().unwrap();
        hit(&open(directory.path(), 64 << 10, HIT_LEN), 4 << 10, TIMES) as f64 / TIMES as f64
    });
    if Command::new("strace").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("strace is not installed, so system calls are not counted");
        return;
    }
    count("page-cache/system-calls-of-a-hit/ours/4096", "calls", || {
        // Of this thread alone: that of the directory wakes up now and then.
        let calls = |times: usize| {
            let log = tempfile::NamedTempFile::new().unwrap();
            let mut traced = Command::new("strace");
            traced.args(["-e", "signal=none", "-o"]).arg(log.path()).arg("--").arg(std::env::current_exe().unwrap());
            let output = traced.env(TRACED, times.to_string()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            std::fs::read_to_string(log.path()).unwrap().lines().count()
        };
        calls(TIMES).saturating_sub(calls(0)) as f64 / TIMES as f64
    });
}
