//! Windows of mapped memory: looks, mappings, scans and copies, each beside the system call or slice of it.
//!
//! The file is in the system's page cache, so no disk is measured. Both sides look at the same places in the same
//! order. Where two threads are measured, the figure is of one operation of one of them. The figures of smmap, which is
//! Python, come from outside: there is no row of it here.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, Read};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memmap2::{Mmap, MmapOptions};
use svf_benches::{
    Order, QUERIES, SEED, TURN, Turn, WINDOW, WINDOWED_LEN, block_offsets, in_threads, in_turn_of, page_aligned,
    random_reads, settings, timed, write_windowed,
};
use tempfile::TempDir;
use window_mman::{CopyMapping, Cursor, MapManager, StableFile};

const FILE_LEN: u64 = WINDOWED_LEN;
const WINDOWS: usize = (FILE_LEN / WINDOW) as usize;
/// How many places are looked at in turn.
const READS: usize = QUERIES;

/// The file of windows.
struct Workload {
    pattern: Vec<u8>,
    path: PathBuf,
    plain: File,
    /// Last, so that the file goes after everything that uses it.
    _directory: TempDir,
}

impl Workload {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let pattern = write_windowed(&path).unwrap();
        Self { pattern, plain: File::open(&path).unwrap(), path, _directory: directory }
    }

    /// The file in a manager of its own that keeps so many windows of a size mapped.
    fn keeping(&self, windows: u64, window: u64) -> StableFile {
        let builder = MapManager::builder().window_size(window).max_mapped_bytes(windows * window);
        // SAFETY: the file is in a directory of this process alone, which writes to it no more.
        unsafe { builder.build().unwrap().open(&self.path).unwrap().assume_stable() }
    }

    fn map(&self, offset: u64, len: u64) -> Mmap {
        let mut options = MmapOptions::new();
        options.offset(offset).len(len as usize);
        // SAFETY: the file is in a directory of this process alone, which writes to it no more.
        unsafe { options.map(&self.plain) }.unwrap()
    }

    /// Mappings of the windows that begin at some offsets.
    fn mappings(&self, offsets: &[u64], window: u64) -> Mappings {
        let mut mappings = Mappings { places: HashMap::new(), order: VecDeque::new(), window: window as usize };
        for &offset in offsets {
            let address = mappings.map(std::ptr::null_mut(), &self.plain, offset);
            mappings.keep(offset, address);
        }
        mappings
    }

    /// The byte at an offset.
    fn byte(&self, offset: u64) -> u8 {
        let (window, place) = (offset / WINDOW, offset % WINDOW);
        window.to_le_bytes().get(place as usize).copied().unwrap_or_else(|| self.pattern[place as usize])
    }

    fn check(&self, found: &[u8], offset: u64) {
        assert!(found.iter().zip(offset..).all(|(found, offset)| *found == self.byte(offset)));
    }
}

/// The barest way from one window to the next, which is looked for and not there: its mapping in the place of the
/// oldest, by one system call. The oldest is the least recently used where each is used once.
struct Mappings {
    /// By offset in the file.
    places: HashMap<u64, *mut libc::c_void>,
    order: VecDeque<u64>,
    window: usize,
}

impl Mappings {
    fn map_next(&mut self, file: &File, offset: u64) -> *mut libc::c_void {
        assert!(!self.places.contains_key(&offset), "all are used in turn, and few of them are kept");
        let oldest = self.places.remove(&self.order.pop_front().unwrap()).unwrap();
        let address = self.map(oldest, file, offset);
        self.keep(offset, address);
        address
    }

    fn keep(&mut self, offset: u64, address: *mut libc::c_void) {
        self.places.insert(offset, address);
        self.order.push_back(offset);
    }

    /// Looks at a byte of each. The system has page tables for the place from then on, and looks through them whenever
    /// something else is mapped there.
    fn touch(&self) {
        for &address in self.places.values() {
            // SAFETY: it is a mapping of a window of a file that nobody cuts short.
            black_box(unsafe { address.cast::<u8>().read_volatile() });
        }
    }

