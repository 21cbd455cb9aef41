//! Reads of what is not held: how long they take beside what the origin alone takes, and what they cost it.
//!
//! The origin is a server of this process, or a closure, that is 20 ms away. `ideal` is what nobody can beat: as many
//! requests as there are, as many at once as may be, and 20 ms for each; it is slept in the same run. How many requests
//! and bytes that takes is asserted before anything is measured.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::hint::black_box;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use loopback_origin::Origin as Server;
use page_cache::{Advice, Cache, CachedFile, FnOrigin, HttpOrigin, Stat, Validators};
use svf_benches::{is_quick, page_aligned, pattern, settings};
use tempfile::TempDir;

const SEED: u64 = 0x5EED;
const DELAY: Duration = Duration::from_millis(20);
/// The default of a cache.
const AT_ONCE: usize = 16;
const PAGE: u64 = 64 << 10;

/// A file of which nothing is held. The directory goes when it drops.
struct Cold {
    file: CachedFile,
    _directory: TempDir,
}

fn cold(open: impl FnOnce(&Cache) -> CachedFile) -> Cold {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).max_in_flight(AT_ONCE).open().unwrap();
    let file = open(&cache);
    assert_eq!(file.page_size(), Some(PAGE));
    Cold { file, _directory: directory }
}

/// Measures `read` of files of which nothing is held; opening them is not measured.
fn time_cold(times: u64, open: impl Fn() -> Cold, read: impl Fn(&CachedFile)) -> Duration {
    (0..times)
        .map(|_| {
            let cold = open();
            let start = Instant::now();
            read(&cold.file);
            start.elapsed()
        })
        .sum()
}

/// As many pauses, as many at once.
fn ideal(requests: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < requests {
                    std::thread::sleep(DELAY);
                }
            });
        }
    });
}

/// A thousand ranges in one call, and one after the other.
fn scattered(criterion: &mut Criterion) {
    let all: Bytes = pattern(256 << 20, SEED).into();
    let server = Server::builder().serve_bytes("/object", all.clone()).delay(DELAY).start().unwrap();
    let by_http = || cold(|cache| cache.file(HttpOrigin::new(&server.url("/object")).unwrap()).unwrap());
    let by_closure = || {
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let (stat, all) = (Stat { length: all.len() as u64, validators }, all.clone());
        let origin = FnOrigin::new("closure", stat, move |range| {
            std::thread::sleep(DELAY);
            Ok(all.slice(range.start as usize..range.end as usize))
        });
        cold(|cache| cache.file(origin).unwrap())
    };
    // Every fourth page, so that each is a request.
    let ranges: Vec<Range<u64>> =
        (0..1000).map(|number| number * 4 * PAGE + 5_000..number * 4 * PAGE + 9_096).collect();
    let read = |file: &CachedFile| {
        let read = file.read_ranges(&ranges).unwrap();
        assert!(ranges.iter().zip(read).all(|(range, read)| read == all[range.start as usize..range.end as usize]));
    };
    for open in [&by_http as &dyn Fn() -> Cold, &by_closure] {
        let cold = open();
        read(&cold.file);
        assert_eq!((cold.file.stats().requests, cold.file.stats().origin_bytes), (1000, 1000 * PAGE));
    }
    if is_quick() {
        // Each of these takes more than a second.
        return;
    }
    let mut group = criterion.benchmark_group("page-cache/cold-1000-ranges-at-20ms");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(1000));
    group.bench_function("ours-http", |bencher| bencher.iter_custom(|times| time_cold(times, by_http, read)));
    group.bench_function("ours-closure", |bencher| bencher.iter_custom(|times| time_cold(times, by_closure, read)));
    group.bench_function("ideal", |bencher| bencher.iter(|| ideal(ranges.len())));
}

/// 64 MiB from start to end by pieces of 64 KiB, with what is fetched ahead and without, beside one read and one
/// prefetch.
fn sequential(criterion: &mut Criterion) {
    let len: u64 = 64 << 20;
    let all: Bytes = pattern(len as usize, SEED).into();
    let server = Server::builder().serve_bytes("/object", all.clone()).delay(DELAY).start().unwrap();
    let open = || cold(|cache| cache.file(HttpOrigin::new(&server.url("/object")).unwrap()).unwrap());
    let by_pieces = |file: &CachedFile, len: u64| {
        let (mut reader, mut out, mut at) = (file.reader(), page_aligned(PAGE as usize), 0);
        while at < len as usize {
            reader.read_exact(&mut out).unwrap();
            assert!(*out == all[at..at + out.len()]);
            at += out.len();
        }
    };
    let file = open();
    by_pieces(&file.file, len);
    let stats = file.file.stats();
    println!("{} requests and {} bytes for {len} by pieces of 64 KiB", stats.requests, stats.origin_bytes);
    assert!(stats.requests <= 20 && stats.origin_bytes == len);
    if is_quick() {
        return;
    }

    let mut group = criterion.benchmark_group("page-cache/cold-sequential-at-20ms");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(len));
    group.bench_function(BenchmarkId::new("pieces", len), |bencher| {
        bencher.iter_custom(|times| time_cold(times, open, |file| by_pieces(file, len)));
    });
    group.bench_function(BenchmarkId::new("pieces-advised", len), |bencher| {
        let read = |file: &CachedFile| {
            file.advise(0..len, Advice::Sequential);
            by_pieces(file, len);
        };
        bencher.iter_custom(|times| time_cold(times, open, read));
    });
    group.bench_function(BenchmarkId::new("one-read", len), |bencher| {
        bencher.iter_custom(|times| time_cold(times, open, |file| drop(black_box(file.bytes(0..len).unwrap()))));
    });
    group.bench_function(BenchmarkId::new("prefetch", len), |bencher| {
        let prefetch = |file: &CachedFile| drop(file.prefetch(&[0..len], |_| ControlFlow::Continue(())).unwrap());
        bencher.iter_custom(|times| time_cold(times, open, prefetch));
    });
    // A sixteenth of it, since each piece is a request.
    group.throughput(Throughput::Bytes(len / 16));
    group.bench_function(BenchmarkId::new("pieces-without-read-ahead", len / 16), |bencher| {
        let read = |file: &CachedFile| {
            file.advise(0..len, Advice::Random);
            by_pieces(file, len / 16);
        };
        bencher.iter_custom(|times| time_cold(times, open, read));
    });
}

criterion_group! {
    name = page_cache_cold;
    config = settings();
    targets = scattered, sequential
}

fn main() {
    page_cache_cold();
    Criterion::default().configure_from_args().final_summary();
}
