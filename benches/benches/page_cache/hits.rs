//! Hits, and the first touch of a page in a process.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crc_fast::{CrcAlgorithm, checksum};
use criterion::{BenchmarkId, Criterion, Throughput};
use memmap2::Mmap;
use page_cache::{Cache, CachedFile, Freshness};
use svf_benches::{Turn, in_turn, is_quick, page_aligned, random_reads, timed};

use super::{PAGE, READS, SEED, Workload, cache};

/// Reads of what is held and has been checked by this process: what a parser does all day.
pub(super) fn hits(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    let file = workload.open(&cache);
    assert_eq!(file.page_size(), Some(PAGE));
    assert_eq!(file.bytes(0..workload.len()).unwrap(), workload.content);
    assert!(file.held().contains(0..workload.len()));
    let stored = mapped_data_file(directory.path(), workload.len());
    assert!(*stored == workload.content);
    hits_beside_copies(&file, &stored);
    hits_behind_a_page(&workload, &file);

    for size in [64, 4 << 10, 64 << 10, 1 << 20] {
        let reads = random_reads(READS, size, 1, workload.len(), SEED);
        let mut out = page_aligned(size as usize);
        for read in reads.iter().take(256) {
            let expected = workload.content(read);
            assert_eq!(file.read_at(&mut out, read.start).unwrap(), out.len());
            assert!(*out == *expected && file.bytes(read.clone()).unwrap() == expected);
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

/// 4 KiB, in turn with the same copies out of the same memory, and nothing else: neither found, nor vouched for, nor
/// counted.
fn hits_beside_copies(file: &CachedFile, stored: &Mmap) {
    let size = 4 << 10;
    let reads = random_reads(READS, size, 1, file.len(), SEED);
    let mut ours = reads.iter().cycle();
    let [mut out, mut copy] = [(); 2].map(|()| page_aligned(size as usize));
    let ours = || {
        let offset = ours.next().unwrap().start;
        timed(|| file.read_at(black_box(&mut out), offset).unwrap())
    };
    // Another place than ours has just read.
    let mut copies = reads.iter().cycle().skip(READS / 2);
    let copies = || {
        let Range { start, end } = copies.next().unwrap();
        timed(|| black_box(&mut copy).copy_from_slice(&stored[*start as usize..*end as usize]))
    };
    let mut turns: [(&str, Turn<'_>); 2] = [("ours", Box::new(ours)), ("bare-copies", Box::new(copies))];
    in_turn("page-cache/hit-in-turn", size, &mut turns);
}

/// 1 MiB that begins with a page, in turn with `pread` of the same, into memory 16 bytes behind a page: there an
/// allocator has the memory that it gets from the system.
fn hits_behind_a_page(workload: &Workload, file: &CachedFile) {
    let size = 1 << 20;
    let reads = random_reads(READS, size, PAGE, workload.len(), SEED);
    let reader = |read_at: fn(&Workload, &CachedFile, &mut [u8], u64) -> usize| {
        let (mut reads, mut out) = (reads.iter().cycle(), page_aligned(16 + size as usize));
        for read in reads.by_ref().take(16) {
            assert_eq!(read_at(workload, file, &mut out[16..], read.start), size as usize);
            assert!(out[16..] == *workload.content(read));
        }
        move || {
            let offset = reads.next().unwrap().start;
            timed(|| read_at(workload, file, black_box(&mut out[16..]), offset))
        }
    };
    let mut turns: [(&str, Turn<'_>); 2] = [
        ("ours", Box::new(reader(|_, file, out, offset| file.read_at(out, offset).unwrap()))),
        ("bare", Box::new(reader(|workload, _, out, offset| workload.plain.read_at(out, offset).unwrap()))),
    ];
    in_turn("page-cache/hit-behind-a-page", size, &mut turns);
}

/// What the cache in a directory has of its only object, all of which is held: the memory that its hits copy from.
fn mapped_data_file(directory: &Path, len: u64) -> Mmap {
    let mut files = std::fs::read_dir(directory.join("pairs")).unwrap().map(|file| file.unwrap().path());
    let data = files.find(|path| path.extension().is_some_and(|name| name == "data")).unwrap();
    let data = File::open(data).unwrap();
    assert_eq!(data.metadata().unwrap().len(), len);
    // SAFETY: nobody writes to what is stored, or takes it away, while this is used.
    unsafe { Mmap::map(&data).unwrap() }
}

/// 8 B behind a seek by the reader, as a parser of a directory of offsets reads: what it costs must not depend on the
/// size of the pages.
pub(super) fn reader(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let mut group = criterion.benchmark_group("page-cache/reader");
    for page in [PAGE, 16 << 20] {
        let directory = workload.fresh_directory();
        let options = Cache::builder(directory.path()).freshness(Freshness::Immutable);
        let file = workload.open(&options.page_size(page).open().unwrap());
        // The second time it is read and checked where it was stored.
        for _ in 0..2 {
            assert_eq!(file.bytes(0..workload.len()).unwrap(), workload.content);
        }
        let reads = random_reads(READS, 8, 1, workload.len(), SEED);
        let (mut reader, mut out) = (file.reader(), [0; 8]);
        for read in reads.iter().take(256) {
            reader.seek(SeekFrom::Start(read.start)).unwrap();
            reader.read_exact(&mut out).unwrap();
            assert_eq!(out, workload.content(read));
        }
        group.bench_function(BenchmarkId::new("seek-and-read-8", page), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                reader.seek(SeekFrom::Start(reads.next().unwrap().start)).unwrap();
                reader.read_exact(black_box(&mut out)).unwrap();
            });
        });
        group.bench_function(BenchmarkId::new("read_at-8", page), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| file.read_at(black_box(&mut out), reads.next().unwrap().start).unwrap());
        });
    }
}

/// 4 KiB anywhere in 1 GiB, where neither the processor's caches nor its table of pages hold all of it.
pub(super) fn hits_in_a_gigabyte(criterion: &mut Criterion) {
    if is_quick() {
        return;
    }
    let workload = Workload::new(1 << 30);
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    let file = workload.open(&cache);
    let mut out = page_aligned(8 << 20);
    for offset in (0..workload.len()).step_by(out.len()) {
        file.read_exact_at(&mut out, offset).unwrap();
    }
    let size = 4 << 10;
    let reads = random_reads(1 << 16, size, 1, workload.len(), SEED);
    let out = &mut out[..size as usize];
    for read in &reads {
        file.read_exact_at(out, read.start).unwrap();
        assert_eq!(out, workload.content(read));
    }
    let mut group = criterion.benchmark_group("page-cache/hit-in-1GiB");
    group.throughput(Throughput::Bytes(size));
    group.bench_function(BenchmarkId::new("ours", size), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| file.read_at(black_box(out), reads.next().unwrap().start).unwrap());
    });
    group.bench_function(BenchmarkId::new("bare", size), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| workload.plain.read_at(black_box(out), reads.next().unwrap().start).unwrap());
    });
}

