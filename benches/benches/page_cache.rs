//! Pieces on local disk: hits, the first touch of a page, and filling.
//!
//! The origin is a local file, so no network is measured; all files are in the system's page cache, so no disk is
//! either, but for the write-back that the system does meanwhile while a cache is filled. `bare` reads the origin's
//! file, which has the same bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

use std::cell::LazyCell;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crc_fast::{CrcAlgorithm, checksum};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use memmap2::Mmap;
use page_cache::{Advice, Cache, CachedFile, FnOrigin, Freshness, LocalFile, Origin, Stat, Validators};
use rustix::process::Resource;
use svf_benches::{is_first_round, is_quick, pattern, random_reads, settings};
use tempfile::TempDir;

const SEED: u64 = 0x5EED;
/// The default of a cache, asserted below.
const PAGE: u64 = 64 << 10;
/// How many places are read in turn.
const READS: usize = 4096;

/// A file, what is in it, and room for caches of it.
struct Workload {
    content: Vec<u8>,
    path: PathBuf,
    plain: File,
    directory: TempDir,
}

impl Workload {
    fn new(len: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("origin");
        let content = pattern(len as usize, SEED);
        std::fs::write(&path, &content).unwrap();
        let plain = File::open(&path).unwrap();
        Self { content, path, plain, directory }
    }

    fn len(&self) -> u64 {
        self.content.len() as u64
    }

    /// A directory of its own, which goes when it is dropped.
    fn fresh_directory(&self) -> TempDir {
        tempfile::tempdir_in(self.directory.path()).unwrap()
    }

    fn open(&self, cache: &Cache) -> CachedFile {
        cache.file(LocalFile::new(&self.path).unwrap()).unwrap()
    }

    fn content(&self, range: &Range<u64>) -> &[u8] {
        &self.content[range.start as usize..range.end as usize]
    }
}

/// The origin's file does not change, so it is not looked at again.
fn cache(directory: &Path) -> Cache {
    Cache::builder(directory).freshness(Freshness::Immutable).open().unwrap()
}

/// Reads of what is held and has been checked by this process: what a parser does all day.
fn hits(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    let file = workload.open(&cache);
    assert_eq!(file.page_size(), Some(PAGE));
    assert_eq!(file.bytes(0..workload.len()).unwrap(), workload.content);
    assert!(file.held().contains(0..workload.len()));
    let stored = mapped_data_file(directory.path(), workload.len());
    assert!(*stored == workload.content);

    for size in [64, 4 << 10, 64 << 10, 1 << 20] {
        let reads = random_reads(READS, size, 1, workload.len(), SEED);
        let mut out = vec![0; size as usize];
        for read in reads.iter().take(256) {
            let expected = workload.content(read);
            assert_eq!(file.read_at(&mut out, read.start).unwrap(), out.len());
            assert!(out == expected && file.bytes(read.clone()).unwrap() == expected);
        }

        // Into memory that is there already.
        let mut group = criterion.benchmark_group("page-cache/hit-read_at");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                file.read_at(black_box(&mut out), offset).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                workload.plain.read_at(black_box(&mut out), offset).unwrap()
            });
        });
        // The same copies out of the same memory, and nothing else: neither found, nor vouched for, nor counted.
        group.bench_function(BenchmarkId::new("bare-copies", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let Range { start, end } = reads.next().unwrap();
                black_box(&mut out).copy_from_slice(&stored[*start as usize..*end as usize]);
            });
        });
        group.finish();

        // Into new memory; `bare` is the same `pread` as above, into memory that is there already.
        let mut group = criterion.benchmark_group("page-cache/hit-bytes");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| file.bytes(reads.next().unwrap().clone()).unwrap());
        });
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                let offset = reads.next().unwrap().start;
                workload.plain.read_at(black_box(&mut out), offset).unwrap()
            });
        });
    }
}

