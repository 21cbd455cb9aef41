//! What one more costs: the same operation among more blocks, in longer objects, and by more threads and processes.
//!
//! More blocks, objects and bytes are to cost as much as a search among them does, and more threads what as many cost
//! that share nothing: on a machine with two cores eight of them wait for each other, whatever they share.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};
use svf_benches::{
    BLOCK, Order, QUERIES, SEED, STRIDE, SortedRanges, WINDOW, block_offsets, is_quick, page_aligned, pattern,
    random_reads, settings, write_windowed,
};
use svf_core::{BlockMap, SparseVirtualFile, SparseVirtualFileOptions};
use window_mman::MapManager;

/// How many threads or processes.
const MANY: [usize; 4] = [1, 2, 4, 8];
/// How much each of them hits in.
const PART: u64 = 4 << 20;

fn among_blocks(criterion: &mut Criterion) {
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        if is_quick() && count > 10_000 {
            continue;
        }
        let file_len = count as u64 * STRIDE;
        let content = pattern(file_len as usize, SEED);
        let offsets = block_offsets(count, STRIDE, Order::Shuffled { seed: SEED });
        let block = |offset: u64| &content[offset as usize..][..BLOCK as usize];
        let write_all = || {
            offsets.iter().fold(BlockMap::new(), |mut map, &offset| {
                map.write(offset, block(offset)).unwrap();
                map
            })
        };
        let insert_all = || {
            offsets.iter().fold(BTreeMap::new(), |mut tree, &offset| {
                tree.insert(offset, Bytes::copy_from_slice(block(offset)));
                tree
            })
        };
        let (map, tree) = (write_all(), insert_all());
        let sorted = SortedRanges::new(map.blocks());
        assert!(map.num_blocks() == count && tree.len() == count);
        let queries = random_reads(QUERIES, STRIDE, 1, file_len, SEED);
        let holes = |gaps: &mut dyn Iterator<Item = Range<u64>>| gaps.map(|gap| gap.end - gap.start).sum::<u64>();
        let held = random_reads(QUERIES, BLOCK / 2, BLOCK / 4, file_len, SEED);
        let reads: Vec<_> = held.iter().map(|range| range.start / STRIDE * STRIDE).collect();
        for (query, held) in queries.iter().zip(&held) {
            assert_eq!(holes(&mut map.need(query.clone())), holes(&mut sorted.gaps(query.clone())));
            assert_eq!(map.contains(held.clone()), held.end <= held.start / STRIDE * STRIDE + BLOCK);
        }
        for &read in &reads {
            assert!(map.read(read..read + BLOCK).unwrap() == block(read) && tree[&read] == block(read));
        }

        let mut bench = |operation: &str, name: &str, ask: &mut dyn FnMut(&mut Bencher<'_>)| {
            let mut group = criterion.benchmark_group(format!("scaling/{operation}-by-blocks"));
            let elements = if operation == "write" { count } else { 1 };
            group.throughput(Throughput::Elements(elements as u64));
            if operation == "write" {
                group.sampling_mode(SamplingMode::Flat).sample_size(10);
            }
            group.bench_function(BenchmarkId::new(name, count), |bencher| ask(bencher));
        };
        bench("need", "ours", &mut |bencher| in_turn(bencher, &queries, |query| holes(&mut map.need(query.clone()))));
        bench("need", "sorted-vec", &mut |bencher| {
            in_turn(bencher, &queries, |query| holes(&mut sorted.gaps(query.clone())));
        });
        bench("contains", "ours", &mut |bencher| in_turn(bencher, &held, |range| map.contains(range.clone())));
        bench("contains", "sorted-vec", &mut |bencher| {
            in_turn(bencher, &held, |range| sorted.contains(range.clone()));
        });
        bench("read", "ours", &mut |bencher| in_turn(bencher, &reads, |&at| map.read(at..at + BLOCK).unwrap()));
        bench("read", "btree", &mut |bencher| {
            in_turn(bencher, &reads, |&at| tree.range(..=at).next_back().map(|(_, bytes)| bytes.clone()));
        });
        bench("write", "ours", &mut |bencher| bencher.iter_with_large_drop(write_all));
        bench("write", "btree", &mut |bencher| bencher.iter_with_large_drop(insert_all));
    }
}

/// Asks the queries in turn, one an iteration.
fn in_turn<Q, T>(bencher: &mut Bencher<'_>, queries: &[Q], answer: impl Fn(&Q) -> T) {
    let mut queries = queries.iter().cycle();
    bencher.iter(|| queries.next().map(&answer));
}

/// The longest time that one of so many threads takes for as many turns of `work`.
fn in_threads(threads: usize, times: u64, work: &(dyn Fn(usize, u64) + Sync)) -> Duration {
    let begin = Barrier::new(threads);
    let one = |thread| {
        begin.wait();
        let start = Instant::now();
        work(thread, times);
        start.elapsed()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap_or_default()
    })
}