    /// In the place of one of these mappings, or of none.
    fn map(&self, old: *mut libc::c_void, file: &File, offset: u64) -> *mut libc::c_void {
        let flags = libc::MAP_SHARED | if old.is_null() { 0 } else { libc::MAP_FIXED };
        // SAFETY: the place is one that this made and nobody has a reference to, or one that the system chooses.
        let address =
            unsafe { libc::mmap(old, self.window, libc::PROT_READ, flags, file.as_raw_fd(), offset as libc::off_t) };
        assert!(address != libc::MAP_FAILED && (old.is_null() || old == address));
        address
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        for &address in self.places.values() {
            // SAFETY: this made the mapping, and nobody has a reference to it.
            unsafe { libc::munmap(address, self.window) };
        }
    }
}

/// 64 B of the window that a cursor holds, beside a checked slice.
fn cursor_hit(criterion: &mut Criterion) {
    let workload = Workload::new();
    let mut cursor = workload.keeping(WINDOWS as u64, WINDOW).cursor();
    let whole = workload.map(0, WINDOW);
    let looks = random_reads(READS, 64, 1, WINDOW, SEED);
    for look in &looks {
        workload.check(cursor.use_region(look.clone()).unwrap(), look.start);
    }

    let mut group = criterion.benchmark_group("window-mman/cursor-hit");
    // All looks are one iteration: a single one is too short for a clock.
    group.throughput(Throughput::Elements(looks.len() as u64));
    group.bench_function(BenchmarkId::new("ours", 64), |bencher| {
        bencher.iter(|| {
            let look = |look: &Range<u64>| cursor.use_region(black_box(look.clone())).unwrap()[0];
            looks.iter().map(look).fold(0, u8::wrapping_add)
        });
    });
    group.bench_function(BenchmarkId::new("bare", 64), |bencher| {
        bencher.iter(|| {
            let look = |look: &Range<u64>| whole.get(black_box(look.start as usize..look.end as usize)).unwrap()[0];
            looks.iter().map(look).fold(0, u8::wrapping_add)
        });
    });
}

