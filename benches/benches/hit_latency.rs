//! How long hits take, one by one: while nothing else happens, while another thread fills a cache that is full, so that
//! something else has to go all the time, and while the origin takes 200 ms for another page of the same object.
//!
//! ```text
//! cargo bench --package svf-benches --bench hit_latency
//! ```
//!
//! The three take turns, and of each percentile the lowest of all rounds is shown: on a machine that others use the
//! rest is theirs. A thread that does nothing but compute, in the place of the one that fills, shows how much of what
//! is left is the processor's and not the cache's.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot do its work has nothing to show")]

use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, Origin, Stat, Validators};
use svf_benches::{is_quick, is_wanted, page_aligned, pattern, random_reads, record};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 256 * MIB;
/// What is hit. It is read often enough to stay.
const HOT: u64 = 16 * MIB;
const LONG: u64 = 1 << 40;
const HITS: usize = 50_000;
const SLOW: Duration = Duration::from_millis(200);

fn origin(key: &str, content: &Bytes, delay: Duration) -> impl Origin + use<> {
    let (content, validators) = (content.clone(), Validators { version: Some("1".into()), ..Validators::default() });
    FnOrigin::new(key, Stat { length: LONG, validators }, move |range: Range<u64>| {
        // What is hot has been fetched before anything is measured.
        if range.start >= HOT {
            std::thread::sleep(delay);
        }
        let start = (range.start % HOT) as usize;
        Ok(content.slice(start..start + (range.end - range.start) as usize))
    })
}

/// How long each of many hits took, in nanoseconds, in order; they go on for as long as somebody asks for more.
fn hits(file: &CachedFile, content: &[u8], size: u64, goes_on: impl Fn() -> bool) -> Vec<u64> {
    let reads = random_reads(HITS, size, 1, HOT, 0x5EED);
    let mut out = page_aligned(size as usize);
    let mut times = Vec::new();
    while times.is_empty() || goes_on() {
        times.extend(reads.iter().map(|read| {
            let start = Instant::now();
            file.read_at(black_box(&mut out), read.start).unwrap();
            start.elapsed().as_nanos() as u64
        }));
    }
    assert!(*out == content[reads[HITS - 1].start as usize..][..out.len()]);
    times.sort_unstable();
    times
}

/// The same while another thread does something so many times.
fn hits_beside(file: &CachedFile, content: &[u8], size: u64, steps: u64, mut other: impl FnMut() + Send) -> Vec<u64> {
    std::thread::scope(|scope| {
        let beside = scope.spawn(move || (0..steps).for_each(|_| other()));
        hits(file, content, size, || !beside.is_finished())
    })
}

/// How they are called among the figures.
const NAMES: [&str; 5] = ["quiet", "computing", "evicting", "slow-quiet", "slow-origin"];

fn main() {
    let rounds = if is_quick() { 1 } else { 4 };
    let name = |part: &str, name: &str, size: u64| format!("page-cache/hit-latency-{part}/{name}/{size}");
    if !["p50", "p99", "p99.9"].iter().any(|part| NAMES.iter().any(|case| is_wanted(&name(part, case, 4096)))) {
        return;
    }
    let content: Bytes = [pattern(HOT as usize, 1), vec![0; MIB as usize]].concat().into();
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &Path| Cache::builder(path).max_bytes(LIMIT).freshness(Freshness::Immutable).open().unwrap();
    let cache = open(&directory.path().join("full"));
    let open_full = || cache.file(origin("filled", &content, Duration::ZERO)).unwrap();
    // Each handle has counters of its own.
    let (file, filled) = (open_full(), open_full());
    let slow_cache = open(&directory.path().join("slow"));
    let open_slow = || slow_cache.file(origin("slow", &content, SLOW)).unwrap();
    let (slow, slowly_filled) = (open_slow(), open_slow());
    // What it reads ahead would be more than it is meant to fill.
    for file in [&filled, &slowly_filled] {
        file.advise(0..u64::MAX, Advice::Random);
    }
    for file in [&file, &slow] {
        assert!(file.bytes(0..HOT).unwrap() == content[..HOT as usize]);
        // It must not go for what is filled beside it.
        assert!(file.keep(0..HOT).unwrap());
    }
    let mut out = page_aligned(MIB as usize);
    let mut next = HOT;
    let mut fill = || {
        filled.read_exact_at(&mut out, next).unwrap();
        next += MIB;
    };
    (0..LIMIT / MIB).for_each(|_| fill());
    let (mut slow_next, misses) = (HOT, [&file, &slow].map(|file| file.stats().misses));

    for size in [64, 4 << 10, 64 << 10] {
        let mut lowest = [[u64::MAX; 3]; 5];
        for _ in 0..rounds {
            let quiet = hits(&file, &content, size, || false);
            let computing = hits_beside(&file, &content, size, 50_000, || {
                black_box((0..1_000u64).fold(0, |sum, number| sum ^ black_box(number)));
            });
            let evicting = hits_beside(&file, &content, size, 256, &mut fill);
            let slow_quiet = hits(&slow, &content, size, || false);
            let slow_origin = hits_beside(&slow, &content, size, 2, || {
                slowly_filled.read_exact_at(&mut [0], slow_next).unwrap();
                slow_next += MIB;
            });
            for (lowest, times) in lowest.iter_mut().zip([quiet, computing, evicting, slow_quiet, slow_origin]) {
                for (lowest, part) in lowest.iter_mut().zip([0.5, 0.99, 0.999]) {
                    *lowest = (*lowest).min(times[(part * times.len() as f64) as usize]);
                }
            }
        }
        for (case, times) in NAMES.into_iter().zip(lowest) {
            for (part, time) in ["p50", "p99", "p99.9"].into_iter().zip(times) {
                record(&name(part, case, size), time as f64, "ns");
            }
        }
    }
    assert_eq!([&file, &slow].map(|file| file.stats().misses), misses, "what was measured are hits");
    assert!(cache.usage().charged <= LIMIT && next > 2 * LIMIT && slow_next > HOT);
}
