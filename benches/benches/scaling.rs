//! What one more costs: the same operation among more blocks, in longer objects, and by more threads and processes.
//!
//! More blocks, objects and bytes are to cost as much as a search among them does, and more threads what as many cost
//! that share nothing: on a machine with two cores eight of them wait for each other, whatever they share.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};
use svf_benches::{
    BLOCK, Order, QUERIES, SEED, STRIDE, SortedRanges, TURN, Turn, WINDOW, Worker, block_offsets, in_threads,
    in_turn_of, is_quick, is_wanted, page_aligned, pattern, random_reads, settings, timed, work_in_turn,
    write_windowed,
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

/// Two ways to have as many threads do the same. `work` is a turn of one of them: it does so [`TURN`] times.
fn bench_threads(group: &str, work: impl Fn(bool, usize) + Sync) {
    for threads in MANY {
        let turn = |shares| in_threads(threads, |thread| work(shares, thread));
        let mut turns: [(&str, Turn<'_>); 2] =
            [("ours", Box::new(|| turn(true))), ("share-nothing", Box::new(|| turn(false)))];
        in_turn_of(TURN, &format!("scaling/{group}"), threads as u64, &mut turns);
    }
}

/// Copies of 64 B among 100,000 blocks of one file, and of a file for each thread.
fn core_threads(_: &mut Criterion) {
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
    for (file, reads) in files.iter().zip(&reads).chain(reads.iter().map(|reads| (&files[0], reads))) {
        for &at in reads {
            let mut out = [0; BLOCK as usize];
            file.read_into(at, &mut out).unwrap();
            assert!(out == content[at as usize..][..BLOCK as usize]);
        }
    }
    bench_threads("svf-core-threads", |shares, thread| {
        let (file, mut out) = (&files[if shares { 0 } else { thread }], [0; BLOCK as usize]);
        reads[thread].iter().cycle().take(TURN).for_each(|&at| file.read_into(at, black_box(&mut out)).unwrap());
    });
}

/// Looks at windows that are all mapped, of one manager, and of a manager for each thread.
fn window_threads(_: &mut Criterion) {
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
    bench_threads("window-threads", |shares, thread| {
        let mut cursor = files[if shares { 0 } else { thread }].cursor();
        let looks = looks[thread].iter().cycle().take(TURN);
        looks.for_each(|look| _ = black_box(cursor.use_region(look.clone()).unwrap()));
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
fn hit_threads(_: &mut Criterion) {
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
    let reads = hits();
    bench_threads("hit-threads", |shares, thread| {
        let (file, base) = if shares { (&handles[thread], thread as u64 * PART) } else { (&apart[thread], 0) };
        hit(file, base, reads.iter().cycle().take(TURN));
    });
}

/// Where is read, in any part.
fn hits() -> Vec<Range<u64>> {
    random_reads(QUERIES, 4 << 10, 1, PART, SEED)
}

fn hit<'a>(file: &CachedFile, base: u64, reads: impl Iterator<Item = &'a Range<u64>>) {
    let mut out = page_aligned(4 << 10);
    reads.for_each(|read| _ = file.read_at(black_box(&mut out), base + read.start).unwrap());
}

/// Set in a process of this program that only hits: the directory.
const CHILD: &str = "SVF_BENCH_CHILD";

/// The same by processes.
fn hit_processes(_: &mut Criterion) {
    const GROUP: &str = "scaling/hit-processes";
    let (root, content) = (tempfile::tempdir().unwrap(), content());
    let length = MANY[3] as u64 * PART;
    let shared = cached(&root.path().join("shared"), "object", length, content.clone());
    for part in 0..MANY[3] as u64 {
        fill(&shared, part, &content);
        fill(&cached(&root.path().join(part.to_string()), "object", length, content.clone()), part, &content);
    }
    for processes in MANY {
        if !["ours", "share-nothing"].iter().any(|name| is_wanted(&format!("{GROUP}/{name}/{processes}"))) {
            continue;
        }
        let start = |shares| {
            let directory = |part: usize| if shares { "shared".to_owned() } else { part.to_string() };
            let one = |part: usize| {
                let mut command = Command::new(std::env::current_exe().unwrap());
                Worker::start(command.env(CHILD, root.path().join(directory(part))).env("PART", part.to_string()))
            };
            (0..processes).map(one).collect::<Vec<_>>()
        };
        let [mut shared, mut apart] = [true, false].map(start);
        let mut turns: [(&str, Turn<'_>); 2] = [
            ("ours", Box::new(|| Worker::turn(&mut shared))),
            ("share-nothing", Box::new(|| Worker::turn(&mut apart))),
        ];
        in_turn_of(TURN, GROUP, processes as u64, &mut turns);
    }
}

fn child(directory: &Path) {
    let (content, part) = (content(), std::env::var("PART").unwrap().parse::<u64>().unwrap());
    let file = cached(directory, "object", MANY[3] as u64 * PART, content.clone());
    fill(&file, part, &content);
    assert_eq!(file.stats().origin_bytes, 0);
    let reads = hits();
    work_in_turn(|| hit(&file, part * PART, reads.iter().cycle().take(TURN)));
}

/// Opening a known object, a hit in it, and filling a page of it, where it is longer and longer, and almost all of it a
/// hole.
fn by_length(criterion: &mut Criterion) {
    for (name, length) in [("1GiB", 1_u64 << 30), ("32GiB", 1 << 35), ("1TiB", 1 << 40)] {
        let (root, content) = (tempfile::tempdir().unwrap(), content());
        let open = || cached(root.path(), name, length, content.clone());
        let file = open();
        // A part in the middle, whose offsets are as large as they come.
        let (part, reads) = (length / PART / 2, hits());
        fill(&file, part, &content);
        let mut bench = |operation: &str, ask: &mut dyn FnMut(&mut Bencher<'_>)| {
            let mut group = criterion.benchmark_group(format!("scaling/{operation}-by-length"));
            group.bench_function(BenchmarkId::new("ours", name), |bencher| ask(bencher));
        };
        bench("hit", &mut |bencher| {
            bencher.iter_custom(|times| timed(|| hit(&file, part * PART, reads.iter().cycle().take(times as usize))));
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
