//! How long fills take, one by one, in a cache that is full, so that others go and blocks of the index are given back
//! all the time; and how many of them are not stored, since everybody is kept out for that.
//!
//! ```text
//! cargo run --release --package svf-benches --example page_cache_fill_latency
//! ```
//!
//! A directory as its argument says where the cache is to be, as on a file system in memory.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot do its work has nothing to show")]

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use page_cache::{Cache, FnOrigin, Freshness, Stat, Validators};
use svf_benches::pattern;

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 256 * MIB;
const LONG: u64 = 1 << 40;
const TIME: Duration = Duration::from_secs(5);

fn main() {
    let place = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let content: Bytes = pattern((2 * MIB) as usize, 1).into();
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}   us; of 1,000",
        "page", "bytes", "fills", "p50", "p99", "p99.9", "longest"
    );
    for (page_size, size) in [(64 << 10, MIB), (4 << 10, 4 << 10), (4 << 10, 64 << 10), (4 << 10, MIB)] {
        let directory = tempfile::tempdir_in(&place).unwrap();
        let builder = Cache::builder(directory.path()).freshness(Freshness::Immutable);
        let cache = builder.page_size(page_size).max_bytes(LIMIT).open().unwrap();
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let served = content.clone();
        let origin = FnOrigin::new("long", Stat { length: LONG, validators }, move |range: Range<u64>| {
            let start = (range.start % MIB) as usize;
            Ok(served.slice(start..start + (range.end - range.start) as usize))
        });
        let file = cache.file(origin).unwrap();
        let (mut out, mut offset) = (vec![0; size as usize], 0);
        let mut fill = || {
            let start = Instant::now();
            file.read_exact_at(&mut out, offset).unwrap();
            let elapsed = start.elapsed();
            let expected = (offset % MIB) as usize;
            assert!(out == content[expected..expected + out.len()]);
            offset += size;
            elapsed
        };
        (0..LIMIT / size).for_each(|_| _ = fill());
        let (before, start, mut times) = (cache.stats(), Instant::now(), Vec::new());
        while start.elapsed() < TIME {
            times.push(fill());
        }
        times.sort_unstable();
        let part = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_micros();
        let bypasses = (cache.stats().bypasses - before.bypasses) as f64 / times.len() as f64 * 1e3;
        println!(
            "{page_size:8} {size:8} {:8} {:8} {:8} {:8} {:8}   {bypasses:.1} not stored",
            times.len(),
            part(0.5),
            part(0.99),
            part(0.999),
            part(1.0)
        );
        assert!(cache.usage().charged <= LIMIT);
    }
}
