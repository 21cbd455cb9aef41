//! The workloads that others run too, in their own languages: by these names, from these seeds.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::content::pattern;
use crate::offsets::{Order, block_offsets, random_reads};

/// What all of them begin with.
pub const SEED: u64 = 0x5EED;
/// The length of a scattered block, in bytes.
pub const BLOCK: u64 = 64;
/// From the start of a scattered block to that of the next: as much is missing as is held.
pub const STRIDE: u64 = 128;
/// The length of a chunk where blocks grow.
pub const CHUNK: u64 = 4 << 10;
/// How many queries are asked in turn: more than a branch predictor learns by heart.
pub const QUERIES: usize = 4096;
/// The length of a mapped window.
pub const WINDOW: u64 = 1 << 20;
/// The length of the file that is mapped by windows.
pub const WINDOWED_LEN: u64 = 1 << 30;
/// The length of the file that is cached.
pub const CACHED_LEN: u64 = 32 << 20;

/// Ranges of a file, in the order in which they are written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `operation/parameter`, as in the names of the benchmarks.
    pub name: String,
    /// In bytes, half-open.
    pub ranges: Vec<Range<u64>>,
}

/// All workloads of which the peers in other languages take some.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let million = 1_000_000;
    let scattered = million as u64 * STRIDE;
    let shuffled = Order::Shuffled { seed: SEED };
    let mut all = Vec::new();
    let mut add = |name: String, ranges| all.push(Workload { name, ranges });
    let writes = |count, stride, len, order: Order| -> Vec<Range<u64>> {
        block_offsets(count, stride, order).into_iter().map(|offset| offset..offset + len).collect()
    };
    add("write-64B-ascending/1000000".into(), writes(million, STRIDE, BLOCK, Order::Ascending));
    add("write-64B-shuffled/1000000".into(), writes(million, STRIDE, BLOCK, shuffled));
    add("append-4KiB/268435456".into(), writes(1 << 16, CHUNK, CHUNK, Order::Ascending));
    add("fill-4KiB-shuffled/16384".into(), writes(16_384, CHUNK, CHUNK, shuffled));
    add("append-4B/100000".into(), writes(100_000, 4, 4, Order::Ascending));
    for gaps in [1, 100] {
        add(format!("need/{gaps}"), random_reads(QUERIES, gaps * STRIDE, 1, scattered, SEED));
    }
    for count in [1_000, 10_000, 100_000, million] {
        add(format!("need-by-blocks/{count}"), random_reads(QUERIES, STRIDE, 1, count as u64 * STRIDE, SEED));
    }
    let contains = random_reads(QUERIES, BLOCK / 2, BLOCK / 4, scattered, SEED);
    let block = |range: &Range<u64>| range.start / STRIDE * STRIDE..range.start / STRIDE * STRIDE + BLOCK;
    add("read-64B-among-blocks/1000000".into(), contains.iter().map(block).collect());
    add("contains-among-blocks/1000000".into(), contains);
    for len in [64, 4 << 10] {
        add(format!("read/{len}"), random_reads(QUERIES, len, 1, 64 << 20, SEED));
    }
    add("cursor-hit/64".into(), random_reads(QUERIES, 64, 1, WINDOW, SEED));
    add("window-change/1024".into(), random_reads(QUERIES, 64, 64, WINDOWED_LEN, SEED));
    add("random-copy/64".into(), random_reads(QUERIES, 64, 1, WINDOWED_LEN, SEED));
    add("hit-read_at/4096".into(), random_reads(QUERIES, 4 << 10, 1, CACHED_LEN, SEED));
    all
}

/// Writes the file that is mapped by windows, every window of which has the same pattern but for its first word, its
/// number; returns the pattern.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_windowed(path: &Path) -> io::Result<Vec<u8>> {
    let (pattern, file) = (pattern(WINDOW as usize, SEED), File::create(path)?);
    for window in 0..WINDOWED_LEN / WINDOW {
        file.write_all_at(&pattern, window * WINDOW)?;
        file.write_all_at(&window.to_le_bytes(), window * WINDOW)?;
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn workloads_have_names_of_their_own_and_ranges_of_one_length() {
        let all = workloads();
        assert_eq!(all.iter().map(|workload| &workload.name).collect::<BTreeSet<_>>().len(), all.len());
        for workload in all {
            let lengths: BTreeSet<u64> = workload.ranges.iter().map(|range| range.end - range.start).collect();
            assert_eq!(lengths.len(), 1, "{}", workload.name);
        }
    }
}
