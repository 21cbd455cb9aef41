//! Pieces in memory: writes in every order, what is missing, and reads.
//!
//! `bare` is the same copies and allocations without anything that finds them again; `btree` keeps them in a
//! `BTreeMap<u64, Bytes>` of the standard library, and nothing more: no overlaps, no blocks, no recency. `sorted-vec`
//! is a search in a plain array, which takes no writes; `rangemap` is the crate of that name. Every map starts empty on
//! memory that the allocator has to take from the system, for `ours` and `bare` alike, so page faults are a part of the
//! writes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::ops::Range;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use svf_benches::{
    BLOCK, CHUNK, DenseFile, Order, QUERIES, SEED, STRIDE, SortedRanges, TURN, Turn, block_offsets, in_threads,
    in_turn, in_turn_of, is_quick, page_aligned, pattern, random_reads, settings, timed,
};
use svf_core::{BlockMap, NeedOptions, RangeSet, SparseVirtualFile, SparseVirtualFileOptions};

const SHUFFLED: Order = Order::Shuffled { seed: SEED };
/// How many blocks are many.
const MANY: usize = 1_000_000;

/// What the file has at an offset.
fn piece(file: &[u8], offset: u64, len: u64) -> &[u8] {
    &file[offset as usize..(offset + len) as usize]
}

fn write_all(file: &[u8], offsets: &[u64], len: u64) -> BlockMap {
    let mut map = BlockMap::new();
    for &offset in offsets {
        map.write(offset, piece(file, offset, len)).unwrap();
    }
    map
}

/// The model after the same writes; panics if the map is not in the same state.
fn check(map: &BlockMap, file: &[u8], offsets: &[u64], len: u64) -> DenseFile {
    let mut model = DenseFile::new(file.len());
    for &offset in offsets {
        model.write(offset, piece(file, offset, len));
    }
    let blocks = model.blocks();
    assert!(map.blocks().eq(blocks.iter().cloned()));
    assert_eq!(map.num_blocks(), blocks.len());
    assert_eq!(map.num_bytes(), model.num_bytes());
    for block in blocks {
        assert_eq!(map.read(block.clone()).unwrap(), model.read(block).unwrap());
    }
    model
}

/// 64 B blocks that touch nothing: the price of an insertion, and how it grows.
fn scattered_writes(criterion: &mut Criterion) {
    for (name, order) in [("write-64B-ascending", Order::Ascending), ("write-64B-shuffled", SHUFFLED)] {
        let mut group = criterion.benchmark_group(format!("svf-core/{name}"));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        for count in [100_000, MANY] {
            if is_quick() && count == MANY {
                continue;
            }
            let file = pattern(count * STRIDE as usize, SEED);
            let offsets = block_offsets(count, STRIDE, order);
            check(&write_all(&file, &offsets, BLOCK), &file, &offsets, BLOCK);

            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new("ours", count), |bencher| {
                bencher.iter_with_large_drop(|| write_all(&file, &offsets, BLOCK));
            });
            group.bench_function(BenchmarkId::new("bare", count), |bencher| {
                bencher.iter_with_large_drop(|| copy_all(&file, &offsets, BLOCK));
            });
            group.bench_function(BenchmarkId::new("btree", count), |bencher| {
                bencher.iter_with_large_drop(|| tree_of_all(&file, &offsets, BLOCK));
            });
        }
    }
}

/// The same writes into a tree that trusts them to touch nothing.
fn tree_of_all(file: &[u8], offsets: &[u64], len: u64) -> BTreeMap<u64, Bytes> {
    let mut tree = BTreeMap::new();
    for &offset in offsets {
        tree.insert(offset, Bytes::copy_from_slice(piece(file, offset, len)));
    }
    tree
}

/// One write of those, of bytes that are handed over.
fn insert(mut tree: BTreeMap<u64, Bytes>, (offset, chunk): (u64, Bytes)) -> BTreeMap<u64, Bytes> {
    tree.insert(offset, chunk);
    tree
}

/// The copies of the same writes, each in memory of its own, and nothing to find them by.
fn copy_all(file: &[u8], offsets: &[u64], len: u64) -> Vec<Bytes> {
    let mut copies = Vec::with_capacity(offsets.len());
    for &offset in offsets {
        copies.push(Bytes::copy_from_slice(piece(file, offset, len)));
    }
    copies
}

