//! Hits of two threads and of two processes, beside those of two that share nothing.
//!
//! Where a host puts two processors on one core, both are half as fast, and that changes by the second: so ours and the
//! others are measured in the same moments.

use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use criterion::Criterion;
use page_cache::{CachedFile, LocalFile};
use svf_benches::{TURN, Turn, Worker, in_threads, in_turn_of, is_wanted, page_aligned, random_reads, work_in_turn};
use tempfile::TempDir;

use super::{READS, SEED, Workload, cache};

/// How many bytes one hit reads.
const SIZES: [u64; 2] = [64, 4 << 10];

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
pub(super) fn two_threads(_: &mut Criterion) {
    const GROUP: &str = "page-cache/hit-two-threads";
    let workloads = SharedOrNot::new();
    let open = |shares, reader| {
        let (workload, directory, start) = workloads.of(shares, reader);
        let file = workload.open(&cache(directory));
        file.bytes(0..file.len()).unwrap();
        assert_eq!(file.stats().origin_bytes, 0);
        (file, start)
    };
    let shared = open(true, 0).0;
    // Those that share anything share everything, the handle too.
    let (shared, apart) = ([(shared.clone(), 0), (shared, HALF)], [open(false, 0), open(false, 1)]);
    for size in SIZES {
        let reads = random_reads(READS, size, 1, HALF, SEED);
        let turn = |readers: &[(CachedFile, u64); 2]| {
            in_threads(2, |reader| hit(&readers[reader].0, &reads, readers[reader].1, size))
        };
        let mut turns: [(&str, Turn<'_>); 2] =
            [("ours", Box::new(|| turn(&shared))), ("share-nothing", Box::new(|| turn(&apart)))];
        in_turn_of(TURN, GROUP, size, &mut turns);
    }
}

/// A turn of hits, [`TURN`] of them, at places that are counted from `base`.
fn hit(file: &CachedFile, reads: &[Range<u64>], base: u64, size: u64) {
    let mut out = page_aligned(size as usize);
    for read in reads.iter().cycle().take(TURN) {
        file.read_at(black_box(&mut out), base + read.start).unwrap();
    }
}

/// Two processes that hit, each in a half of one file, and each in a file of a directory of its own, which share
/// nothing.
pub(super) fn two_processes(_: &mut Criterion) {
    const GROUP: &str = "page-cache/hit-two-processes";
    let workloads = SharedOrNot::new();
    for size in SIZES {
        if !["ours", "share-nothing"].iter().any(|name| is_wanted(&format!("{GROUP}/{name}/{size}"))) {
            continue;
        }
        let start = |shares, reader| {
            let (workload, directory, base) = workloads.of(shares, reader);
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.env(CHILD, directory).env("ORIGIN", &workload.path);
            Worker::start(command.env("SIZE", size.to_string()).env("BASE", base.to_string()))
        };
        let [mut shared, mut apart] = [true, false].map(|shares| [0, 1].map(|reader| start(shares, reader)));
        let mut turns: [(&str, Turn<'_>); 2] = [
            ("ours", Box::new(|| Worker::turn(&mut shared))),
            ("share-nothing", Box::new(|| Worker::turn(&mut apart))),
        ];
        in_turn_of(TURN, GROUP, size, &mut turns);
    }
}

/// Set in a process of this program that only hits: the directory.
pub(super) const CHILD: &str = "PAGE_CACHE_BENCH_CHILD";

pub(super) fn child(directory: &Path) {
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let file = cache(directory).file(LocalFile::new(std::env::var_os("ORIGIN").unwrap()).unwrap()).unwrap();
    // All of it is checked before.
    file.bytes(0..file.len()).unwrap();
    assert_eq!(file.stats().origin_bytes, 0);
    let (size, base) = (number("SIZE"), number("BASE"));
    let reads = random_reads(READS, size, 1, HALF, SEED);
    work_in_turn(|| hit(&file, &reads, base, size));
}