/// What the cache in a directory has of its only object, all of which is held: the memory that its hits copy from.
fn mapped_data_file(directory: &Path, len: u64) -> Mmap {
    let mut files = std::fs::read_dir(directory.join("pairs")).unwrap().map(|file| file.unwrap().path());
    let data = files.find(|path| path.extension().is_some_and(|name| name == "data")).unwrap();
    let data = File::open(data).unwrap();
    assert_eq!(data.metadata().unwrap().len(), len);
    // SAFETY: nobody writes to what is stored, or takes it away, while this is used.
    unsafe { Mmap::map(&data).unwrap() }
}

/// 8 B behind a seek by the reader, as a parser of a directory of offsets reads: what it costs must not depend on the
/// size of the pages.
fn reader(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let mut group = criterion.benchmark_group("page-cache/reader");
    for page in [PAGE, 16 << 20] {
        let directory = workload.fresh_directory();
        let options = Cache::builder(directory.path()).freshness(Freshness::Immutable);
        let file = workload.open(&options.page_size(page).open().unwrap());
        // The second time it is read and checked where it was stored.
        for _ in 0..2 {
            assert_eq!(file.bytes(0..workload.len()).unwrap(), workload.content);
        }
        let reads = random_reads(READS, 8, 1, workload.len(), SEED);
        let (mut reader, mut out) = (file.reader(), [0; 8]);
        for read in reads.iter().take(256) {
            reader.seek(SeekFrom::Start(read.start)).unwrap();
            reader.read_exact(&mut out).unwrap();
            assert_eq!(out, workload.content(read));
        }
        group.bench_function(BenchmarkId::new("seek-and-read-8", page), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| {
                reader.seek(SeekFrom::Start(reads.next().unwrap().start)).unwrap();
                reader.read_exact(black_box(&mut out)).unwrap();
            });
        });
        group.bench_function(BenchmarkId::new("read_at-8", page), |bencher| {
            let mut reads = reads.iter().cycle();
            bencher.iter(|| file.read_at(black_box(&mut out), reads.next().unwrap().start).unwrap());
        });
    }
}

/// 4 KiB anywhere in 1 GiB, where neither the processor's caches nor its table of pages hold all of it.
fn hits_in_a_gigabyte(criterion: &mut Criterion) {
    if is_quick() {
        return;
    }
    let workload = Workload::new(1 << 30);
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    let file = workload.open(&cache);
    let mut out = vec![0; 8 << 20];
    for offset in (0..workload.len()).step_by(out.len()) {
        file.read_exact_at(&mut out, offset).unwrap();
    }
    let size = 4 << 10;
    let reads = random_reads(1 << 16, size, 1, workload.len(), SEED);
    let out = &mut out[..size as usize];
    for read in &reads {
        file.read_exact_at(out, read.start).unwrap();
        assert_eq!(out, workload.content(read));
    }
    let mut group = criterion.benchmark_group("page-cache/hit-in-1GiB");
    group.throughput(Throughput::Bytes(size));
    group.bench_function(BenchmarkId::new("ours", size), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| file.read_at(black_box(out), reads.next().unwrap().start).unwrap());
    });
    group.bench_function(BenchmarkId::new("bare", size), |bencher| {
        let mut reads = reads.iter().cycle();
        bencher.iter(|| workload.plain.read_at(black_box(out), reads.next().unwrap().start).unwrap());
    });
}

/// How many bytes each of two readers hits in. They are the same ones whether the readers share anything or not, so
/// that nobody has less of them to keep in the processor's caches.
const HALF: u64 = 16 << 20;

/// Two directories of one filled file of `HALF` bytes each, and one of a file of twice as many.
struct SharedOrNot {
    shared: Workload,
    shared_directory: TempDir,
    apart: [Workload; 2],
    apart_directories: [TempDir; 2],
}

