//! Windows of mapped memory: a look, a mapping, and a copy, each beside the system call or slice of it.
//!
//! The file is in the system's page cache, so no disk is measured.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memmap2::{Mmap, MmapOptions};
use svf_benches::{pattern, quick, random_reads};
use tempfile::TempDir;
use window_mman::{MapManager, MappedFile, StableFile};

const SEED: u64 = 0x5EED;
const FILE_LEN: u64 = 64 << 20;
/// The default of a manager, asserted below.
const WINDOW: u64 = 1 << 20;
/// How many places are looked at in turn.
const READS: usize = 4096;

/// A file on disk, what is in it, and both ways to it.
struct Workload {
    content: Vec<u8>,
    plain: File,
    ours: MappedFile,
    manager: MapManager,
    /// Last, so that the file goes after everything that uses it.
    _directory: TempDir,
}

impl Workload {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let content = pattern(FILE_LEN as usize, SEED);
        std::fs::write(&path, &content).unwrap();
        let manager = MapManager::new();
        assert_eq!(manager.window_size(), WINDOW);
        Self {
            content,
            plain: File::open(&path).unwrap(),
            ours: manager.open(&path).unwrap(),
            manager,
            _directory: directory,
        }
    }

    fn stable(&self) -> StableFile {
        // SAFETY: the file is in a directory of this process alone, which writes to it no more.
        unsafe { self.ours.assume_stable() }
    }

    fn map(&self, range: &Range<u64>) -> Mmap {
        let mut options = MmapOptions::new();
        options.offset(range.start).len((range.end - range.start) as usize);
        // SAFETY: the file is in a directory of this process alone, which writes to it no more.
        unsafe { options.map(&self.plain) }.unwrap()
    }

    fn content(&self, range: &Range<u64>) -> &[u8] {
        &self.content[range.start as usize..range.end as usize]
    }
}

/// 64 B of a window that somebody looks at already, beside a checked slice of one mapping of the whole file.
fn mapped_window(criterion: &mut Criterion) {
    let workload = Workload::new();
    let (stable, whole) = (workload.stable(), workload.map(&(0..FILE_LEN)));
    // One view of each window keeps all of them mapped; at multiples of 64 B no look crosses from one to the next.
    let held: Vec<_> =
        (0..FILE_LEN / WINDOW).map(|window| stable.view(window * WINDOW..window * WINDOW + 1).unwrap()).collect();
    let looks = random_reads(READS, 64, 64, FILE_LEN, SEED);
    for look in &looks {
        assert_eq!(stable.view(look.clone()).unwrap(), *workload.content(look));
        assert_eq!(whole[look.start as usize..look.end as usize], *workload.content(look));
    }
    assert_eq!(workload.manager.stats().mapped_regions, held.len(), "the looks have mapped nothing");

    let mut group = criterion.benchmark_group("window-mman/view-of-mapped-window");
    // All looks are one iteration: a single one is too short for a clock.
    group.throughput(Throughput::Elements(looks.len() as u64));
    group.bench_function(BenchmarkId::new("ours", 64), |bencher| {
        bencher.iter(|| looks.iter().map(|look| stable.view(look.clone()).unwrap()[0]).fold(0, u8::wrapping_add));
    });
    group.bench_function(BenchmarkId::new("bare", 64), |bencher| {
        bencher.iter(|| {
            looks
                .iter()
                .map(|look| {
                    let range = black_box(look.start as usize..look.end as usize);
                    whole.get(range).unwrap()[0]
                })
                .fold(0, u8::wrapping_add)
        });
    });
}

/// A window that nobody looks at: mapped, looked into or not, and unmapped.
fn map_and_unmap(criterion: &mut Criterion) {
    let workload = Workload::new();
    let stable = workload.stable();
    let windows = random_reads(READS, WINDOW, WINDOW, FILE_LEN, SEED);
    for window in windows.iter().take(64) {
        assert_eq!(stable.view(window.clone()).unwrap(), *workload.content(window));
        assert_eq!(workload.map(window)[..], *workload.content(window));
    }
    assert_eq!(workload.manager.stats().mapped_regions, 0, "every view has unmapped its window");

    for (name, touch) in [("map-unmap", false), ("map-touch-unmap", true)] {
        let mut group = criterion.benchmark_group(format!("window-mman/{name}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("ours", WINDOW), |bencher| {
            let mut windows = windows.iter().cycle();
            bencher.iter(|| {
                let view = stable.view(windows.next().unwrap().clone()).unwrap();
                touch.then(|| view[0])
            });
        });
        group.bench_function(BenchmarkId::new("bare", WINDOW), |bencher| {
            let mut windows = windows.iter().cycle();
            bencher.iter(|| {
                let map = workload.map(windows.next().unwrap());
                touch.then(|| map[0])
            });
        });
    }
}

/// 4 KiB at random, copied.
fn random_copies(criterion: &mut Criterion) {
    let workload = Workload::new();
    let size = 4 << 10;
    let reads = random_reads(READS, size, 1, FILE_LEN, SEED);
    let mut out = vec![0; size as usize];
    for read in &reads {
        assert_eq!(workload.ours.read_at(&mut out, read.start).unwrap(), out.len());
        assert_eq!(out, workload.content(read));
    }

    let mut group = criterion.benchmark_group("window-mman/read_at");
    group.throughput(Throughput::Bytes(size));
    group.bench_function(BenchmarkId::new("ours", size), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| {
            let offset = reads.next().unwrap().start;
            workload.ours.read_at(black_box(&mut out), offset).unwrap()
        });
    });
    group.bench_function(BenchmarkId::new("bare", size), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| {
            let offset = reads.next().unwrap().start;
            workload.plain.read_at(black_box(&mut out), offset).unwrap()
        });
    });
}

criterion_group! {
    name = window_mman;
    config = quick();
    targets = mapped_window, map_and_unmap, random_copies
}
criterion_main!(window_mman);