/// Another window of 1,024 that are all mapped: by one thread, by two that share a manager, and by two that do not.
fn window_change(criterion: &mut Criterion) {
    const GROUP: &str = "window-mman/window-change";
    let workload = Workload::new();
    let looks: Vec<Range<u64>> = random_reads(READS, 64, 64, FILE_LEN, SEED);
    let mapped = || {
        let file = workload.keeping(WINDOWS as u64, WINDOW);
        let mut cursor = file.cursor();
        for offset in block_offsets(WINDOWS, WINDOW, Order::Ascending) {
            workload.check(cursor.use_region(offset..offset + 64).unwrap(), offset);
        }
        file
    };
    let (shared, other) = (mapped(), mapped());
    for look in &looks {
        workload.check(&shared.view(look.clone()).unwrap(), look.start);
    }
    let turn = |cursor: &mut Cursor, looks: &[Range<u64>]| {
        let look = |look: &Range<u64>| cursor.use_region(look.clone()).unwrap().len();
        looks.iter().map(look).fold(0, usize::wrapping_add)
    };

    let mut group = criterion.benchmark_group(GROUP);
    group.throughput(Throughput::Elements(looks.len() as u64));
    group.bench_function(BenchmarkId::new("ours", WINDOWS), |bencher| {
        let mut cursor = shared.cursor();
        bencher.iter(|| turn(&mut cursor, &looks));
    });
    group.bench_function(BenchmarkId::new("view", WINDOWS), |bencher| {
        bencher.iter(|| looks.iter().map(|look| shared.view(look.clone()).unwrap().len()).fold(0, usize::wrapping_add));
    });
    // Both threads do all turns, the second from the middle on.
    let halves = looks.split_at(READS / 2);
    let looks = [looks.clone(), [halves.1, halves.0].concat()];
    let two = |files: [&StableFile; 2]| {
        in_threads(2, |thread| {
            let mut cursor = files[thread].cursor();
            (0..TURN / READS).for_each(|_| _ = black_box(turn(&mut cursor, &looks[thread])));
        })
    };
    let mut turns: [(&str, Turn<'_>); 2] = [
        ("two-threads", Box::new(|| two([&shared, &shared]))),
        ("two-threads-share-nothing", Box::new(|| two([&shared, &other]))),
    ];
    in_turn_of(TURN, GROUP, WINDOWS as u64, &mut turns);
}

/// A window that is not mapped, with as many mappings alive as are kept: untouched, and with one byte touched.
fn window_miss(criterion: &mut Criterion) {
    let workload = Workload::new();
    for (name, touch) in [("miss", false), ("miss-touch", true)] {
        let mut group = criterion.benchmark_group(format!("window-mman/{name}"));
        group.throughput(Throughput::Elements(1));
        for (keep, window) in [(4, WINDOW), (64, WINDOW), (512, WINDOW), (4096, WINDOW / 8)] {
            let count = (FILE_LEN / window) as usize;
            let order = block_offsets(count, window, Order::Shuffled { seed: SEED });
            let file = workload.keeping(keep, window);
            let (mut cursor, mut offsets) = (file.cursor(), order.iter().copied().cycle());
            // Once, and not before each sample: a window that was touched takes the system longer to map over.
            for offset in offsets.by_ref().take(count) {
                workload.check(cursor.use_region(offset..offset + 64).unwrap(), offset);
            }
            group.bench_function(BenchmarkId::new("ours", keep), |bencher| {
                bencher.iter(|| {
                    let offset = offsets.next().unwrap();
                    let bytes = cursor.use_region(offset..offset + 64).unwrap();
                    touch.then(|| bytes[0])
                });
            });
            if !touch {
                // Those that come last in turn.
                let mut over = workload.mappings(&order[count - keep as usize..], window);
                // As ours were when they were checked.
                over.touch();
                let mut offsets = order.iter().copied().cycle();
                group.bench_function(BenchmarkId::new("bare-over", keep), |bencher| {
                    bencher.iter(|| over.map_next(&workload.plain, offsets.next().unwrap()));
                });
            }
            group.bench_function(BenchmarkId::new("bare", keep), |bencher| {
                let mut offsets = order.iter().copied().cycle();
                let first = offsets.by_ref().take(keep as usize);
                let mut alive: VecDeque<Mmap> = first.map(|offset| workload.map(offset, window)).collect();
                bencher.iter(|| {
                    alive.pop_front();
                    let map = workload.map(offsets.next().unwrap(), window);
                    let byte = touch.then(|| map[0]);
                    alive.push_back(map);
                    byte
                });
            });
        }
        group.finish();
    }
}

/// 64 B at random of a gibibyte, copied, with a limit of 64 MiB, so that of sixteen windows one is mapped.
///
/// `read_at` reads by `pread` itself, so its row is the overhead of finding the descriptor and of the checks. By a
/// window each of these copies costs a mapping and a fault, fifteen times out of sixteen: what `read_at` saves.
fn random_copies(criterion: &mut Criterion) {
    let workload = Workload::new();
    let file = workload.keeping(64, WINDOW);
    let reads = random_reads(READS, 64, 1, FILE_LEN, SEED);
    let mut out = [0; 64];
    for read in &reads {
        file.file().read_exact_at(&mut out, read.start).unwrap();
        workload.check(&out, read.start);
    }

    let all = |read_at: &dyn Fn(&mut [u8], u64) -> usize| {
        timed(|| reads.iter().for_each(|read| assert_eq!(read_at(black_box(&mut [0; 64]), read.start), 64)))
    };
    let mut turns: [(&str, Turn<'_>); 2] = [
        ("ours", Box::new(|| all(&|out, offset| file.file().read_at(out, offset).unwrap()))),
        ("bare", Box::new(|| all(&|out, offset| workload.plain.read_at(out, offset).unwrap()))),
    ];
    in_turn_of(READS, "window-mman/read_at", 64, &mut turns);

    let mut group = criterion.benchmark_group("window-mman/random-copy");
    group.throughput(Throughput::Elements(1));
    let mut cursor = file.cursor();
    for read in &reads {
        file.file().copy_view(read.clone()).unwrap().try_copy_to(0, &mut out).unwrap();
        workload.check(&out, read.start);
        workload.check(cursor.use_region(read.clone()).unwrap(), read.start);
    }
    group.bench_function(BenchmarkId::new("cursor", 64), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| black_box(&mut out).copy_from_slice(cursor.use_region(reads.next().unwrap().clone()).unwrap()));
    });
    group.bench_function(BenchmarkId::new("copy_view", 64), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| {
            let view = file.file().copy_view(reads.next().unwrap().clone()).unwrap();
            view.try_copy_to(0, black_box(&mut out)).unwrap();
        });
    });
    group.bench_function(BenchmarkId::new("bare", 64), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| workload.plain.read_at(black_box(&mut out), reads.next().unwrap().start).unwrap());
    });
}

