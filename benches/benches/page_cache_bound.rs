//! The bound: what filling costs in a cache that is full all the time, and what an eviction costs among few objects and
//! among many.
//!
//! The origin is memory and the files are in the system's page cache, so neither a network nor a disk is measured, but
//! for the write-back that the system does meanwhile.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memmap2::MmapMut;
use page_cache::{Advice, Cache, CacheBuilder, CachedFile, FnOrigin, Freshness, Origin, Stat, Validators};
use rustix::fs::{FallocateFlags, fallocate};
use svf_benches::{is_first_round, is_quick, page_aligned, pattern, settings};
use tempfile::TempDir;

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

/// A cache that is full of one long object, of which nothing is read twice.
struct Filled {
    cache: Cache,
    file: CachedFile,
    content: Bytes,
    out: MmapMut,
    offset: u64,
    _directory: TempDir,
}

impl Filled {
    fn new(page_size: u64, size: u64) -> Self {
        let (directory, content) = (tempfile::tempdir().unwrap(), content());
        let cache = builder(directory.path()).page_size(page_size).max_bytes(LIMIT).open().unwrap();
        let file = cache.file(origin("long".into(), LONG, &content)).unwrap();
        // So that all of them are misses.
        file.advise(0..u64::MAX, Advice::Random);
        let mut filled =
            Self { cache, file, content, out: page_aligned(size as usize), offset: 0, _directory: directory };
        while filled.offset < LIMIT + LIMIT / 4 {
            let start = (filled.offset % (filled.content.len() as u64 / 2)) as usize;
            filled.read_on();
            assert!(*filled.out == filled.content[start..start + size as usize]);
        }
        let held = filled.file.held().num_bytes();
        assert!(held > LIMIT * 3 / 4 && held < LIMIT, "{held}");
        filled.check();
        filled
    }

    fn read_on(&mut self) {
        self.file.read_exact_at(black_box(&mut self.out), self.offset).unwrap();
        self.offset += self.out.len() as u64;
    }

    fn check(&self) {
        let stats = self.cache.stats();
        // While blocks of the index are given back, which is a matter of a moment where nobody else wants the
        // processor, nothing is stored.
        assert!(stats.bypasses * 4 < stats.requests && self.cache.usage().charged <= LIMIT, "{stats:?}");
    }
}

/// A file that is written on and on, and given back as far behind as the limit is long.
struct BareFile {
    file: File,
    content: Bytes,
    size: u64,
    offset: u64,
}

impl BareFile {
    fn new(size: u64) -> Self {
        let (file, content) = (tempfile::tempfile().unwrap(), content());
        file.set_len(LONG).unwrap();
        let mut bare = Self { file, content, size, offset: 0 };
        while bare.offset < LIMIT + LIMIT / 4 {
            bare.write_on();
        }
        bare
    }

    fn write_on(&mut self) {
        self.file.write_all_at(black_box(&self.content[..self.size as usize]), self.offset).unwrap();
        if self.offset >= LIMIT && self.offset.is_multiple_of(MIB) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&self.file, flags, self.offset - LIMIT, MIB).unwrap();
        }
        self.offset += self.size;
    }
}

/// Reads that are all misses, of pages for which others have to go; beside writing as much to a file, and giving back
/// as much of it.
fn fill_and_evict(criterion: &mut Criterion) {
    for (page_size, size) in [(64 << 10, 64 << 10), (64 << 10, MIB), (4 << 10, 4 << 10), (4 << 10, MIB)] {
        if is_quick() && page_size != size {
            continue;
        }
        // Only what is asked for is made ready.
        let (mut filled, mut bare) = (None, None);
        let mut group = criterion.benchmark_group(format!("page-cache/fill-and-evict-{}KiB-pages", page_size >> 10));
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let filled = filled.get_or_insert_with(|| Filled::new(page_size, size));
            bencher.iter(|| filled.read_on());
            filled.check();
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            let bare = bare.get_or_insert_with(|| BareFile::new(size));
            bencher.iter(|| bare.write_on());
        });
    }
}

/// A cache that is full of small objects, of which each is a pair of files of its own.
struct Objects {
    cache: Cache,
    content: Bytes,
    next: usize,
    limit: u64,
    directory: TempDir,
}

impl Objects {
    fn new(count: usize) -> Self {
        let (directory, content) = (tempfile::tempdir().unwrap(), content());
        let cache = Self::options(&directory).max_bytes(1 << 40).open().unwrap();
        let mut objects = Self { cache, content, next: 0, limit: 0, directory };
        (0..count).for_each(|_| objects.store());
        objects.limit = objects.cache.usage().charged;
        objects.cache = Self::options(&objects.directory).max_bytes(objects.limit).open().unwrap();
        // Some may have gone already, so that there is room.
        assert!((count * 9 / 10..=count).contains(&objects.cache.entries().len()));
        objects
    }

