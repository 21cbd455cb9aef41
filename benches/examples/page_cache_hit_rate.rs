//! How many of the uses of a trace are hits of a cache on a disk, beside what other policies would have made of the same
//! trace with as much room.
//!
//! ```text
//! cargo run --release --package svf-benches --example page_cache_hit_rate
//! ```
//!
//! Objects are used by a Zipf distribution, and between that somebody scans what nobody uses again soon.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot do its work has nothing to show")]

#[path = "../../crates/page-cache/src/directory/eviction/simulation/peers.rs"]
mod peers;

use std::ops::Range;

use bytes::Bytes;
use page_cache::{Cache, FnOrigin, Freshness, Stat, Validators};
use peers::{Random, S3Fifo, Trace, Zipf, least_recently_used, optimum};
use svf_benches::pattern;

/// A page, and so an extent.
const PAGE: u64 = 1 << 20;
/// How many of them fit, with what they cost beyond their bytes.
const CAPACITY: usize = 200;
const USES: usize = 20_000;
const POPULAR: u64 = 2_000;
const SCANNED: u64 = 6_000;

fn trace() -> Trace {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let zipf = Zipf::new(POPULAR, 0.9, &mut random);
    let (mut uses, mut scan) = (Vec::new(), (POPULAR..POPULAR + SCANNED).cycle());
    while uses.len() < USES {
        uses.extend((0..1_000).map(|_| zipf.next(&mut random)));
        // One that comes at once, and one that comes between the others.
        uses.extend(scan.by_ref().take(300));
        for _ in 0..300 {
            uses.push(zipf.next(&mut random));
            uses.extend(scan.next());
        }
        if random.below(2) == 0 {
            uses.extend((0..500).map(|_| zipf.next(&mut random)));
        }
    }
    uses.truncate(USES);
    Trace { name: "zipf 0.9 and scans", uses, capacity: CAPACITY }
}

/// The hits of a cache of which each extent is a page of an object.
fn ours(trace: &Trace) -> usize {
    let content = Bytes::from(pattern(2 * PAGE as usize, 1));
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let bytes = {
        let content = content.clone();
        move |range: Range<u64>| {
            let start = (range.start / PAGE % PAGE) as usize;
            Ok(content.slice(start..start + (range.end - range.start) as usize))
        }
    };
    let origin = FnOrigin::new("object", Stat { length: (POPULAR + SCANNED) * PAGE, validators }, bytes);
    let directory = tempfile::tempdir().unwrap();
    let builder = || Cache::builder(directory.path()).page_size(PAGE).freshness(Freshness::Immutable);
    // What an empty cache with this object is charged, and what each page is.
    let cache = builder().max_bytes(1 << 40).open().unwrap();
    let file = cache.file(origin).unwrap();
    file.bytes(0..1).unwrap();
    let one = cache.usage().charged;
    file.bytes(PAGE..PAGE + 1).unwrap();
    let page = cache.usage().charged - one;
    file.evict(0..2 * PAGE).unwrap();
    let limit = cache.usage().charged + page * trace.capacity as u64;
    let _limited = builder().max_bytes(limit).open().unwrap();

    let (before, mut out) = (file.stats(), [0; 64]);
    for &number in &trace.uses {
        file.read_exact_at(&mut out, number * PAGE).unwrap();
        assert!(out == content[number as usize..][..out.len()]);
    }
    let after = file.stats();
    assert!(cache.usage().charged <= limit);
    assert_eq!(after.bypasses, before.bypasses);
    (after.hits - before.hits) as usize
}

fn main() {
    let trace = trace();
    println!("{}: {} uses, {} fit", trace.name, trace.uses.len(), trace.capacity);
    println!("{:>8} {:>8} {:>8} {:>8}   hits in a hundred uses", "ours", "S3-FIFO", "LRU", "optimum");
    let rate = |hits: usize| 100.0 * hits as f64 / trace.uses.len() as f64;
    let [ours, s3_fifo, lru, optimum] =
        [ours(&trace), S3Fifo::hits(&trace), least_recently_used(&trace), optimum(&trace)].map(rate);
    println!("{ours:8.2} {s3_fifo:8.2} {lru:8.2} {optimum:8.2}");
    assert!(ours <= optimum && ours >= s3_fifo - 2.0, "more than two points behind");
}