/// 4 KiB of a page that is held, and that this process has not read before: it has to be read and checked as a whole.
pub(super) fn first_touch(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let directory = workload.fresh_directory();
    // What was checked is forgotten with the last handle.
    let cache = Cache::builder(directory.path()).freshness(Freshness::Immutable).max_open_entries(0).open().unwrap();
    workload.open(&cache).bytes(0..workload.len()).map(drop).unwrap();
    let other_directory = workload.fresh_directory();
    let other_cache = self::cache(other_directory.path());
    let pages = random_reads(READS, PAGE, PAGE, workload.len(), SEED);
    let mut out = page_aligned(4 << 10);
    // The origin is gone while a handle is read: it is the cache that answers.
    let away = workload.path.with_extension("away");
    for page in pages.iter().take(64) {
        let file = workload.open(&cache);
        std::fs::rename(&workload.path, &away).unwrap();
        file.read_exact_at(&mut out, page.start).unwrap();
        std::fs::rename(&away, &workload.path).unwrap();
        assert!(*out == workload.content[page.start as usize..][..out.len()]);
    }

    let mut group = criterion.benchmark_group("page-cache/first-touch");
    group.throughput(Throughput::Elements(1));
    // Every page in turn, in a random order; behind the last one the file is opened anew, and all is forgotten.
    let mut order: Vec<u64> = (0..workload.len() / PAGE).map(|page| page * PAGE).collect();
    order.sort_by_key(|offset| offset.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (mut file, mut next) = (workload.open(&cache), 0);
    group.bench_function(BenchmarkId::new("ours", PAGE), |bencher| {
        bencher.iter_custom(|times| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..times {
                if next == order.len() {
                    drop(std::mem::replace(&mut file, workload.open(&other_cache)));
                    (file, next) = (workload.open(&cache), 0);
                }
                let start = Instant::now();
                file.read_exact_at(black_box(&mut out), order[next]).unwrap();
                elapsed += start.elapsed();
                next += 1;
            }
            elapsed
        });
    });
    let mut page_out = page_aligned(PAGE as usize);
    for (name, check) in [("bare", false), ("bare-with-crc", true)] {
        group.bench_function(BenchmarkId::new(name, PAGE), |bencher| {
            bencher.iter_custom(|times| {
                let mut elapsed = Duration::ZERO;
                for number in 0..times {
                    let start = Instant::now();
                    workload
                        .plain
                        .read_exact_at(black_box(&mut page_out), order[number as usize % order.len()])
                        .unwrap();
                    black_box(check.then(|| checksum(CrcAlgorithm::Crc32Iscsi, &page_out)));
                    elapsed += start.elapsed();
                }
                elapsed
            });
        });
    }
    assert_eq!(file.stats().origin_bytes, 0);
}
