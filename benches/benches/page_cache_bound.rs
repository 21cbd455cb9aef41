//! The bound: what filling costs in a cache that is full all the time, and what an eviction costs among few objects and
//! among many.
//!
//! The origin is memory and the files are in the system's page cache, so neither a network nor a disk is measured, but for
//! the write-back that the system does meanwhile.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use page_cache::{Cache, CacheBuilder, FnOrigin, Freshness, Origin, Stat, Validators};
use rustix::fs::{FallocateFlags, fallocate};
use svf_benches::{pattern, quick};

const SEED: u64 = 0x5EED;
const MIB: u64 = 1 << 20;
/// How much the caches hold that are full of one long object.
const LIMIT: u64 = 256 * MIB;
/// So long that nobody comes to its end: every read is the first of its pages.
const LONG: u64 = 1 << 40;
/// What the small objects have.
const SMALL: u64 = 4096;

/// An object of any length, of the same bytes over and over.
fn origin(key: String, length: u64, content: &Bytes) -> impl Origin + use<> {
    let (content, validators) = (content.clone(), Validators { version: Some("1".into()), ..Validators::default() });
    FnOrigin::new(key, Stat { length, validators }, move |range: Range<u64>| {
        let start = (range.start % (content.len() as u64 / 2)) as usize;
        Ok(content.slice(start..start + (range.end - range.start) as usize))
    })
}

/// Twice the same bytes, so that each range of at most half of them is in one piece.
fn content() -> Bytes {
    let mut content = pattern(8 << 20, SEED);
    content.extend_from_within(..);
    content.into()
}

fn builder(directory: &Path) -> CacheBuilder {
    Cache::builder(directory).freshness(Freshness::Immutable)
}

/// Reads that are all misses, of pages for which others have to go; beside writing as much to a file, and giving back as
/// much of it, as far behind as the limit is long.
fn fill_and_evict(criterion: &mut Criterion) {
    let content = content();
    for (page_size, size) in [(64 << 10, 64 << 10), (64 << 10, MIB), (4 << 10, 4 << 10), (4 << 10, MIB)] {
        let directory = tempfile::tempdir().unwrap();
        let cache = builder(directory.path()).page_size(page_size).max_bytes(LIMIT).open().unwrap();
        let file = cache.file(origin("long".into(), LONG, &content)).unwrap();
        let mut out = vec![0; size as usize];
        let mut offset = 0;
        while offset < LIMIT + LIMIT / 4 {
            file.read_exact_at(&mut out, offset).unwrap();
            assert!(out == content[(offset % (content.len() as u64 / 2)) as usize..][..out.len()]);
            offset += size;
        }
        let held = file.held().num_bytes();
        assert!(held > LIMIT * 3 / 4 && held < LIMIT && cache.usage().charged <= LIMIT, "{held}");

        let mut group = criterion.benchmark_group(format!("page-cache/fill-and-evict-{}KiB-pages", page_size >> 10));
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            bencher.iter(|| {
                file.read_exact_at(black_box(&mut out), offset).unwrap();
                offset += size;
            });
        });
        // While blocks of the index are given back, which is a matter of a moment, nothing is stored.
        let stats = cache.stats();
        assert!(stats.bypasses * 10 < stats.requests && cache.usage().charged <= LIMIT, "{stats:?}");
        let bare = File::create(directory.path().join("bare")).unwrap();
        bare.set_len(LONG).unwrap();
        let mut offset = 0;
        let mut step = || {
            bare.write_all_at(black_box(&content[..size as usize]), offset).unwrap();
            if offset >= LIMIT && offset.is_multiple_of(MIB) {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&bare, flags, offset - LIMIT, MIB).unwrap();
            }
            offset += size;
        };
        (0..(LIMIT + LIMIT / 4) / size).for_each(|_| step());
        group.bench_function(BenchmarkId::new("bare", size), |bencher| bencher.iter(&mut step));
    }
}

/// Small objects, of which each is a pair of files of its own: one more when the limit is reached, so that another goes;
/// and letting one go alone.
fn among_objects(criterion: &mut Criterion) {
    let content = content();
    for objects in [10, 2_000, 100_000] {
        let directory = tempfile::tempdir().unwrap();
        let options = || builder(directory.path()).page_size(SMALL).max_open_entries(4);
        let cache = options().max_bytes(1 << 40).open().unwrap();
        let mut next = 0;
        let mut store = |cache: &Cache| {
            let file = cache.file(origin(format!("object:{next}"), SMALL, &content)).unwrap();
            let mut out = [0; SMALL as usize];
            file.read_exact_at(&mut out, 0).unwrap();
            assert!(out == content[..out.len()]);
            next += 1;
        };
        (0..objects).for_each(|_| store(&cache));
        let limit = cache.usage().charged;
        drop(cache);
        let cache = options().max_bytes(limit).open().unwrap();
        // Some have gone already, so that there is room.
        assert!(cache.entries().len() > objects * 9 / 10);

        let mut group = criterion.benchmark_group("page-cache/new-object-when-full");
        group.bench_function(BenchmarkId::new("ours", objects), |bencher| bencher.iter(|| store(&cache)));
        // The least that anybody can do who keeps as many objects in files of their own.
        let bare = tempfile::tempdir().unwrap();
        let mut number = 0;
        let mut store_bare = || {
            for kind in ["data", "index", "head"] {
                let file = File::create(bare.path().join(format!("{number}.{kind}"))).unwrap();
                file.write_all_at(&content[..SMALL as usize], 0).unwrap();
            }
            number += 1;
        };
        (0..objects).for_each(|_| store_bare());
        let mut oldest = 0;
        group.bench_function(BenchmarkId::new("bare", objects), |bencher| {
            bencher.iter(|| {
                store_bare();
                for kind in ["data", "index", "head"] {
                    std::fs::remove_file(bare.path().join(format!("{oldest}.{kind}"))).unwrap();
                }
                oldest += 1;
            });
        });
        group.finish();
        assert!(cache.usage().charged <= limit && cache.entries().len() <= objects);

        let mut group = criterion.benchmark_group("page-cache/evict-an-object");
        group.bench_function(BenchmarkId::new("ours", objects), |bencher| {
            bencher.iter_custom(|times| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..times {
                    store(&cache);
                    let charged = cache.usage().charged;
                    let start = Instant::now();
                    let usage = cache.evict_to(charged - 1).unwrap();
                    elapsed += start.elapsed();
                    assert!(usage.charged < charged);
                }
                elapsed
            });
        });
    }
}

criterion_group! {
    name = page_cache_bound;
    config = quick();
    targets = fill_and_evict, among_objects
}
criterion_main!(page_cache_bound);
