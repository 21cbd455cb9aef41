//! An object store that reads through the cache: what a hit costs beside `LocalFileSystem` of the same bytes, and what
//! a cold read costs over a store that takes 20 ms for each request beside that store alone.
//!
//! The delay is slept, by a thread for each request, since timers of a runtime end at full milliseconds; nothing is
//! sent. Beside the groups of criterion, which measure one function after the other,
//! cold reads of both are also made in turn, and the ratio of their medians is printed.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use page_cache::{Cache, CachedStore, Freshness, ObjectStoreOrigin};
use svf_benches::{is_quick, pattern, random_reads, settings};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const SEED: u64 = 0x5EED;
const LEN: u64 = 32 << 20;
/// How many places are read in turn.
const READS: usize = 4096;
/// What a request to the store below takes.
const LATENCY: Duration = Duration::from_millis(20);
/// So often each is read cold in turn.
const ROUNDS: usize = 40;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The objects do not change, so they are not looked at again.
fn cached(store: Arc<dyn ObjectStore>, directory: &TempDir) -> CachedStore {
    let cache = Cache::builder(directory.path()).freshness(Freshness::Immutable).open().unwrap();
    CachedStore::new(store, cache, "benchmark")
}

/// Reads of what is held and has been checked by this process.
fn hits(criterion: &mut Criterion) {
    let (runtime, content) = (runtime(), pattern(LEN as usize, SEED));
    let (below, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = Path::from("object");
    std::fs::write(below.path().join("object"), &content).unwrap();
    let bare: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(below.path()).unwrap());
    let ours = cached(Arc::clone(&bare), &directory);
    // The second time it is read and checked where it was stored.
    for _ in 0..2 {
        assert!(runtime.block_on(async { ours.get(&path).await.unwrap().bytes().await.unwrap() }) == content);
    }
    let origin = ObjectStoreOrigin::new(Arc::clone(&bare), path.clone(), "benchmark".to_owned());
    let file = ours.cache().file(origin).unwrap();
    let requests = ours.cache().stats().requests;

    for size in [4 << 10, 64 << 10, 1 << 20] {
        let reads = random_reads(READS, size, 1, LEN, SEED);
        let mut group = criterion.benchmark_group("cached-store/hit-get_range");
        group.throughput(Throughput::Bytes(size));
        for (name, store) in [("ours", &ours as &dyn ObjectStore), ("bare", &bare)] {
            for read in reads.iter().take(64) {
                let got = runtime.block_on(store.get_range(&path, read.clone())).unwrap();
                assert!(got == content[read.start as usize..read.end as usize], "{name} {read:?}");
            }
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let mut reads = reads.iter().cycle();
                bencher.iter_custom(|times| {
                    runtime.block_on(async {
                        let begun = Instant::now();
                        for _ in 0..times {
                            let read = reads.next().unwrap().clone();
                            black_box(store.get_range(black_box(&path), read).await.unwrap());
                        }
                        begun.elapsed()
                    })
                });
            });
        }
        // What is left without a store in front.
        group.bench_function(BenchmarkId::new("file", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let begun = Instant::now();
                    for _ in 0..times {
                        black_box(file.bytes_async(reads.next().unwrap().clone()).await.unwrap());
                    }
                    begun.elapsed()
                })
            });
        });
    }
    assert_eq!(ours.cache().stats().requests, requests, "all of these were hits");
}

/// A store in memory that takes its time for each request that reads.
#[derive(Debug, Default)]
struct Delayed(InMemory);

impl std::fmt::Display for Delayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delayed({})", self.0)
    }
}

#[async_trait]
impl ObjectStore for Delayed {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        tokio::task::spawn_blocking(|| std::thread::sleep(LATENCY)).await.unwrap();
        self.0.get_opts(location, options).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// Objects that nobody has read, behind a delay.
struct Cold {
    runtime: Runtime,
    content: Bytes,
    bare: Arc<dyn ObjectStore>,
    ours: CachedStore,
    made: AtomicU64,
    _directory: TempDir,
}

impl Cold {
    fn new() -> Self {
        let bare: Arc<dyn ObjectStore> = Arc::new(Delayed::default());
        let directory = tempfile::tempdir().unwrap();
        let ours = cached(Arc::clone(&bare), &directory);
        let content = pattern(LEN as usize, SEED).into();
        Self { runtime: runtime(), content, bare, ours, made: AtomicU64::new(0), _directory: directory }
    }