/// A file from its start to its end, every byte of it looked at.
fn sequential_scan(criterion: &mut Criterion) {
    const LEN: u64 = 256 << 20;
    let sum = |bytes: &[u8]| {
        let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        words.fold(0, u64::wrapping_add)
    };
    let workload = Workload::new();
    let file = workload.keeping(64, WINDOW);
    let lines = |file: &StableFile| {
        let (mut buffer, mut total) = (file.buffer(0..LEN).unwrap(), 0_u64);
        loop {
            let bytes = buffer.fill_buf().unwrap();
            total = total.wrapping_add(sum(bytes));
            match bytes.len() {
                0 => return total,
                count => buffer.consume(count),
            }
        }
    };
    let mut out = page_aligned(256 << 10);
    let mut read = |file: &StableFile| {
        let (mut buffer, mut total) = (file.buffer(0..LEN).unwrap(), 0_u64);
        loop {
            match buffer.read(&mut out).unwrap() {
                0 => return total,
                count => total = total.wrapping_add(sum(&out[..count])),
            }
        }
    };
    let windows = || {
        let offsets = block_offsets((LEN >> 24) as usize, 1 << 24, Order::Ascending);
        offsets.into_iter().fold(0, |total: u64, offset| total.wrapping_add(sum(&workload.map(offset, 1 << 24))))
    };
    let mut space = page_aligned(256 << 10);
    let mut preads = || {
        let offsets = block_offsets((LEN >> 18) as usize, 1 << 18, Order::Ascending);
        offsets.into_iter().fold(0, |total: u64, offset| {
            workload.plain.read_exact_at(&mut space, offset).unwrap();
            total.wrapping_add(sum(&space))
        })
    };
    // What a `Read` has to do, which hands out nothing but copies.
    let mut copy = page_aligned(256 << 10);
    let mut copies = || {
        let offsets = block_offsets((LEN >> 24) as usize, 1 << 24, Order::Ascending);
        offsets.into_iter().fold(0, |total: u64, offset| {
            workload.map(offset, 1 << 24).chunks(copy.len()).fold(total, |total, part| {
                copy.copy_from_slice(part);
                total.wrapping_add(sum(black_box(&copy)))
            })
        })
    };
    let expected = preads();
    assert_eq!([lines(&file), read(&file), windows(), copies()], [expected; 4]);

    let mut group = criterion.benchmark_group("window-mman/scan");
    group.throughput(Throughput::Bytes(LEN));
    group.bench_function(BenchmarkId::new("ours-bufread", LEN), |bencher| bencher.iter(|| lines(&file)));
    group.bench_function(BenchmarkId::new("ours-read", LEN), |bencher| bencher.iter(|| read(&file)));
    group.bench_function(BenchmarkId::new("bare-windows", LEN), |bencher| bencher.iter(windows));
    group.bench_function(BenchmarkId::new("bare-windows-copied", LEN), |bencher| bencher.iter(&mut copies));
    group.bench_function(BenchmarkId::new("bare-pread", LEN), |bencher| bencher.iter(&mut preads));
}