/// 4 KiB chunks that end in one block, written at its end: handed over, and copied.
fn appends(criterion: &mut Criterion) {
    appends_to(criterion, 16 << 20);
    if !is_quick() {
        appends_to(criterion, 256 << 20);
    }
}

fn appends_to(criterion: &mut Criterion, len: usize) {
    let file = pattern(len, SEED);
    let offsets = block_offsets(len / CHUNK as usize, CHUNK, Order::Ascending);
    let fresh_chunks = || copy_all(&file, &offsets, CHUNK);
    let append = |chunks: Vec<Bytes>| {
        let mut map = BlockMap::new();
        for (chunk, &offset) in chunks.into_iter().zip(&offsets) {
            map.write_bytes(offset, chunk).unwrap();
        }
        map
    };
    check(&append(fresh_chunks()), &file, &offsets, CHUNK);
    check(&write_all(&file, &offsets, CHUNK), &file, &offsets, CHUNK);

    let mut group = criterion.benchmark_group("svf-core/append-4KiB-write_bytes");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(offsets.len() as u64));
    group.bench_function(BenchmarkId::new("ours", len), |bencher| {
        bencher.iter_batched(fresh_chunks, append, BatchSize::PerIteration);
    });
    group.bench_function(BenchmarkId::new("btree", len), |bencher| {
        let insert_all = |chunks: Vec<Bytes>| offsets.iter().copied().zip(chunks).fold(BTreeMap::new(), insert);
        bencher.iter_batched(fresh_chunks, insert_all, BatchSize::PerIteration);
    });
    group.bench_function(BenchmarkId::new("bare", len), |bencher| {
        let keep = |chunks: Vec<Bytes>| {
            let mut kept = Vec::with_capacity(chunks.len());
            kept.extend(chunks.into_iter().map(black_box));
            kept
        };
        bencher.iter_batched(fresh_chunks, keep, BatchSize::PerIteration);
    });
    group.finish();

    let mut group = criterion.benchmark_group("svf-core/append-4KiB-write");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(offsets.len() as u64));
    group.bench_function(BenchmarkId::new("ours", len), |bencher| {
        bencher.iter_with_large_drop(|| write_all(&file, &offsets, CHUNK));
    });
    group.bench_function(BenchmarkId::new("bare", len), |bencher| {
        bencher.iter_with_large_drop(|| copy_all(&file, &offsets, CHUNK));
    });
}

/// The same at the start of the block, at two lengths: a write must not cost more where more is held.
fn prepends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("svf-core/prepend-4KiB-write");
    group.sampling_mode(SamplingMode::Flat);
    for len in [8 << 20, 32 << 20] {
        let file = pattern(len, SEED);
        let offsets = block_offsets(len / CHUNK as usize, CHUNK, Order::Descending);
        check(&write_all(&file, &offsets, CHUNK), &file, &offsets, CHUNK);

        group.throughput(Throughput::Elements(offsets.len() as u64));
        group.bench_function(BenchmarkId::new("ours", len), |bencher| {
            bencher.iter_with_large_drop(|| write_all(&file, &offsets, CHUNK));
        });
        group.bench_function(BenchmarkId::new("bare", len), |bencher| {
            bencher.iter_with_large_drop(|| copy_all(&file, &offsets, CHUNK));
        });
    }
}