    fn options(directory: &TempDir) -> CacheBuilder {
        builder(directory.path()).page_size(SMALL).max_open_entries(4)
    }

    /// Stores one object more.
    fn store(&mut self) {
        let file = self.cache.file(origin(format!("object:{}", self.next), SMALL, &self.content)).unwrap();
        let mut out = [0; SMALL as usize];
        file.read_exact_at(&mut out, 0).unwrap();
        assert!(out == self.content[..out.len()]);
        self.next += 1;
    }

    /// How long it takes to have one of them go.
    fn evict(&mut self) -> Duration {
        let charged = self.cache.usage().charged;
        let start = Instant::now();
        let usage = self.cache.evict_to(charged - 1).unwrap();
        let elapsed = start.elapsed();
        assert!(usage.charged < charged);
        elapsed
    }

    fn check(&self) {
        let stats = self.cache.stats();
        assert!(stats.bypasses * 10 < stats.requests && self.cache.usage().charged <= self.limit, "{stats:?}");
    }
}

/// As few files as anybody can do with who keeps as many objects.
struct BareObjects {
    directory: TempDir,
    content: Vec<u8>,
    oldest: usize,
    next: usize,
}

impl BareObjects {
    const FILES: [&str; 3] = ["data", "index", "head"];

    fn new(count: usize) -> Self {
        let content = pattern(SMALL as usize, SEED);
        let mut bare = Self { directory: tempfile::tempdir().unwrap(), content, oldest: 0, next: 0 };
        (0..count).for_each(|_| bare.store());
        bare
    }

    fn path(&self, number: usize, file: &str) -> PathBuf {
        self.directory.path().join(format!("{number}.{file}"))
    }

    fn store(&mut self) {
        for file in Self::FILES {
            File::create(self.path(self.next, file)).unwrap().write_all_at(&self.content, 0).unwrap();
        }
        self.next += 1;
    }

    fn remove(&mut self) {
        Self::FILES.iter().for_each(|file| std::fs::remove_file(self.path(self.oldest, file)).unwrap());
        self.oldest += 1;
    }
}

/// Small objects: one more when the limit is reached, so that another goes; letting one go alone; and opening one that
/// is stored. None of that is to depend on how many there are.
fn among_objects(criterion: &mut Criterion) {
    for count in [10, 2_000, 100_000] {
        if is_quick() && count > 10 || !is_first_round() && count > 2_000 {
            continue;
        }
        let (mut objects, mut bare) = (None, None);
        let mut group = criterion.benchmark_group("page-cache/new-object-when-full");
        group.bench_function(BenchmarkId::new("ours", count), |bencher| {
            let objects = objects.get_or_insert_with(|| Objects::new(count));
            bencher.iter(|| objects.store());
            objects.check();
        });
        group.bench_function(BenchmarkId::new("bare", count), |bencher| {
            let bare = bare.get_or_insert_with(|| BareObjects::new(count));
            bencher.iter(|| {
                bare.store();
                bare.remove();
            });
        });
        group.finish();
        let mut group = criterion.benchmark_group("page-cache/evict-an-object");
        group.bench_function(BenchmarkId::new("ours", count), |bencher| {
            let objects = objects.get_or_insert_with(|| Objects::new(count));
            // Nobody else is to evict, as ahead of need.
            let _roomy = Objects::options(&objects.directory).max_bytes(1 << 40).open().unwrap();
            let mut evict = || {
                objects.store();
                objects.evict()
            };
            bencher.iter_custom(|times| (0..times).map(|_| evict()).sum());
            drop(Objects::options(&objects.directory).max_bytes(objects.limit).open().unwrap());
        });
        group.bench_function(BenchmarkId::new("bare", count), |bencher| {
            let bare = bare.get_or_insert_with(|| BareObjects::new(count));
            let mut remove = || {
                bare.store();
                let start = Instant::now();
                bare.remove();
                start.elapsed()
            };
            bencher.iter_custom(|times| (0..times).map(|_| remove()).sum());
        });
        group.finish();
        let mut group = criterion.benchmark_group("page-cache/open-an-object");
        group.bench_function(BenchmarkId::new("ours", count), |bencher| {
            let objects = objects.get_or_insert_with(|| Objects::new(count));
            // In turn more of them than are kept open.
            let newest = (objects.next.saturating_sub(1_000)..objects.next).map(|number| format!("object:{number}"));
            let keys: Vec<String> = newest.filter(|key| objects.cache.entry(key).is_some()).collect();
            let mut keys = keys.iter().cycle();
            bencher.iter(|| {
                let file = objects.cache.file(origin(keys.next().unwrap().clone(), SMALL, &objects.content)).unwrap();
                assert!(file.page_size().is_some());
            });
        });
    }
}

criterion_group! {
    name = page_cache_bound;
    config = settings();
    targets = fill_and_evict, among_objects
}
criterion_main!(page_cache_bound);
