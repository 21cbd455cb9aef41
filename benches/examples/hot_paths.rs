//! One operation so many times, for a tool that counts instructions: `cargo xtask bench --instructions`.
//!
//! ```text
//! valgrind --tool=callgrind target/release/examples/hot_paths contains 12000
//! ```
//!
//! What comes before the operations is the same however many there are.

#![expect(clippy::unwrap_used, reason = "an operation that fails is not the one to count")]

use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};
use svf_benches::{BLOCK, CHUNK, Order, SEED, STRIDE, WINDOW, block_offsets, pattern, random_reads};
use svf_core::BlockMap;
use window_mman::MapManager;

const BLOCKS: usize = 100_000;
/// More than anybody asks for.
const MOST: usize = 20_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (operation, times) = (arguments.next().unwrap(), arguments.next().unwrap().parse().unwrap());
    match operation.as_str() {
        "cursor-hit" | "window-change" | "window-miss" | "read_at-64B" => windows(&operation, times),
        "fill-4KiB" => fills(times),
        "append-4B" => appends(times),
        "write_bytes-4KiB-shuffled" => handed_over(times),
        "hit-64B" | "hit-4KiB" => hits(if operation == "hit-64B" { 64 } else { 4 << 10 }, times),
        _ => blocks(&operation, times),
    }
}

fn blocks(operation: &str, times: usize) {
    let len = BLOCKS as u64 * STRIDE;
    let file = pattern(len as usize, SEED);
    let offsets = block_offsets(BLOCKS, STRIDE, Order::Shuffled { seed: SEED });
    // The writes that are counted are the last ones.
    let (held, rest) = offsets.split_at(BLOCKS - MOST);
    let mut map = BlockMap::new();
    let mut write = |offset: &u64| {
        map.write(*offset, &file[*offset as usize..][..BLOCK as usize]).unwrap();
    };
    held.iter().for_each(&mut write);
    if operation == "write-64B-shuffled" {
        rest.iter().take(times).for_each(write);
        // What it takes to drop them is no part of a write.
        return std::mem::forget(map);
    }
    rest.iter().for_each(write);
    let queries = random_reads(MOST, STRIDE, 1, len, SEED);
    let block = |query: &Range<u64>| query.start / STRIDE * STRIDE..query.start / STRIDE * STRIDE + BLOCK;
    // A first share of a block's bytes makes their counter.
    queries.iter().for_each(|query| drop(map.read(block(query)).unwrap()));
    for query in queries.iter().take(times) {
        match operation {
            "contains" => _ = black_box(map.contains(query.start..query.start + BLOCK / 2)),
            "need" => _ = black_box(map.need(query.clone()).map(|gap| gap.end - gap.start).sum::<u64>()),
            "read-64B" => drop(black_box(map.read(block(query)).unwrap())),
            _ => panic!("there is no {operation}"),
        }
    }
}

fn appends(times: usize) {
    let mut map = BlockMap::new();
    for piece in 0..times as u64 {
        map.write(piece * 4, &black_box([1, 2, 3, 4])).unwrap();
    }
}

fn handed_over(times: usize) {
    let chunk = vec![1; CHUNK as usize];
    let offsets = block_offsets(MOST, CHUNK, Order::Shuffled { seed: SEED });
    let chunks: Vec<_> = offsets.iter().map(|_| Bytes::copy_from_slice(&chunk)).collect();
    let (mut map, mut chunks) = (BlockMap::new(), chunks.into_iter());
    for (&offset, chunk) in offsets.iter().zip(chunks.by_ref()).take(times) {
        map.write_bytes(offset, chunk).unwrap();
    }
    // What it takes to drop them, or those that are left, is no part of a write.
    std::mem::forget((map, chunks));
}

fn windows(operation: &str, times: usize) {
    const WINDOWS: u64 = 64;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::File::create(&path).unwrap().set_len(WINDOWS * WINDOW).unwrap();
    let kept = if operation == "window-miss" { WINDOWS / 4 } else { WINDOWS };
    let manager = MapManager::builder().window_size(WINDOW).max_mapped_bytes(kept * WINDOW).build().unwrap();
    // SAFETY: the file is in a directory of this process alone, which writes to it no more.
    let file = unsafe { manager.open(&path).unwrap().assume_stable() };
    let mut cursor = file.cursor();
    (0..WINDOWS).for_each(|window| _ = cursor.use_region(window * WINDOW..window * WINDOW + 64).unwrap()[0]);
    let places = if operation == "cursor-hit" { WINDOW } else { WINDOWS * WINDOW };
    if operation == "window-miss" {
        // Each in turn, so that none is still mapped.
        let windows = (0..WINDOWS).cycle().map(|window| window * WINDOW);
        return windows.take(times).for_each(|start| _ = black_box(cursor.use_region(start..start + 64).unwrap()));
    }
    let looks = random_reads(MOST, 64, 64, places, SEED).into_iter().take(times);
    if operation == "read_at-64B" {
        let mut out = [0; 64];
        return looks.for_each(|look| _ = file.file().read_at(black_box(&mut out), look.start).unwrap());
    }
    for look in looks {
        black_box(cursor.use_region(look).unwrap());
    }
}

fn hits(size: usize, times: usize) {
    const LEN: u64 = 4 << 20;
    let directory = tempfile::tempdir().unwrap();
    let content = Bytes::from(pattern(LEN as usize, SEED));
    let file = cached(directory.path(), 64 << 10, LEN, move |range| {
        Ok(content.slice(range.start as usize..range.end as usize))
    });
    // The second time it is read and checked where it was stored.
    (0..2).for_each(|_| _ = file.bytes(0..LEN).unwrap());
    let mut out = vec![0; size];
    for read in random_reads(MOST, size as u64, 1, LEN, SEED).iter().take(times) {
        file.read_at(black_box(&mut out), read.start).unwrap();
    }
}

/// One page after the other, none of them ahead.
fn fills(times: usize) {
    const PAGE: u64 = 4 << 10;
    let directory = tempfile::tempdir().unwrap();
    let content = Bytes::from(pattern(PAGE as usize, SEED));
    let file = cached(directory.path(), PAGE, MOST as u64 * PAGE, move |_| Ok(content.clone()));
    file.advise(0..u64::MAX, Advice::Random);
    let mut out = [0; PAGE as usize];
    for page in 0..times as u64 {
        file.read_exact_at(black_box(&mut out), page * PAGE).unwrap();
    }
}

/// An object in a cache that holds nothing of it.
fn cached<F>(directory: &Path, page_size: u64, length: u64, fetch: F) -> CachedFile
where
    F: Fn(Range<u64>) -> io::Result<Bytes> + Send + Sync + 'static,
{
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let origin = FnOrigin::new("object", Stat { length, validators }, fetch);
    let cache = Cache::builder(directory).freshness(Freshness::Immutable).page_size(page_size).open().unwrap();
    cache.file(origin).unwrap()
}