/// 4 KiB before a block that is there already: what it has must not matter.
fn prepends_at(criterion: &mut Criterion) {
    const PIECES: usize = 256;
    let mut group = criterion.benchmark_group("svf-core/prepend-4KiB-at");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(PIECES as u64));
    for len in [1 << 20, 8 << 20, 32 << 20, 128 << 20, 256 << 20] {
        if is_quick() && len > 8 << 20 {
            continue;
        }
        let file = pattern(PIECES * CHUNK as usize + len, SEED);
        let offsets = block_offsets(file.len() / CHUNK as usize, CHUNK, Order::Descending);
        let (held, before) = offsets.split_at(len / CHUNK as usize);
        let full = write_all(&file, held, CHUNK);
        let prepend = |mut map: BlockMap| {
            for &offset in before {
                map.write(offset, piece(&file, offset, CHUNK)).unwrap();
            }
            map
        };
        check(&prepend(full.clone()), &file, &offsets, CHUNK);
        group.bench_function(BenchmarkId::new("ours", len), |bencher| {
            bencher.iter_batched(|| full.clone(), prepend, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("bare", len), |bencher| {
            bencher.iter_with_large_drop(|| copy_all(&file, before, CHUNK));
        });
        // A map of the standard library, which joins nothing, with as much in it, made ready in the same way.
        let tree: BTreeMap<u64, Bytes> = tree_of_all(&file, held, CHUNK);
        group.bench_function(BenchmarkId::new("btree", len), |bencher| {
            let prepend = |tree| {
                let copies = before.iter().map(|&offset| (offset, Bytes::copy_from_slice(piece(&file, offset, CHUNK))));
                copies.fold(tree, insert)
            };
            bencher.iter_batched(|| tree.clone(), prepend, BatchSize::PerIteration);
        });
    }
}

/// Pieces that end in one block: 4 KiB in any order, and 4 bytes one behind or before the other.
fn fills(criterion: &mut Criterion) {
    let rows = [
        ("fill-4KiB-shuffled", 16_384, CHUNK, SHUFFLED),
        ("append-4B", 100_000, 4, Order::Ascending),
        ("prepend-4B", 100_000, 4, Order::Descending),
    ];
    for (name, count, len, order) in rows {
        let file = pattern(count * len as usize, SEED);
        let offsets = block_offsets(count, len, order);
        assert_eq!(check(&write_all(&file, &offsets, len), &file, &offsets, len).blocks().len(), 1);

        let mut group = criterion.benchmark_group(format!("svf-core/{name}"));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("ours", count), |bencher| {
            bencher.iter_with_large_drop(|| write_all(&file, &offsets, len));
        });
        if len == CHUNK {
            // Handed over, so that nothing is copied.
            let hand_over = |chunks: Vec<Bytes>| {
                let mut map = BlockMap::new();
                for (chunk, &offset) in chunks.into_iter().zip(&offsets) {
                    map.write_bytes(offset, chunk).unwrap();
                }
                map
            };
            check(&hand_over(copy_all(&file, &offsets, len)), &file, &offsets, len);
            group.bench_function(BenchmarkId::new("ours-write_bytes", count), |bencher| {
                bencher.iter_batched(|| copy_all(&file, &offsets, len), hand_over, BatchSize::PerIteration);
            });
            let insert_all = |chunks: Vec<Bytes>| offsets.iter().copied().zip(chunks).fold(BTreeMap::new(), insert);
            group.bench_function(BenchmarkId::new("btree-write_bytes", count), |bencher| {
                bencher.iter_batched(|| copy_all(&file, &offsets, len), insert_all, BatchSize::PerIteration);
            });
        }
        group.bench_function(BenchmarkId::new("btree", count), |bencher| {
            bencher.iter_with_large_drop(|| tree_of_all(&file, &offsets, len));
        });
        group.bench_function(BenchmarkId::new("bare", count), |bencher| {
            bencher.iter_with_large_drop(|| copy_all(&file, &offsets, len));
        });
    }
}

/// Dropping the least recently used of many blocks. The order is made anew when half of them are gone.
fn evictions(criterion: &mut Criterion) {
    let count = if is_quick() { MANY / 10 } else { MANY };
    let file = pattern(count * STRIDE as usize, SEED);
    let offsets = block_offsets(count, STRIDE, SHUFFLED);
    let full = write_all(&file, &offsets, BLOCK);
    let mut map = full.clone();
    map.evict_to((count as u64 - 10) * BLOCK);
    assert!(offsets.iter().enumerate().all(|(at, &offset)| map.contains(offset..offset + 1) == (10 <= at)));

    let mut group = criterion.benchmark_group("svf-core/evict-one");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("ours", count), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations {
                if map.num_blocks() < count / 2 {
                    map = full.clone();
                }
                let fewer = map.num_bytes() - BLOCK;
                let start = Instant::now();
                map.evict_to(fewer);
                time += start.elapsed();
            }
            time
        });
    });
}