    /// How long it takes to read a new object in three steps, each of which needs the one before, as parsers do.
    fn read_on(&self, store: &dyn ObjectStore) -> Duration {
        self.runtime.block_on(async {
            let path = Path::from(format!("object {}", self.made.fetch_add(1, Ordering::Relaxed)));
            self.bare.put(&path, self.content.clone().into()).await.unwrap();
            let begun = Instant::now();
            for range in [LEN - 8..LEN, (20 << 20)..(20 << 20) + 50_000, (5 << 20)..(5 << 20) + 50_000] {
                let read = store.get_range(&path, range.clone()).await.unwrap();
                assert!(read == self.content.slice(range.start as usize..range.end as usize), "{range:?}");
            }
            begun.elapsed()
        })
    }

    /// How long it takes to read these ranges of a new object, of which the last page has been read if it is `known`.
    fn read(&self, store: &dyn ObjectStore, known: bool, ranges: &[Range<u64>]) -> Duration {
        self.runtime.block_on(async {
            let path = Path::from(format!("object {}", self.made.fetch_add(1, Ordering::Relaxed)));
            self.bare.put(&path, self.content.clone().into()).await.unwrap();
            if known {
                store.get_range(&path, LEN - 1..LEN).await.unwrap();
                // What is left of the first read is not this one's.
                self.ours.flush().await;
            }
            let begun = Instant::now();
            let read = match ranges {
                [range] => vec![store.get_range(&path, range.clone()).await.unwrap()],
                ranges => store.get_ranges(&path, ranges).await.unwrap(),
            };
            let took = begun.elapsed();
            for (range, read) in ranges.iter().zip(read) {
                assert!(read == self.content.slice(range.start as usize..range.end as usize), "{range:?}");
            }
            took
        })
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Both in turn, ours first.
fn compare(name: &str, round: impl Fn() -> (Duration, Duration)) {
    let rounds = if is_quick() { 1 } else { ROUNDS };
    let (ours, bare): (Vec<_>, Vec<_>) = (0..rounds).map(|_| round()).unzip();
    let (ours, bare) = (median(ours), median(bare));
    println!("cold-{name}, in turn: ours {ours:.2} ms, bare {bare:.2} ms, {:.3} of it\n", ours / bare);
}

fn cold(criterion: &mut Criterion) {
    let cold = Cold::new();
    let one = vec![(5 << 20) + 100..(5 << 20) + 4196];
    let near: Vec<_> = (0..8).map(|part| (5 << 20) + part * 100_000..(5 << 20) + part * 100_000 + 4096).collect();
    let far: Vec<_> = (0..7).map(|part| part << 22..(part << 22) + 4096).collect();
    let cases = [
        ("first-get_range", false, &one),
        ("first-get_ranges-near", false, &near),
        ("first-get_ranges-far", false, &far),
    ];
    let further = [("get_range", true, &one), ("get_ranges-near", true, &near), ("get_ranges-far", true, &far)];
    for (name, known, ranges) in cases.into_iter().chain(further) {
        let mut group = criterion.benchmark_group(format!("cached-store/cold-{name}"));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        for (which, store) in [("ours", &cold.ours as &dyn ObjectStore), ("bare", &cold.bare)] {
            group.bench_function(which, |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| cold.read(store, known, ranges)).sum());
            });
        }
        compare(name, || (cold.read(&cold.ours, known, ranges), cold.read(&cold.bare, known, ranges)));
    }
    compare("three-reads", || (cold.read_on(&cold.ours), cold.read_on(&cold.bare)));
}

criterion_group! {
    name = cached_store;
    config = settings();
    targets = hits, cold
}
criterion_main!(cached_store);