impl SharedOrNot {
    fn new() -> Self {
        let (shared, apart) = (Workload::new(2 * HALF), [HALF; 2].map(Workload::new));
        let fill = |workload: &Workload| {
            let directory = workload.fresh_directory();
            assert_eq!(workload.open(&cache(directory.path())).bytes(0..workload.len()).unwrap(), workload.content);
            directory
        };
        let (shared_directory, apart_directories) = (fill(&shared), apart.each_ref().map(fill));
        Self { shared, shared_directory, apart, apart_directories }
    }

    /// The origin and the directory that a reader uses, and where its bytes begin.
    fn of(&self, shares: bool, reader: usize) -> (&Workload, &Path, u64) {
        if shares {
            (&self.shared, self.shared_directory.path(), reader as u64 * HALF)
        } else {
            (&self.apart[reader], self.apart_directories[reader].path(), 0)
        }
    }
}

/// Two threads that hit, each in a half of one file, and each in a file of a directory of its own, which share nothing.
fn two_threads(criterion: &mut Criterion) {
    let workloads = SharedOrNot::new();
    for size in [64, 4 << 10] {
        let reads = random_reads(READS, size, 1, HALF, SEED);
        let mut group = criterion.benchmark_group("page-cache/hit-two-threads");
        for (name, shares) in [("ours", true), ("share-nothing", false)] {
            let open = |reader| {
                let (workload, directory, start) = workloads.of(shares, reader);
                let file = workload.open(&cache(directory));
                file.bytes(0..file.len()).unwrap();
                assert_eq!(file.stats().origin_bytes, 0);
                (file, start)
            };
            let first = open(0);
            // Those that share anything share everything, the handle too.
            let second = if shares { (first.0.clone(), HALF) } else { open(1) };
            let readers = [first, second];
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_custom(|times| {
                    let elapsed = |(file, start): &(CachedFile, u64)| hit_times(file, &reads, *start, size, times);
                    std::thread::scope(|scope| {
                        let other = scope.spawn(|| elapsed(&readers[1]));
                        elapsed(&readers[0]).max(other.join().unwrap())
                    })
                });
            });
        }
    }
}

/// Hits in turn, at places that are counted from `base`.
fn hit_times(file: &CachedFile, reads: &[Range<u64>], base: u64, size: u64, times: u64) -> Duration {
    let mut out = vec![0; size as usize];
    let (mut reads, start) = (reads.iter().cycle(), Instant::now());
    for _ in 0..times {
        file.read_at(black_box(&mut out), base + reads.next().unwrap().start).unwrap();
    }
    start.elapsed()
}

/// Two processes that hit, each in a half of one file, and each in a file of a directory of its own, which share
/// nothing; and one that is alone.
fn two_processes(criterion: &mut Criterion) {
    let workloads = SharedOrNot::new();
    for size in [64_u64, 4 << 10] {
        let mut group = criterion.benchmark_group("page-cache/hit-two-processes");
        for (name, shares, processes) in [("ours", true, 2), ("share-nothing", false, 2), ("one", true, 1)] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_custom(|times| {
                    let start = |reader| {
                        let (workload, directory, base) = workloads.of(shares, reader);
                        let mut child = Command::new(std::env::current_exe().unwrap());
                        child.env(CHILD, directory).env("ORIGIN", &workload.path).env("SIZE", size.to_string());
                        child.env("BASE", base.to_string()).env("TIMES", times.to_string());
                        child.stdout(Stdio::piped()).spawn().unwrap()
                    };
                    let children: Vec<_> = (0..processes).map(start).collect();
                    let elapsed = |child: Child| {
                        let output = child.wait_with_output().unwrap();
                        assert!(output.status.success());
                        Duration::from_nanos(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
                    };
                    children.into_iter().map(elapsed).max().unwrap()
                });
            });
        }
    }
}

/// Set in a process of this program that only hits, and prints how long that took, in nanoseconds.
const CHILD: &str = "PAGE_CACHE_BENCH_CHILD";