/// What is missing of a range, and whether anything is, among a million blocks, and what they hold.
fn queries_among_blocks(criterion: &mut Criterion) {
    let count = if is_quick() { MANY / 10 } else { MANY } as u64;
    let file_len = count * STRIDE;
    let file = pattern(file_len as usize, SEED);
    let offsets = block_offsets(count as usize, STRIDE, SHUFFLED);
    let tree = tree_of_all(&file, &offsets, BLOCK);
    let map = write_all(&file, &offsets, BLOCK);
    let model = check(&map, &file, &offsets, BLOCK);
    let sorted = SortedRanges::new(model.blocks());

    let mut group = criterion.benchmark_group("svf-core/need");
    for gaps in [1, 100] {
        let queries = random_reads(QUERIES, gaps * STRIDE, 1, file_len, SEED);
        for query in &queries {
            let missing = model.gaps(query.clone());
            assert!((gaps..=gaps + 1).contains(&(missing.len() as u64)));
            assert!(map.need(query.clone()).eq(missing.iter().cloned()));
            assert!(sorted.gaps(query.clone()).eq(missing));
        }
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("ours", gaps), |bencher| {
            ask(bencher, &queries, |query| bytes_of(map.need(query)));
        });
        group.bench_function(BenchmarkId::new("sorted-vec", gaps), |bencher| {
            ask(bencher, &queries, |query| bytes_of(sorted.gaps(query)));
        });
    }
    group.finish();

    // Half of them lie in a block, the others reach over its end.
    let queries = random_reads(QUERIES, BLOCK / 2, BLOCK / 4, file_len, SEED);
    let mut held = 0;
    for query in &queries {
        let expected = model.contains(query.clone());
        assert_eq!(map.contains(query.clone()), expected);
        assert_eq!(sorted.contains(query.clone()), expected);
        held += usize::from(expected);
    }
    assert!((QUERIES / 4..QUERIES / 2).contains(&held), "{held}");
    let mut group = criterion.benchmark_group("svf-core/contains-among-blocks");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("ours", count), |bencher| {
        ask(bencher, &queries, |query| map.contains(query));
    });
    group.bench_function(BenchmarkId::new("sorted-vec", count), |bencher| {
        ask(bencher, &queries, |query| sorted.contains(query));
    });
    let holding = |query: &Range<u64>| {
        let (&start, bytes) = tree.range(..=query.start).next_back()?;
        bytes.get((query.start - start) as usize..(query.end - start) as usize)
    };
    assert!(queries.iter().all(|query| holding(query).is_some() == map.contains(query.clone())));
    group.bench_function(BenchmarkId::new("btree", count), |bencher| {
        ask(bencher, &queries, |query| holding(&query).is_some());
    });
    group.finish();

    let reads: Vec<_> =
        queries.iter().map(|query| query.start / STRIDE * STRIDE).map(|start| start..start + BLOCK).collect();
    let mut group = criterion.benchmark_group("svf-core/read-64B-among-blocks");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("ours", count), |bencher| {
        ask(bencher, &reads, |read| map.read(read).unwrap());
    });
    // As few memory accesses as it takes to find the bytes and to count one more share of them.
    let starts: Vec<u64> = tree.keys().copied().collect();
    let bytes: Vec<Bytes> = tree.values().cloned().collect();
    group.bench_function(BenchmarkId::new("sorted-vec", count), |bencher| {
        ask(bencher, &reads, |read| {
            let behind = starts.partition_point(|&start| start <= read.start);
            bytes[behind - 1].clone()
        });
    });
    group.bench_function(BenchmarkId::new("btree", count), |bencher| {
        ask(bencher, &reads, |read| tree.range(..=read.start).next_back().map(|(_, bytes)| bytes.clone()));
    });
}

/// Asks the queries in turn, one an iteration.
fn ask<T>(bencher: &mut criterion::Bencher<'_>, queries: &[Range<u64>], answer: impl Fn(Range<u64>) -> T) {
    let mut queries = queries.iter().cycle();
    bencher.iter(|| queries.next().cloned().map(&answer));
}

