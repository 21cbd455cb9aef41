//! Hits of two threads and of two processes, beside those of two that share nothing.

use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use page_cache::{CachedFile, LocalFile};
use svf_benches::{page_aligned, random_reads};
use tempfile::TempDir;

use super::{READS, SEED, Workload, cache};

/// How many bytes each of two readers hits in. They are the same ones whether the readers share anything or not, so
/// that nobody has less of them to keep in the processor's caches; and few enough to stay there, since of more it is
/// the memory that decides, and where a host has put it: of 16 MiB one file took up to three times as long as another.
const HALF: u64 = 256 << 10;

/// Two directories of one filled file of `HALF` bytes each, and one of a file of twice as many.
struct SharedOrNot {
    shared: Workload,
    shared_directory: TempDir,
    apart: [Workload; 2],
    apart_directories: [TempDir; 2],
}

impl SharedOrNot {
    fn new() -> Self {
        let (shared, apart) = (Workload::new(2 * HALF), [HALF; 2].map(Workload::new));
        let fill = |workload: &Workload| {
            let directory = workload.fresh_directory();
            assert_eq!(workload.open(&cache(directory.path())).bytes(0..workload.len()).unwrap(), workload.content);
            directory
        };
        let (shared_directory, apart_directories) = (fill(&shared), apart.each_ref().map(fill));
        Self { shared, shared_directory, apart, apart_directories }
    }

    /// The origin and the directory that a reader uses, and where its bytes begin.
    fn of(&self, shares: bool, reader: usize) -> (&Workload, &Path, u64) {
        if shares {
            (&self.shared, self.shared_directory.path(), reader as u64 * HALF)
        } else {
            (&self.apart[reader], self.apart_directories[reader].path(), 0)
        }
    }
}

/// Two threads that hit, each in a half of one file, and each in a file of a directory of its own, which share nothing.
pub(super) fn two_threads(criterion: &mut Criterion) {
    let workloads = SharedOrNot::new();
    for size in [64, 4 << 10] {
        let reads = random_reads(READS, size, 1, HALF, SEED);
        let mut group = criterion.benchmark_group("page-cache/hit-two-threads");
        for (name, shares) in [("ours", true), ("share-nothing", false)] {
            let open = |reader| {
                let (workload, directory, start) = workloads.of(shares, reader);
                let file = workload.open(&cache(directory));
                file.bytes(0..file.len()).unwrap();
                assert_eq!(file.stats().origin_bytes, 0);
                (file, start)
            };
            let first = open(0);
            // Those that share anything share everything, the handle too.
            let second = if shares { (first.0.clone(), HALF) } else { open(1) };
            let readers = [first, second];
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_custom(|times| {
                    let elapsed = |(file, start): &(CachedFile, u64)| hit_times(file, &reads, *start, size, times);
                    std::thread::scope(|scope| {
                        let other = scope.spawn(|| elapsed(&readers[1]));
                        elapsed(&readers[0]).max(other.join().unwrap())
                    })
                });
            });
        }
    }
}

/// Hits in turn, at places that are counted from `base`.
fn hit_times(file: &CachedFile, reads: &[Range<u64>], base: u64, size: u64, times: u64) -> Duration {
    let mut out = page_aligned(size as usize);
    let (mut reads, start) = (reads.iter().cycle(), Instant::now());
    for _ in 0..times {
        file.read_at(black_box(&mut out), base + reads.next().unwrap().start).unwrap();
    }
    start.elapsed()
}

/// Two processes that hit, each in a half of one file, and each in a file of a directory of its own, which share
/// nothing; and one that is alone.
pub(super) fn two_processes(criterion: &mut Criterion) {
    let workloads = SharedOrNot::new();
    for size in [64_u64, 4 << 10] {
        let mut group = criterion.benchmark_group("page-cache/hit-two-processes");
        for (name, shares, processes) in [("ours", true, 2), ("share-nothing", false, 2), ("one", true, 1)] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_custom(|times| {
                    let start = |reader| {
                        let (workload, directory, base) = workloads.of(shares, reader);
                        let mut child = Command::new(std::env::current_exe().unwrap());
                        child.env(CHILD, directory).env("ORIGIN", &workload.path).env("SIZE", size.to_string());
                        child.env("BASE", base.to_string()).env("TIMES", times.to_string());
                        child.stdout(Stdio::piped()).spawn().unwrap()
                    };
                    let children: Vec<_> = (0..processes).map(start).collect();
                    let elapsed = |child: Child| {
                        let output = child.wait_with_output().unwrap();
                        assert!(output.status.success());
                        Duration::from_nanos(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
                    };
                    children.into_iter().map(elapsed).max().unwrap()
                });
            });
        }
    }
}

/// Set in a process of this program that only hits, and prints how long that took, in nanoseconds.
pub(super) const CHILD: &str = "PAGE_CACHE_BENCH_CHILD";

pub(super) fn child(directory: &Path) {
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let cache = cache(directory);
    let file = cache.file(LocalFile::new(std::env::var_os("ORIGIN").unwrap()).unwrap()).unwrap();
    // All of it is checked before.
    file.bytes(0..file.len()).unwrap();
    assert_eq!(file.stats().origin_bytes, 0);
    let reads = random_reads(READS, number("SIZE"), 1, HALF, SEED);
    let hit_times = |times| hit_times(&file, &reads, number("BASE"), number("SIZE"), times);
    // And all of it is in the process's page tables.
    hit_times(4 * READS as u64);
    println!("{}", hit_times(number("TIMES")).as_nanos());
}
