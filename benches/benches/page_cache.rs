//! Pieces on local disk: hits, the first touch of a page, and filling.
//!
//! The origin is a local file, so no network is measured; all files are in the system's page cache, so no disk is
//! either, but for the write-back that the system does meanwhile while a cache is filled. `bare` reads the origin's
//! file, which has the same bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use page_cache::{Cache, CachedFile, Freshness, LocalFile};
use svf_benches::{pattern, quick, random_reads};
use tempfile::TempDir;

const SEED: u64 = 0x5EED;
/// The default of a cache, asserted below.
const PAGE: u64 = 64 << 10;
/// How many places are read in turn.
const READS: usize = 4096;

/// A file, what is in it, and room for caches of it.
struct Workload {
    content: Vec<u8>,
    path: PathBuf,
    plain: File,
    directory: TempDir,
}

impl Workload {
    fn new(len: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("origin");
        let content = pattern(len as usize, SEED);
        std::fs::write(&path, &content).unwrap();
        let plain = File::open(&path).unwrap();
        Self { content, path, plain, directory }
    }

    fn len(&self) -> u64 {
        self.content.len() as u64
    }

    /// A directory of its own, which goes when it is dropped.
    fn fresh_directory(&self) -> TempDir {
        tempfile::tempdir_in(self.directory.path()).unwrap()
    }

    fn open(&self, cache: &Cache) -> CachedFile {
        cache.file(LocalFile::new(&self.path).unwrap()).unwrap()
    }

    fn content(&self, range: &Range<u64>) -> &[u8] {
        &self.content[range.start as usize..range.end as usize]
    }
}

/// The origin's file does not change, so it is not looked at again.
fn cache(directory: &Path) -> Cache {
    Cache::builder(directory).freshness(Freshness::Immutable).open().unwrap()
}

/// Reads of what is held and has been checked by this process: what a parser does all day.
fn hits(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    let file = workload.open(&cache);
    assert_eq!(file.page_size(), Some(PAGE));
    assert_eq!(file.bytes(0..workload.len()).unwrap(), workload.content);
    assert!(file.held().contains(0..workload.len()));

    for size in [64, 4 << 10, 64 << 10, 1 << 20] {
        let reads = random_reads(READS, size, 1, workload.len(), SEED);
        let mut out = vec![0; size as usize];
        for read in reads.iter().take(256) {
            let expected = workload.content(read);
            assert_eq!(file.read_at(&mut out, read.start).unwrap(), out.len());
            assert!(out == expected && file.bytes(read.clone()).unwrap() == expected);
        }

        // Into memory that is there already.
        let mut group = criterion.benchmark_group("page-cache/hit-read_at");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                file.read_at(black_box(&mut out), offset).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                workload.plain.read_at(black_box(&mut out), offset).unwrap()
            });
        });
        group.finish();

        // Into new memory; `bare` is the same `pread` as above, into memory that is there already.
        let mut group = criterion.benchmark_group("page-cache/hit-bytes");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| file.bytes(reads.next().unwrap().clone()).unwrap());
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                workload.plain.read_at(black_box(&mut out), offset).unwrap()
            });
        });
    }
}

/// 4 KiB of a page that is held, and that this process has not read before: it has to be read and checked as a whole.
fn first_touch(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    workload.open(&cache).bytes(0..workload.len()).map(drop).unwrap();
    let pages = random_reads(READS, PAGE, PAGE, workload.len(), SEED);
    let mut out = vec![0; 4 << 10];
    // What was checked is forgotten with the last handle, and the origin is gone while a handle is read: it is the
    // cache that answers.
    let away = workload.path.with_extension("away");
    for page in pages.iter().take(64) {
        let file = workload.open(&cache);
        std::fs::rename(&workload.path, &away).unwrap();
        file.read_exact_at(&mut out, page.start).unwrap();
        std::fs::rename(&away, &workload.path).unwrap();
        assert_eq!(out, workload.content[page.start as usize..][..out.len()]);
    }

    let mut group = criterion.benchmark_group("page-cache/first-touch");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("ours", PAGE), |bencher| {
        let mut pages = pages.iter().cycle();
        bencher.iter_batched(
            || (workload.open(&cache), pages.next().unwrap().start),
            |(file, offset)| {
                file.read_exact_at(black_box(&mut out), offset).unwrap();
                file
            },
            BatchSize::PerIteration,
        );
    });
    // Timed one by one too, and after the same preparations, so that clock and caches cost the same.
    let mut page_out = vec![0; PAGE as usize];
    for (name, check) in [("bare", false), ("bare-with-crc", true)] {
        group.bench_function(BenchmarkId::new(name, PAGE), |bencher| {
            let mut pages = pages.iter().cycle();
            bencher.iter_batched(
                || (workload.open(&cache), pages.next().unwrap().start),
                |(file, offset)| {
                    workload.plain.read_exact_at(black_box(&mut page_out), offset).unwrap();
                    let sum = check.then(|| checksum(CrcAlgorithm::Crc32Iscsi, &page_out));
                    (sum, file)
                },
                BatchSize::PerIteration,
            );
        });
    }
}

/// A whole file by requests of 1 MiB, of which nothing is held, beside copying it in pieces of 1 MiB.
fn fill(criterion: &mut Criterion) {
    let workload = Workload::new(16 << 20);
    let len = workload.len();
    let mut out = vec![0; 1 << 20];
    let offsets = || (0..len).step_by(1 << 20);

    let empty = || {
        let directory = workload.fresh_directory();
        let cache = cache(directory.path());
        (workload.open(&cache), cache, directory)
    };
    let (file, cache, directory) = empty();
    assert!(file.held().is_empty());
    for offset in offsets() {
        file.read_exact_at(&mut out, offset).unwrap();
        assert_eq!(out, workload.content[offset as usize..][..out.len()]);
    }
    assert!(file.held().contains(0..len));
    drop((file, cache, directory));

    let mut group = criterion.benchmark_group("page-cache/fill-by-1MiB");
    group.throughput(Throughput::Bytes(len)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::new("ours", len), |bencher| {
        bencher.iter_batched(
            empty,
            |(file, cache, directory)| {
                for offset in offsets() {
                    file.read_exact_at(black_box(&mut out), offset).unwrap();
                }
                (file, cache, directory)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(BenchmarkId::new("bare", len), |bencher| {
        bencher.iter_batched(
            || {
                let directory = workload.fresh_directory();
                (File::create_new(directory.path().join("copy")).unwrap(), directory)
            },
            |(copy, directory)| {
                for offset in offsets() {
                    workload.plain.read_exact_at(black_box(&mut out), offset).unwrap();
                    copy.write_all_at(&out, offset).unwrap();
                }
                (copy, directory)
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = page_cache;
    config = quick();
    targets = hits, first_touch, fill
}
criterion_main!(page_cache);