/// Walks over all ranges, as whoever plans requests does.
fn bytes_of(ranges: impl Iterator<Item = Range<u64>>) -> u64 {
    ranges.map(|range| range.end - range.start).sum()
}

/// One block of 64 MiB in chunks of 4 KiB: whether a run of it is held, and its bytes. `gathered` is the same block
/// written by copying, which puts it into larger chunks.
fn inside_one_block(criterion: &mut Criterion) {
    let len = 64 << 20;
    let file = pattern(len as usize, SEED);
    let offsets = block_offsets((len / CHUNK) as usize, CHUNK, Order::Ascending);
    let gathered = write_all(&file, &offsets, CHUNK);
    let chunks = copy_all(&file, &offsets, CHUNK);
    let copies = chunks.clone();
    let mut map = BlockMap::new();
    for (chunk, &offset) in chunks.into_iter().zip(&offsets) {
        map.write_bytes(offset, chunk).unwrap();
    }
    assert!(map == gathered && map.num_chunks() == offsets.len());
    let model = check(&map, &file, &offsets, CHUNK);
    let sorted = SortedRanges::new(model.blocks());

    let mut group = criterion.benchmark_group("svf-core/contains-in-one-block");
    for run in [64, 1 << 20, 63 << 20] {
        let queries = random_reads(QUERIES, run, 1, len, SEED);
        for query in queries.iter().take(16) {
            assert!(map.contains(query.clone()) && model.contains(query.clone()));
        }
        assert!(!map.contains(1..len + 1) && !sorted.contains(1..len + 1));
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("ours", run), |bencher| {
            ask(bencher, &queries, |query| map.contains(query));
        });
        group.bench_function(BenchmarkId::new("sorted-vec", run), |bencher| {
            ask(bencher, &queries, |query| sorted.contains(query));
        });
    }
    group.finish();

    reads_beside_copies(&map, &offsets, &copies);
    long_reads_beside_copies(&gathered, &file);

    for size in [64, 4 << 10, 1 << 20] {
        let reads = random_reads(QUERIES, size, 1, len, SEED);
        for read in reads.iter().take(64) {
            let expected = &file[read.start as usize..read.end as usize];
            let mut out = vec![0; size as usize];
            map.read_into(read.start, &mut out).unwrap();
            assert!(map.read(read.clone()).unwrap() == expected && out == expected);
        }

        // New memory for each: what one chunk holds is not copied by `ours`.
        let mut group = criterion.benchmark_group("svf-core/read");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            ask(bencher, &reads, |read| map.read(read).unwrap());
        });
        group.bench_function(BenchmarkId::new("chunks", size), |bencher| {
            ask(bencher, &reads, |read| map.chunks(read).unwrap());
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            ask(bencher, &reads, |read| Bytes::copy_from_slice(piece(&file, read.start, size)));
        });
        group.finish();

        // Memory that is there already.
        let mut group = criterion.benchmark_group("svf-core/read_into");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let (mut out, mut reads) = (page_aligned(size as usize), reads.iter().cycle());
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                map.read_into(offset, black_box(&mut out)).unwrap();
            });
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            let (mut out, mut reads) = (page_aligned(size as usize), reads.iter().cycle());
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                black_box(&mut out).copy_from_slice(piece(&file, offset, size));
            });
        });
    }
}

/// 4 KiB, in turn with a search in an array that takes no writes, and the same copies of the same memory into new
/// memory.
fn reads_beside_copies(map: &BlockMap, offsets: &[u64], chunks: &[Bytes]) {
    let size = CHUNK;
    let reads = random_reads(QUERIES, size, 1, chunks.len() as u64 * CHUNK, SEED);
    let gather = |read: &Range<u64>| {
        let first = offsets.partition_point(|&start| start <= read.start) - 1;
        let mut out = Vec::with_capacity(size as usize);
        for (start, chunk) in offsets[first..].iter().zip(&chunks[first..]).take_while(|(start, _)| **start < read.end)
        {
            let [from, to] = [read.start, read.end].map(|at| at.saturating_sub(*start).min(CHUNK));
            out.extend_from_slice(&chunk[from as usize..to as usize]);
        }
        Bytes::from(out)
    };
    reads_in_turn("svf-core/read-in-turn", map, &reads, "sorted-vec", gather);
}

