//! What readers of well-known formats asked for, asked of a cache: the requests and bytes that it costs the origin
//! cold, which are exact, and the time of a read where all of it is held, beside `pread` of the same places.
//!
//! `benches/examples/record_traces.rs` says where the traces come from.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use page_cache::{Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};
use svf_benches::{SEED, Trace, is_wanted, page_aligned, pattern, record, settings, traces};

/// What each costs that reads it for the first time, with pages of 64 KiB.
const COSTS: [(&str, u64, u64); 7] = [
    ("tiff-tile", 2, 196_608),
    ("zip-member", 4, 203_734),
    ("parquet-row-group", 5, 547_434),
    ("hdf5-slice", 64, 4_784_128),
    ("rp66v1-index", 11, 12_288_080),
    ("scattered", 382, 26_083_328),
    ("forward-with-gaps", 11, 17_367_040),
];

/// Reads all of a trace, in its order.
fn replay(trace: &Trace, mut read: impl FnMut(&mut [u8], u64)) {
    let mut out = page_aligned(trace.reads.iter().map(|read| read.end - read.start).max().unwrap_or(0) as usize);
    for range in &trace.reads {
        read(black_box(&mut out[..(range.end - range.start) as usize]), range.start);
    }
}

fn replays(criterion: &mut Criterion) {
    let mut costs = Vec::new();
    for trace in traces() {
        let content: Bytes = pattern(trace.len as usize, SEED).into();
        let directory = tempfile::tempdir().unwrap();
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let (stat, served) = (Stat { length: trace.len, validators }, content.clone());
        let fetch = move |range: Range<u64>| Ok(served.slice(range.start as usize..range.end as usize));
        let cache = Cache::builder(directory.path()).freshness(Freshness::Immutable).open().unwrap();
        let file: CachedFile = cache.file(FnOrigin::new(trace.name, stat, fetch)).unwrap();
        let read = |file: &CachedFile| {
            replay(&trace, |out, start| {
                file.read_exact_at(out, start).unwrap();
                assert!(*out == content[start as usize..][..out.len()]);
            });
        };
        read(&file);
        // What is read ahead may still come.
        let mut stats = file.stats();
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let before = std::mem::replace(&mut stats, file.stats());
            if (before.requests, before.origin_bytes) == (stats.requests, stats.origin_bytes) {
                break;
            }
        }
        let cost = (trace.name, stats.requests, stats.origin_bytes);
        costs.push(cost);
        for (name, value, unit) in [
            ("requests", cost.1, "requests"),
            ("fetched", cost.2, "B"),
            ("asked", trace.asked(), "B"),
            ("reads", trace.reads.len() as u64, "reads"),
        ] {
            let id = format!("traces/{}/{name}", trace.name);
            if is_wanted(&id) {
                record(&id, value as f64, unit);
            }
        }
        // Now it is checked where it was stored.
        read(&file);
        let plain = tempfile::tempfile().unwrap();
        plain.write_all_at(&content, 0).unwrap();
        let mut group = criterion.benchmark_group("traces/warm");
        group.throughput(Throughput::Elements(trace.reads.len() as u64));
        group.bench_function(BenchmarkId::new("ours", trace.name), |bencher| {
            bencher.iter(|| replay(&trace, |out, start| file.read_exact_at(out, start).unwrap()));
        });
        group.bench_function(BenchmarkId::new("bare", trace.name), |bencher| {
            bencher.iter(|| replay(&trace, |out, start| plain.read_exact_at(out, start).unwrap()));
        });
    }
    assert_eq!(costs, COSTS, "a trace costs the origin something else than it did");
}

criterion_group! {
    name = all;
    config = settings();
    targets = replays
}
criterion_main!(all);