fn child(directory: &Path) {
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let cache = cache(directory);
    let file = cache.file(LocalFile::new(std::env::var_os("ORIGIN").unwrap()).unwrap()).unwrap();
    // All of it is checked before.
    file.bytes(0..file.len()).unwrap();
    assert_eq!(file.stats().origin_bytes, 0);
    let reads = random_reads(READS, number("SIZE"), 1, HALF, SEED);
    let hit_times = |times| hit_times(&file, &reads, number("BASE"), number("SIZE"), times);
    // And all of it is in the process's page tables.
    hit_times(4 * READS as u64);
    println!("{}", hit_times(number("TIMES")).as_nanos());
}

/// One page: fetched, given to the caller, checked, charged, locked, written, published; beside a bare `pwrite` of it,
/// and beside giving it to the caller and a `pwrite`.
fn fill_a_page(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let mut out = vec![0; PAGE as usize];
    let origin = |length| {
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let bytes = bytes::Bytes::from(workload.content[..PAGE as usize].to_vec());
        FnOrigin::new("pages", Stat { length, validators }, move |range| {
            Ok(bytes.slice(..(range.end - range.start) as usize))
        })
    };
    let mut group = criterion.benchmark_group("page-cache/fill-a-page");
    group.throughput(Throughput::Bytes(PAGE));
    let pages = 1 << 10;
    let directory = workload.fresh_directory();
    let cache = cache(directory.path());
    let (mut files, mut page) = (0, pages);
    let mut file = None;
    group.bench_function(BenchmarkId::new("ours", PAGE), |bencher| {
        bencher.iter_custom(|times| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..times {
                if page == pages {
                    let fresh = workload.fresh_directory();
                    let fresh_cache = Cache::builder(fresh.path()).freshness(Freshness::Immutable).open().unwrap();
                    (page, files) = (0, files + 1);
                    let next = fresh_cache.file(origin(pages * PAGE)).unwrap();
                    // A page at a time, and none ahead.
                    next.advise(0..u64::MAX, Advice::Random);
                    file = Some((next, fresh_cache, fresh));
                }
                let (file, ..) = file.as_ref().unwrap();
                let start = Instant::now();
                file.read_exact_at(black_box(&mut out), page * PAGE).unwrap();
                elapsed += start.elapsed();
                page += 1;
            }
            elapsed
        });
    });
    drop((file, cache, directory));
    let directory = workload.fresh_directory();
    let order = Order::new(directory.path());
    for (name, gives, keeps_order) in
        [("bare-pwrite", false, false), ("bare-copy-and-pwrite", true, false), ("bare-all-calls", true, true)]
    {
        let (mut copy, mut page) = (None, pages);
        group.bench_function(BenchmarkId::new(name, PAGE), |bencher| {
            bencher.iter_custom(|times| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..times {
                    if page == pages {
                        // As in ours, there is one file at a time, with its final length from the start.
                        let fresh = File::create(directory.path().join("copy")).unwrap();
                        fresh.set_len(pages * PAGE).unwrap();
                        (page, copy) = (0, Some(fresh));
                    }
                    let source = &workload.content[..PAGE as usize];
                    let start = Instant::now();
                    if gives {
                        black_box(&mut out).copy_from_slice(black_box(source));
                    }
                    let (copy, write) =
                        (copy.as_ref().unwrap(), |copy: &File| copy.write_all_at(black_box(source), page * PAGE));
                    if keeps_order {
                        order.lock_pages(page, 1);
                        black_box(checksum(CrcAlgorithm::Crc32Iscsi, black_box(source)));
                        order.write(copy, pages * PAGE, write);
                        order.unlock_pages(page, 1);
                    } else {
                        write(copy).unwrap();
                    }
                    elapsed += start.elapsed();
                    page += 1;
                }
                elapsed
            });
        });
    }
}