/// 1 MiB, in turn with a copy of as much out of an array, into new memory both.
fn long_reads_beside_copies(map: &BlockMap, file: &[u8]) {
    let size = 1 << 20;
    let reads = random_reads(QUERIES, size, 1, file.len() as u64, SEED);
    let copy = |read: &Range<u64>| Bytes::copy_from_slice(piece(file, read.start, size));
    reads_in_turn("svf-core/read-gathered", map, &reads, "bare", copy);
}

/// Reads, one by one in turn with another way to have the same bytes, at another place than ours has just read.
fn reads_in_turn(group: &str, map: &BlockMap, reads: &[Range<u64>], other: &str, bytes: impl Fn(&Range<u64>) -> Bytes) {
    assert!(reads.iter().take(64).all(|read| map.read(read.clone()).unwrap() == bytes(read)));
    let (mut places, mut others) = (reads.iter().cycle(), reads.iter().cycle().skip(reads.len() / 2));
    let ours = || {
        let read = places.next().unwrap().clone();
        timed(|| map.read(read).unwrap())
    };
    let theirs = || {
        let read = others.next().unwrap();
        timed(|| bytes(read))
    };
    let mut turns: [(&str, Turn<'_>); 2] = [("ours", Box::new(ours)), (other, Box::new(theirs))];
    in_turn(group, reads[0].end - reads[0].start, &mut turns);
}

/// Two threads that read 64 B at random: from one file that they share, each from a file of its own, which is as good
/// as it can get, and from one map behind the lock of the standard library. `read` hands out a share of the chunk, and
/// its counter of shares is a cache line that two readers of one chunk take from each other; `read_into` copies. The
/// figure is of one read of one of them.
fn two_threads(_: &mut Criterion) {
    for blocks in [64, if is_quick() { MANY / 10 } else { MANY } as u64] {
        let file_len = blocks * STRIDE;
        let content = pattern(file_len as usize, SEED);
        let offsets = block_offsets(blocks as usize, STRIDE, SHUFFLED);
        let new_file = || {
            let options = SparseVirtualFileOptions::new().times(false);
            let file = SparseVirtualFile::with_options("f", None, options);
            for &offset in &offsets {
                file.write(offset, piece(&content, offset, BLOCK)).unwrap();
            }
            file
        };
        let files = [new_file(), new_file()];
        // Not by a snapshot, which would give each chunk of one file a counter of shares of its own place in memory.
        for (file, &offset) in files.iter().flat_map(|file| offsets.iter().map(move |offset| (file, offset))) {
            let mut out = [0; BLOCK as usize];
            file.read_into(offset, &mut out).unwrap();
            assert!(out == *piece(&content, offset, BLOCK));
        }
        let locked = RwLock::new(write_all(&content, &offsets, BLOCK));
        let reads: [Vec<u64>; 2] = [SEED, SEED + 1].map(|seed| {
            let block = |read: &Range<u64>| read.start / STRIDE * STRIDE;
            random_reads(QUERIES, 1, 1, file_len, seed).iter().map(block).collect()
        });

        let two = |read: &(dyn Fn(usize, u64) + Sync)| {
            in_threads(2, |thread| reads[thread].iter().cycle().take(TURN).for_each(|&at| read(thread, at)))
        };
        let read = |file: &SparseVirtualFile, at| drop(black_box(file.read(at..at + BLOCK).unwrap()));
        let into = |file: &SparseVirtualFile, at| file.read_into(at, black_box(&mut [0; BLOCK as usize])).unwrap();
        let of_map = |at| drop(black_box(locked.read().unwrap().read(at..at + BLOCK).unwrap()));
        let mut pairs: [Vec<(&str, Turn<'_>)>; 3] = [
            vec![
                ("ours", Box::new(|| two(&|_, at| read(&files[0], at)))),
                ("share-nothing", Box::new(|| two(&|thread, at| read(&files[thread], at)))),
            ],
            vec![
                ("ours-into", Box::new(|| two(&|_, at| into(&files[0], at)))),
                ("share-nothing-into", Box::new(|| two(&|thread, at| into(&files[thread], at)))),
            ],
            vec![("rwlock", Box::new(|| two(&|_, at| of_map(at))))],
        ];
        pairs.iter_mut().for_each(|pair| in_turn_of(TURN, "svf-core/two-threads-read-64B", blocks, pair));
        assert_eq!(files[0].stats().misses, 0);
    }
}

/// What is held already, read through, and a fetch of memory: what the flight table costs.
fn read_through(criterion: &mut Criterion) {
    let len = 64 << 20;
    let content = Bytes::from(pattern(len as usize, SEED));
    let options = NeedOptions::new().align(CHUNK).end_of_file(len);
    let fetch = |range: Range<u64>| Ok::<_, Infallible>(content.slice(range.start as usize..range.end as usize));
    let file = SparseVirtualFile::new("f");
    assert!(file.read_through(0..len, &options.max_len(CHUNK), fetch).unwrap() == content);
    let reads = random_reads(QUERIES, BLOCK, 1, len, SEED);
    for read in &reads {
        let bytes = file.read_through(read.clone(), &options, |_| Err::<Bytes, _>("all of it is held")).unwrap();
        assert_eq!(bytes, content[read.start as usize..read.end as usize]);
    }
    let mut group = criterion.benchmark_group("svf-core/read-through");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("held", BLOCK), |bencher| {
        ask(bencher, &reads, |read| file.read_through(read, &options, fetch).unwrap());
    });
    group.bench_function(BenchmarkId::new("held-read", BLOCK), |bencher| {
        ask(bencher, &reads, |read| file.read(read).unwrap());
    });
    group.bench_function(BenchmarkId::new("missing", CHUNK), |bencher| {
        ask(bencher, &reads, |read| {
            file.remove(read.start / CHUNK * CHUNK..read.start / CHUNK * CHUNK + CHUNK);
            file.read_through(read.start..read.start + 1, &options, fetch).unwrap()
        });
    });
}

/// Ranges without bytes, beside the crate that everybody takes for them.
fn range_sets(criterion: &mut Criterion) {
    let count = 100_000;
    let file_len = count as u64 * STRIDE;
    let offsets = block_offsets(count, STRIDE, SHUFFLED);
    let ranges: Vec<_> = offsets.iter().map(|&start| start..start + BLOCK).collect();
    let ours: RangeSet = ranges.iter().cloned().collect();
    let theirs: rangemap::RangeSet<u64> = ranges.iter().cloned().collect();
    let mut model = DenseFile::new(file_len as usize);
    for range in &ranges {
        model.write(range.start, &[1; BLOCK as usize]);
    }
    assert!(ours.iter().eq(model.blocks()) && theirs.iter().cloned().eq(model.blocks()));

    let mut group = criterion.benchmark_group("svf-core/range-set-insert-shuffled");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(BenchmarkId::new("ours", count), |bencher| {
        bencher.iter_with_large_drop(|| ranges.iter().cloned().collect::<RangeSet>());
    });
    group.bench_function(BenchmarkId::new("rangemap", count), |bencher| {
        bencher.iter_with_large_drop(|| ranges.iter().cloned().collect::<rangemap::RangeSet<u64>>());
    });
    group.finish();

    let mut group = criterion.benchmark_group("svf-core/range-set-gaps");
    for gaps in [1, 100] {
        let queries = random_reads(QUERIES, gaps * STRIDE, 1, file_len, SEED);
        for query in queries.iter().take(64) {
            let missing = model.gaps(query.clone());
            assert!(ours.gaps(query.clone()).eq(missing.iter().cloned()));
            assert!(theirs.gaps(query).eq(missing));
        }
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("ours", gaps), |bencher| {
            ask(bencher, &queries, |query| bytes_of(ours.gaps(query)));
        });
        group.bench_function(BenchmarkId::new("rangemap", gaps), |bencher| {
            ask(bencher, &queries, |query| bytes_of(theirs.gaps(&query)));
        });
    }
}

criterion_group! {
    name = svf_core;
    config = settings();
    targets = scattered_writes, appends, prepends, prepends_at, fills, evictions, queries_among_blocks, inside_one_block, two_threads, read_through,
        range_sets
}
criterion_main!(svf_core);