/// Two ways to have as many threads do the same.
fn bench_threads(criterion: &mut Criterion, group: &str, work: impl Fn(bool, usize, u64) + Sync) {
    let mut group = criterion.benchmark_group(format!("scaling/{group}"));
    group.throughput(Throughput::Elements(1));
    for threads in MANY {
        for (name, shares) in [("ours", true), ("share-nothing", false)] {
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter_custom(|times| in_threads(threads, times, &|thread, times| work(shares, thread, times)));
            });
        }
    }
}

/// Copies of 64 B among 100,000 blocks of one file, and of a file for each thread.
fn core_threads(criterion: &mut Criterion) {
    let blocks = 100_000;
    let content = pattern((blocks as u64 * STRIDE) as usize, SEED);
    let new_file = |_| {
        let file = SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().times(false));
        for offset in block_offsets(blocks, STRIDE, Order::Ascending) {
            file.write(offset, &content[offset as usize..][..BLOCK as usize]).unwrap();
        }
        file
    };
    let files: Vec<_> = (0..MANY[3]).map(new_file).collect();
    let reads: Vec<Vec<u64>> = (0..MANY[3] as u64)
        .map(|seed| random_reads(QUERIES, BLOCK, STRIDE, content.len() as u64, SEED + seed))
        .map(|reads| reads.into_iter().map(|read| read.start).collect())
        .collect();
    for &at in &reads[0] {
        assert_eq!(files[0].read(at..at + BLOCK).unwrap(), content[at as usize..][..BLOCK as usize]);
    }
    bench_threads(criterion, "svf-core-threads", |shares, thread, times| {
        let (file, mut reads) = (&files[if shares { 0 } else { thread }], reads[thread].iter().cycle());
        let mut out = [0; BLOCK as usize];
        for _ in 0..times {
            reads.next().iter().for_each(|&&at| file.read_into(at, black_box(&mut out)).unwrap());
        }
    });
}

/// Looks at windows that are all mapped, of one manager, and of a manager for each thread.
fn window_threads(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let pattern = write_windowed(&path).unwrap();
    let windows = 256;
    let open = |_| {
        let manager = MapManager::builder().window_size(WINDOW).max_mapped_bytes(windows * WINDOW).build().unwrap();
        // SAFETY: the file is in a directory of this process alone, which writes to it no more.
        let file = unsafe { manager.open(&path).unwrap().assume_stable() };
        for window in 0..windows {
            let found = file.view(window * WINDOW..window * WINDOW + 64).unwrap();
            assert!(found[..8] == window.to_le_bytes() && found[8..] == pattern[8..64]);
        }
        file
    };
    let files: Vec<_> = (0..MANY[3]).map(open).collect();
    let looks: Vec<_> =
        (0..MANY[3] as u64).map(|seed| random_reads(QUERIES, 64, 64, windows * WINDOW, SEED + seed)).collect();
    bench_threads(criterion, "window-threads", |shares, thread, times| {
        let mut cursor = files[if shares { 0 } else { thread }].cursor();
        let mut looks = looks[thread].iter().cycle();
        for _ in 0..times {
            looks.next().iter().for_each(|look| _ = black_box(cursor.use_region((*look).clone()).unwrap()));
        }
    });
}

/// A file of which every piece is the same, at a path or in memory.
fn cached(directory: &Path, key: &str, length: u64, content: Bytes) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let origin = FnOrigin::new(key, Stat { length, validators }, move |range: Range<u64>| {
        let start = (range.start % PART) as usize;
        Ok(content.slice(start..start + (range.end - range.start) as usize))
    });
    let cache = Cache::builder(directory).freshness(Freshness::Immutable).open().unwrap();
    let file = cache.file(origin).unwrap();
    file.advise(0..u64::MAX, Advice::Random);
    file
}

/// Twice the same bytes, so that each range of at most half of them is in one piece.
fn content() -> Bytes {
    let mut content = pattern(PART as usize, SEED);
    content.extend_from_within(..);
    content.into()
}

/// Fills a part of a file, and has it checked.
fn fill(file: &CachedFile, part: u64, content: &Bytes) {
    for _ in 0..2 {
        assert!(file.bytes(part * PART..(part + 1) * PART).unwrap() == content[..PART as usize]);
    }
}