/// The copy that survives a file that is cut short, beside one that does not.
fn recoverable_copy(criterion: &mut Criterion) {
    let workload = Workload::new();
    let view = workload.keeping(64, WINDOW).view(0..WINDOW).unwrap();
    let mapping = CopyMapping::new(&workload.plain, 0..WINDOW).unwrap();
    let mut group = criterion.benchmark_group("window-mman/try_copy_to");
    for len in [64, 4 << 10, 64 << 10] {
        let reads = random_reads(256, len, 64, WINDOW, SEED);
        let mut out = page_aligned(len as usize);
        for read in &reads {
            view.try_copy_to(read.start as usize, &mut out).unwrap();
            workload.check(&out, read.start);
            mapping.try_copy_to(read.start, &mut out).unwrap();
            workload.check(&out, read.start);
        }
        group.throughput(Throughput::Elements(reads.len() as u64));
        group.bench_function(BenchmarkId::new("ours-view", len), |bencher| {
            bencher.iter(|| {
                reads.iter().for_each(|read| view.try_copy_to(read.start as usize, black_box(&mut out)).unwrap());
            });
        });
        group.bench_function(BenchmarkId::new("ours-mapping", len), |bencher| {
            bencher
                .iter(|| reads.iter().for_each(|read| mapping.try_copy_to(read.start, black_box(&mut out)).unwrap()));
        });
        group.bench_function(BenchmarkId::new("bare", len), |bencher| {
            let place = |read: &Range<u64>| read.start as usize..read.end as usize;
            bencher.iter(|| reads.iter().for_each(|read| black_box(&mut out[..]).copy_from_slice(&view[place(read)])));
        });
    }
}

/// The file as an array, byte by byte, beside a slice; and at random, beside the `pread` of a page.
fn paged_file(criterion: &mut Criterion) {
    const LEN: i64 = 4 << 20;
    let workload = Workload::new();
    let mut paged = workload.keeping(64, WINDOW).file().paged();
    let whole = workload.map(0, LEN as u64);
    let get = |paged: &mut window_mman::PagedFile, index| paged.get(black_box(index)).unwrap().unwrap();
    assert!((0..LEN).step_by(97).all(|index| get(&mut paged, index) == workload.byte(index as u64)));

    let mut group = criterion.benchmark_group("window-mman/paged-sequential");
    group.throughput(Throughput::Elements(LEN as u64));
    group.bench_function(BenchmarkId::new("ours", LEN), |bencher| {
        bencher.iter(|| (0..LEN).fold(0, |total: u8, index| total.wrapping_add(get(&mut paged, index))));
    });
    group.bench_function(BenchmarkId::new("bare", LEN), |bencher| {
        let byte = |index| *whole.get(black_box(index)).unwrap();
        bencher.iter(|| (0..LEN as usize).fold(0, |total: u8, index| total.wrapping_add(byte(index))));
    });
    group.finish();

    let mut group = criterion.benchmark_group("window-mman/paged-random");
    group.throughput(Throughput::Elements(1));
    let reads = random_reads(READS, 64 << 10, 1, FILE_LEN, SEED);
    group.bench_function(BenchmarkId::new("ours", 1), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| get(&mut paged, reads.next().unwrap().start as i64));
    });
    group.bench_function(BenchmarkId::new("bare", 1), |bencher| {
        let (mut reads, mut page) = (reads.iter().cycle(), page_aligned(64 << 10));
        bencher.iter(|| workload.plain.read_exact_at(black_box(&mut page), reads.next().unwrap().start).unwrap());
    });
}

criterion_group! {
    name = window_mman;
    config = settings();
    targets = cursor_hit, window_change, window_miss, random_copies, sequential_scan, recoverable_copy, paged_file
}
criterion_main!(window_mman);
