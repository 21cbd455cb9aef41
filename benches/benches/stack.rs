//! All of it over HTTP: open an object and read 4 KiB of it, cold and warm, from a server in this process without
//! any delay. What is left is what the layers themselves cost.
//!
//! The requests and bytes are exact, and are asserted; the times are of the loopback interface.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use loopback_origin::{Counters, Origin};
use page_cache::{Cache, CachedFile, HttpOrigin};
use svf_benches::{page_aligned, pattern, settings};

const SEED: u64 = 0x5EED;
const PATH: &str = "/object.bin";
const OBJECT_LEN: usize = 8 << 20;
/// The default of a cache, asserted below.
const PAGE: u64 = 64 << 10;
/// What is read: a piece in the middle of a page in the middle of the object.
const PIECE: usize = 4 << 10;
const OFFSET: u64 = (4 << 20) + (20 << 10);

fn open(cache: &Cache, url: &str) -> CachedFile {
    cache.file(HttpOrigin::new(url).unwrap()).unwrap()
}

fn cache(directory: &Path) -> Cache {
    Cache::builder(directory).open().unwrap()
}

/// Heads, gets, connections and bytes.
fn sent(counters: &Counters) -> [u64; 4] {
    [counters.head_requests, counters.get_requests, counters.connections, counters.body_bytes]
}

fn open_and_read(criterion: &mut Criterion) {
    let content = pattern(OBJECT_LEN, SEED);
    let expected = &content[OFFSET as usize..][..PIECE];
    let server = Origin::builder().serve_bytes(PATH, content.clone()).start().unwrap();
    let url = server.url(PATH);
    let root = tempfile::tempdir().unwrap();
    let fresh_directory = || tempfile::tempdir_in(root.path()).unwrap();
    let mut out = page_aligned(PIECE);
    // The handle goes back to the caller, so that closing it is not measured.
    let mut ours = |cache: &Cache| {
        let file = open(cache, &url);
        file.read_exact_at(black_box(&mut out), OFFSET).unwrap();
        (*out == *expected, file)
    };

    let warm = fresh_directory();
    let warm_cache = cache(warm.path());
    let (right, file) = ours(&warm_cache);
    assert!(right && file.page_size() == Some(PAGE));
    drop(file);
    assert_eq!(sent(&server.counters()), [1, 1, 1, PAGE], "cold: a head and one page, by one connection");
    server.reset_counters();
    assert!(ours(&warm_cache).0);
    assert_eq!(sent(&server.counters()), [0, 0, 0, 0], "warm: nothing");
    assert!(bare(&server).ends_with(&content[4 << 20..][..PAGE as usize]));
    assert_eq!(sent(&server.counters()), [1, 1, 1, PAGE], "bare: the same as cold");

    // Nothing is known of the object: two requests, and two files to make.
    let mut group = criterion.benchmark_group("stack/open-read-cold");
    group.throughput(Throughput::Bytes(PIECE as u64)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::new("ours", PIECE), |bencher| {
        bencher.iter_batched(
            || {
                let directory = fresh_directory();
                (cache(directory.path()), directory)
            },
            |(cache, directory)| (ours(&cache), cache, directory),
            BatchSize::PerIteration,
        );
    });
    group.bench_function(BenchmarkId::new("bare", PIECE), |bencher| {
        bencher.iter_batched(|| (), |()| bare(&server), BatchSize::PerIteration);
    });
    group.finish();

    // The page is held and the last answer of the server still counts; but no handle is open, so the page is checked.
    let mut group = criterion.benchmark_group("stack/open-read-warm");
    group.throughput(Throughput::Bytes(PIECE as u64));
    group.bench_function(BenchmarkId::new("ours", PIECE), |bencher| {
        bencher.iter_batched(|| (), |()| ours(&warm_cache), BatchSize::PerIteration);
    });
    group.finish();

    // The part of both that knows nothing of caches: a client with its connection pool.
    let mut group = criterion.benchmark_group("stack/new-http-origin");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ours", |bencher| {
        bencher.iter_with_large_drop(|| HttpOrigin::new(&url).unwrap());
    });
}

/// The two requests of a cold read on a plain socket: the length, then the page. Nothing is checked or stored.
fn bare(server: &Origin) -> Vec<u8> {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let request = |method: &str, headers: &str| {
        format!("{method} {PATH} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.address())
    };
    let mut answer = Vec::with_capacity(PAGE as usize + 1024);
    socket.write_all(request("HEAD", "").as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"\r\n\r\n") {
        let count = socket.read(&mut buffer).unwrap();
        assert!(count > 0, "the server has gone");
        answer.extend_from_slice(&buffer[..count]);
    }
    answer.clear();
    let (first, last) = (4 << 20, (4 << 20) + PAGE - 1);
    let headers = format!("Range: bytes={first}-{last}\r\nConnection: close\r\n");
    socket.write_all(request("GET", &headers).as_bytes()).unwrap();
    socket.read_to_end(&mut answer).unwrap();
    answer
}

criterion_group! {
    name = stack;
    config = settings();
    targets = open_and_read
}
criterion_main!(stack);