/// The calls that a fill takes beside its write, since processes may be killed and files cut short: locks of the pages
/// and of the section, and looks at the limit of file sizes and at the length.
struct Order {
    pages: File,
    section: File,
    /// As every process that has the pages open.
    _present: File,
}

impl Order {
    fn new(directory: &Path) -> Self {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let [pages, present, section] =
            ["pages", "pages", "section"].map(|name| options.open(directory.join(name)).unwrap());
        lock(&present, libc::F_RDLCK, 0, 1);
        Self { pages, section, _present: present }
    }

    fn lock_pages(&self, first: u64, count: u64) {
        lock(&self.pages, libc::F_WRLCK, 1 + first, count);
    }

    fn unlock_pages(&self, first: u64, count: u64) {
        lock(&self.pages, libc::F_UNLCK, 1 + first, count);
    }

    fn write(&self, copy: &File, len: u64, write: impl FnOnce(&File) -> std::io::Result<()>) {
        let look_at_len = || assert_eq!(rustix::fs::seek(copy, rustix::fs::SeekFrom::End(0)).unwrap(), len);
        lock(&self.section, libc::F_RDLCK, 0, 1);
        black_box(rustix::process::getrlimit(Resource::Fsize));
        look_at_len();
        write(copy).unwrap();
        look_at_len();
        lock(&self.section, libc::F_UNLCK, 0, 1);
    }
}

/// Sets a lock of a kind on bytes of a file.
fn lock(file: &File, kind: libc::c_int, start: u64, len: u64) {
    let (start, len) = (start.cast_signed(), len.cast_signed());
    let mut lock = libc::flock { l_type: kind as libc::c_short, l_whence: 0, l_start: start, l_len: len, l_pid: 0 };
    // SAFETY: the descriptor is open, and the system reads nothing but the structure.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) }, 0);
}

/// An object of sevens.
fn sevens(key: String, length: u64) -> impl Origin + use<> {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let bytes = |range: Range<u64>| Ok(vec![7; (range.end - range.start) as usize].into());
    FnOrigin::new(key, Stat { length, validators }, bytes)
}

/// A cache in which nothing stays open that nobody has a handle of.
fn without_open_entries(directory: &Path) -> Cache {
    let builder = Cache::builder(directory).freshness(Freshness::Immutable);
    builder.max_open_entries(0).max_bytes(1 << 40).open().unwrap()
}

/// Opening an object of 1 TiB that is known, and one more handle beside many, of more objects than are kept open
/// without one.
fn opening(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let cache = without_open_entries(&directory.path().join("long"));
    let open = || cache.file(sevens("long".into(), 1 << 40)).unwrap();
    assert_eq!(open().bytes(1 << 39..(1 << 39) + 3).unwrap(), [7; 3][..]);
    let mut group = criterion.benchmark_group("page-cache/open");
    group.bench_function(BenchmarkId::new("entry", "1TiB"), |bencher| bencher.iter(open));
    let mut out = [0; 64];
    group.bench_function(BenchmarkId::new("entry-and-first-touch", "1TiB"), |bencher| {
        bencher.iter(|| open().read_exact_at(black_box(&mut out), 1 << 39).unwrap());
    });
    for handles in [1_000, 10_000] {
        let beside = self::cache(&directory.path().join("beside"));
        let open = |number: usize| beside.file(sevens(format!("object:{}", number % 100), 1_000_000)).unwrap();
        // Only what is asked for is made ready.
        let held = LazyCell::new(|| (0..handles).map(open).collect::<Vec<_>>());
        group.bench_function(BenchmarkId::new("handle-beside", handles), |bencher| {
            assert!(held.iter().all(|file| file.page_size().is_some()), "all are stored");
            bencher.iter(|| open(handles));
        });
    }
}

