//! foyer: hits of 4 KiB in its hybrid cache, from its memory and from its disk.
//!
//! A value is what is read, 4 KiB, so that nothing is read that nobody wants; and, as a cache of a file has it, a page
//! of 64 KiB of which 4 KiB are copied. The files are in the system's page cache, as everybody's are.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy,
    PsyncIoEngineConfig,
};
use svf_benches::{CACHED_LEN, QUERIES, SEED, page_aligned, pattern, random_reads};

const TURNS: usize = 5;
const READ: u64 = 4 << 10;

fn main() {
    // The one argument is where the workloads are, which are made here.
    let filter = std::env::var("SVF_BENCH_FILTER").unwrap_or_default();
    let content = pattern(CACHED_LEN as usize, SEED);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, memory, value) in
        [("memory", 1 << 20, READ), ("disk", 1, READ), ("memory-pages", 1 << 20, 64 << 10), ("disk-pages", 1, 64 << 10)]
    {
        let id = format!("page-cache/hit-read_at/foyer-{name}/{READ}");
        if id.contains(&filter) {
            let directory = tempfile::tempdir().unwrap();
            let lowest = runtime.block_on(async {
                let cache = filled(directory.path(), memory, value, &content).await;
                let mut lowest = f64::MAX;
                for _ in 0..TURNS {
                    lowest = lowest.min(hits(&cache, value, &content).await);
                }
                cache.close().await.unwrap();
                lowest
            });
            svf_benches::record(&id, lowest, "ns");
        }
    }
}

/// All of the file, in memory for so many values, and on disk.
async fn filled(directory: &Path, memory: usize, value: u64, content: &[u8]) -> HybridCache<u64, Vec<u8>> {
    let device = FsDeviceBuilder::new(directory).with_capacity(256 << 20).build().unwrap();
    let cache: HybridCache<u64, Vec<u8>> = HybridCacheBuilder::new()
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .memory(memory)
        .with_shards(1)
        .storage()
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(BlockEngineConfig::new(device))
        .build()
        .await
        .unwrap();
    for (number, bytes) in content.chunks(value as usize).enumerate() {
        cache.insert(number as u64, bytes.to_vec());
        // What is not written in time is not written.
        if number % 64 == 63 {
            cache.storage().wait().await;
        }
    }
    cache.storage().wait().await;
    for (number, bytes) in content.chunks(value as usize).enumerate() {
        let held = cache.get(&(number as u64)).await.unwrap();
        assert!(held.unwrap_or_else(|| panic!("{number} is not held")).value() == bytes);
    }
    cache
}

/// The time of a hit, in nanoseconds.
async fn hits(cache: &HybridCache<u64, Vec<u8>>, value: u64, content: &[u8]) -> f64 {
    // Each read lies in one value.
    let reads = random_reads(QUERIES, READ, READ, CACHED_LEN, SEED);
    let mut out = page_aligned(READ as usize);
    let start = Instant::now();
    for read in &reads {
        let entry = cache.get(&(read.start / value)).await.unwrap().unwrap();
        let at = (read.start % value) as usize;
        black_box(&mut out).copy_from_slice(&entry.value()[at..at + READ as usize]);
    }
    let elapsed = start.elapsed();
    let last = &reads[QUERIES - 1];
    assert!(*out == content[last.start as usize..last.end as usize]);
    elapsed.as_nanos() as f64 / reads.len() as f64
}