/// Hits of 4 KiB, each thread in a part of one file, and in a file of a directory of its own.
fn hit_threads(criterion: &mut Criterion) {
    let (root, content) = (tempfile::tempdir().unwrap(), content());
    let shared = cached(&root.path().join("shared"), "object", 8 * PART, content.clone());
    let apart: Vec<_> = (0..MANY[3])
        .map(|thread| cached(&root.path().join(thread.to_string()), "object", PART, content.clone()))
        .collect();
    for (part, file) in apart.iter().enumerate() {
        fill(file, 0, &content);
        fill(&shared, part as u64, &content);
    }
    let handles: Vec<_> = apart.iter().map(|_| shared.clone()).collect();
    bench_threads(criterion, "hit-threads", |shares, thread, times| {
        if shares {
            hit(&handles[thread], thread as u64 * PART, times);
        } else {
            hit(&apart[thread], 0, times);
        }
    });
}

fn hit(file: &CachedFile, base: u64, times: u64) {
    let reads = random_reads(QUERIES, 4 << 10, 1, PART, SEED);
    let (mut reads, mut out) = (reads.iter().cycle(), page_aligned(4 << 10));
    for _ in 0..times {
        reads.next().iter().for_each(|read| _ = file.read_at(black_box(&mut out), base + read.start).unwrap());
    }
}

/// Set in a process of this program that only hits, and prints how long that took, in nanoseconds: the directory.
const CHILD: &str = "SVF_BENCH_CHILD";

/// The same by processes.
fn hit_processes(criterion: &mut Criterion) {
    let (root, content) = (tempfile::tempdir().unwrap(), content());
    let length = MANY[3] as u64 * PART;
    let shared = cached(&root.path().join("shared"), "object", length, content.clone());
    for part in 0..MANY[3] as u64 {
        fill(&shared, part, &content);
        fill(&cached(&root.path().join(part.to_string()), "object", length, content.clone()), part, &content);
    }
    let mut group = criterion.benchmark_group("scaling/hit-processes");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for processes in MANY {
        for (name, shares) in [("ours", true), ("share-nothing", false)] {
            group.bench_function(BenchmarkId::new(name, processes), |bencher| {
                bencher.iter_custom(|times| {
                    let start = |part: usize| {
                        let directory = if shares { "shared".to_owned() } else { part.to_string() };
                        let mut child = Command::new(std::env::current_exe().unwrap());
                        child.env(CHILD, root.path().join(directory)).env("PART", part.to_string());
                        child.env("TIMES", times.to_string()).stdout(Stdio::piped()).spawn().unwrap()
                    };
                    let children: Vec<_> = (0..processes).map(start).collect();
                    children.into_iter().map(elapsed).max().unwrap_or_default()
                });
            });
        }
    }
}

fn elapsed(child: Child) -> Duration {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Duration::from_nanos(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}

fn child(directory: &Path) {
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (content, part) = (content(), number("PART"));
    let file = cached(directory, "object", MANY[3] as u64 * PART, content.clone());
    fill(&file, part, &content);
    assert_eq!(file.stats().origin_bytes, 0);
    // All of it is in the process's page tables, and all of the processes run by then.
    hit(&file, part * PART, 4 * QUERIES as u64);
    let start = Instant::now();
    hit(&file, part * PART, number("TIMES"));
    println!("{}", start.elapsed().as_nanos());
}

/// Opening a known object, a hit in it, and filling a page of it, where it is longer and longer, and almost all of it a
/// hole.
fn by_length(criterion: &mut Criterion) {
    for (name, length) in [("1GiB", 1_u64 << 30), ("32GiB", 1 << 35), ("1TiB", 1 << 40)] {
        let (root, content) = (tempfile::tempdir().unwrap(), content());
        let open = || cached(root.path(), name, length, content.clone());
        let file = open();
        // A part in the middle, whose offsets are as large as they come.
        let part = length / PART / 2;
        fill(&file, part, &content);
        let mut bench = |operation: &str, ask: &mut dyn FnMut(&mut Bencher<'_>)| {
            let mut group = criterion.benchmark_group(format!("scaling/{operation}-by-length"));
            group.bench_function(BenchmarkId::new("ours", name), |bencher| ask(bencher));
        };
        bench("hit", &mut |bencher| {
            bencher.iter_custom(|times| {
                let start = Instant::now();
                hit(&file, part * PART, times);
                start.elapsed()
            });
        });
        let (mut at, mut out, filled) = (length / 4, [0; 64], length / 4..length / 4 + (256 << 20));
        bench("fill", &mut |bencher| {
            bencher.iter_batched(
                || {
                    at += file.page_size().unwrap();
                    if at >= filled.end {
                        file.evict(filled.clone()).unwrap();
                        at = filled.start;
                    }
                    at
                },
                |at| file.read_exact_at(&mut out, at).unwrap(),
                BatchSize::PerIteration,
            );
        });
        bench("open", &mut |bencher| bencher.iter_with_large_drop(open));
    }
}

criterion_group! {
    name = scaling;
    config = settings();
    targets = among_blocks, core_threads, window_threads, hit_threads, hit_processes, by_length
}

fn main() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return child(Path::new(&directory));
    }
    scaling();
    Criterion::default().configure_from_args().final_summary();
}