/// A directory of so many objects: opening it, opening one of them, and counting all of them.
fn opening_among_objects(criterion: &mut Criterion) {
    for objects in [10, if is_quick() { 1_000 } else { 100_000 }] {
        if objects > 1_000 && !is_first_round() {
            continue;
        }
        let object = |number: usize| sevens(format!("object:{number}"), 1_000_000);
        let directory = LazyCell::new(|| {
            let directory = tempfile::tempdir().unwrap();
            let cache = without_open_entries(directory.path());
            (0..objects).for_each(|number| drop(cache.file(object(number)).unwrap()));
            directory
        });
        let mut group = criterion.benchmark_group("page-cache/open");
        group.sample_size(10).bench_function(BenchmarkId::new("directory", objects), |bencher| {
            // Without its end, which waits until the thread of the directory sees that it is over.
            let open = |_| {
                let start = Instant::now();
                let _cache = without_open_entries(directory.path());
                start.elapsed()
            };
            bencher.iter_custom(|times| (0..times).map(open).sum());
        });
        group.bench_function(BenchmarkId::new("entry-among", objects), |bencher| {
            let (cache, mut number) = (without_open_entries(directory.path()), 0);
            bencher.iter(|| {
                number = (number + 7_919) % objects;
                let file = cache.file(object(number)).unwrap();
                assert!(file.page_size().is_some(), "it is stored");
            });
        });
        group.bench_function(BenchmarkId::new("recount", objects), |bencher| {
            let cache = without_open_entries(directory.path());
            bencher.iter(|| {
                let found = cache.recount(Duration::from_secs(1)).unwrap().unwrap();
                assert_eq!(found.pairs, objects as u64);
            });
        });
    }
}

/// 4 KiB of a page that is held, and that this process has not read before: it has to be read and checked as a whole.
fn first_touch(criterion: &mut Criterion) {
    let workload = Workload::new(32 << 20);
    let directory = workload.fresh_directory();
    // What was checked is forgotten with the last handle.
    let cache = Cache::builder(directory.path()).freshness(Freshness::Immutable).max_open_entries(0).open().unwrap();
    workload.open(&cache).bytes(0..workload.len()).map(drop).unwrap();
    let other_directory = workload.fresh_directory();
    let other_cache = self::cache(other_directory.path());
    let pages = random_reads(READS, PAGE, PAGE, workload.len(), SEED);
    let mut out = vec![0; 4 << 10];
    // The origin is gone while a handle is read: it is the cache that answers.
    let away = workload.path.with_extension("away");
    for page in pages.iter().take(64) {
        let file = workload.open(&cache);
        std::fs::rename(&workload.path, &away).unwrap();
        file.read_exact_at(&mut out, page.start).unwrap();
        std::fs::rename(&away, &workload.path).unwrap();
        assert_eq!(out, workload.content[page.start as usize..][..out.len()]);
    }

    let mut group = criterion.benchmark_group("page-cache/first-touch");
    group.throughput(Throughput::Elements(1));
    // Every page in turn, in a random order; behind the last one the file is opened anew, and all is forgotten.
    let mut order: Vec<u64> = (0..workload.len() / PAGE).map(|page| page * PAGE).collect();
    order.sort_by_key(|offset| offset.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (mut file, mut next) = (workload.open(&cache), 0);
    group.bench_function(BenchmarkId::new("ours", PAGE), |bencher| {
        bencher.iter_custom(|times| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..times {
                if next == order.len() {
                    drop(std::mem::replace(&mut file, workload.open(&other_cache)));
                    (file, next) = (workload.open(&cache), 0);
                }
                let start = Instant::now();
                file.read_exact_at(black_box(&mut out), order[next]).unwrap();
                elapsed += start.elapsed();
                next += 1;
            }
            elapsed
        });
    });
    let mut page_out = vec![0; PAGE as usize];
    for (name, check) in [("bare", false), ("bare-with-crc", true)] {
        group.bench_function(BenchmarkId::new(name, PAGE), |bencher| {
            bencher.iter_custom(|times| {
                let mut elapsed = Duration::ZERO;
                for number in 0..times {
                    let start = Instant::now();
                    workload
                        .plain
                        .read_exact_at(black_box(&mut page_out), order[number as usize % order.len()])
                        .unwrap();
                    black_box(check.then(|| checksum(CrcAlgorithm::Crc32Iscsi, &page_out)));
                    elapsed += start.elapsed();
                }
                elapsed
            });
        });
    }
    assert_eq!(file.stats().origin_bytes, 0);
}

/// A whole file by requests of 1 MiB, of which nothing is held, beside copying it in pieces of 1 MiB.
fn fill(criterion: &mut Criterion) {
    let workload = Workload::new(16 << 20);
    let len = workload.len();
    let mut out = vec![0; 1 << 20];
    let offsets = || (0..len).step_by(1 << 20);

    let empty = || {
        let directory = workload.fresh_directory();
        let cache = cache(directory.path());
        (workload.open(&cache), cache, directory)
    };
    let (file, cache, directory) = empty();
    assert!(file.held().is_empty());
    for offset in offsets() {
        file.read_exact_at(&mut out, offset).unwrap();
        assert_eq!(out, workload.content[offset as usize..][..out.len()]);
    }
    assert!(file.held().contains(0..len));
    drop((file, cache, directory));

    let mut group = criterion.benchmark_group("page-cache/fill-by-1MiB");
    group.throughput(Throughput::Bytes(len)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::new("ours", len), |bencher| {
        bencher.iter_batched(
            empty,
            |(file, cache, directory)| {
                for offset in offsets() {
                    file.read_exact_at(black_box(&mut out), offset).unwrap();
                }
                (file, cache, directory)
            },
            BatchSize::PerIteration,
        );
    });
    let order = Order::new(workload.directory.path());
    for name in ["bare", "bare-all-calls"] {
        group.bench_function(BenchmarkId::new(name, len), |bencher| {
            bencher.iter_batched(
                || {
                    let directory = workload.fresh_directory();
                    let copy = File::create_new(directory.path().join("copy")).unwrap();
                    if name != "bare" {
                        copy.set_len(len).unwrap();
                    }
                    (copy, directory)
                },
                |(copy, directory)| {
                    for offset in offsets() {
                        if name == "bare" {
                            workload.plain.read_exact_at(black_box(&mut out), offset).unwrap();
                            copy.write_all_at(&out, offset).unwrap();
                        } else {
                            fill_in_order(&workload, &order, &copy, offset, &mut out);
                        }
                    }
                    (copy, directory)
                },
                BatchSize::PerIteration,
            );
        });
    }
}

/// One piece of the origin's file, which is seen to be the same before and behind the read, is checked, and written in
/// the order of a fill: what is promised takes no less.
fn fill_in_order(workload: &Workload, order: &Order, copy: &File, offset: u64, piece: &mut [u8]) {
    let (first, count) = (offset / PAGE, piece.len() as u64 / PAGE);
    order.lock_pages(first, count);
    assert!(workload.path.metadata().unwrap().is_file());
    let origin = File::open(&workload.path).unwrap();
    let before = origin.metadata().unwrap().modified().unwrap();
    origin.read_exact_at(black_box(piece), offset).unwrap();
    assert_eq!(origin.metadata().unwrap().modified().unwrap(), before);
    drop(origin);
    piece.chunks(PAGE as usize).for_each(|page| _ = black_box(checksum(CrcAlgorithm::Crc32Iscsi, page)));
    order.write(copy, workload.len(), |copy| copy.write_all_at(black_box(piece), offset));
    order.unlock_pages(first, count);
}

criterion_group! {
    name = page_cache;
    config = settings();
    targets = hits, reader, hits_in_a_gigabyte, two_threads, two_processes, first_touch, fill_a_page, fill, opening,
        opening_among_objects
}

fn main() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return child(Path::new(&directory));
    }
    page_cache();
    Criterion::default().configure_from_args().final_summary();
}
