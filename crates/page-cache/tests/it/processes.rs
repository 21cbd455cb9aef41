//! Several processes of several threads at work in one directory, forked or not, with somebody who damages what nobody
//! has checked yet. Every byte that is read is compared.
//!
//! `PAGE_CACHE_SECONDS` says for how long; `cargo xtask crash` sets it high.
//!
//! ```text
//! object   open ───────────────────────────────────────────► end of the process      its guard, shared
//! region          first read ──────────────────────────────► end of the process      its guard, shared
//! damage   X  X  ▲ pages of this region, while the file is open         whoever damages has the guard exclusively
//! ```
//!
//! A process takes what it has checked for good. So the bits of a region's pages are flipped only while no process that
//! lives has read any of it, though many have the object open; and files are damaged as a whole, and indexes, only
//! while nobody has the object open.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::accounting::{allocated, check_budget, check_tidy};
use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use crate::random::{Random, number};
use page_cache::{Cache, CachedFile, MaintenanceError};
use rustix::fs::{FallocateFlags, SeekFrom};
use sha2::{Digest, Sha256};

const OBJECTS: u64 = 6;
const LEN: u64 = 1_000_000;
/// What a file system allocates at once, and the size of pages.
const BLOCK: u64 = 4096;
/// Whole pages, so that nobody who reads in one region checks a page of another.
const REGION: u64 = 10 * BLOCK;
/// How many objects a process reads in its life.
const READ_BY_ONE: u64 = 3;
/// Room for most of the objects, and not for all.
const MAX_BYTES: u64 = 5_900_000;

struct Objects(Vec<Vec<u8>>);

impl Objects {
    fn new() -> Self {
        Self((0..OBJECTS).map(|object| pattern((LEN - object * 777) as usize, object + 100)).collect())
    }

    fn origin(&self, object: u64) -> MemoryOrigin {
        MemoryOrigin::new(&object.to_string(), self.0[object as usize].clone())
    }

    /// Reads something of a region.
    fn check(&self, object: u64, file: &CachedFile, region: u64, random: &mut Random) {
        let bytes = &self.0[object as usize];
        let region = region * REGION..((region + 1) * REGION).min(file.len());
        let start = region.start + random.below(region.end - region.start);
        let len = match random.below(4) {
            0 => random.below(100),
            1 => REGION,
            _ => random.below(9_000),
        };
        let end = (start + len).min(region.end);
        assert!(file.bytes(start..end).unwrap() == bytes[start as usize..end as usize], "{object}: {start}..{end}");
    }
}

fn regions(object: u64) -> u64 {
    (LEN - object * 777).div_ceil(REGION)
}

fn open(dir: &Path) -> Cache {
    // What nobody has open is closed, so that it is opened again and again.
    Cache::builder(dir.join("cache")).page_size(BLOCK).max_bytes(MAX_BYTES).max_open_entries(0).open().unwrap()
}

fn guard(dir: &Path, name: &str) -> File {
    File::options().create(true).append(true).open(dir.join(format!("guard-{name}"))).unwrap()
}

fn region_name(object: u64, region: u64) -> String {
    format!("{object}-{region}")
}

/// The guards that a process has, until it ends.
struct Guards<'a> {
    dir: &'a Path,
    taken: Mutex<HashMap<String, File>>,
}

impl<'a> Guards<'a> {
    fn new(dir: &'a Path) -> Self {
        Self { dir, taken: Mutex::default() }
    }

    /// From now on nobody damages it.
    fn take(&self, name: String) {
        self.taken.lock().unwrap().entry(name).or_insert_with_key(|name| {
            let guard = guard(self.dir, name);
            guard.lock_shared().unwrap();
            guard
        });
    }
}

/// One thread of one process: opens, reads, checks, until the time is over, and a new region every now and then.
fn work(guards: &Guards<'_>, cache: &Cache, objects: &Objects, process: u64, thread: u64, until: Instant) {
    let mut random = Random::new(process * 4 + thread);
    let mut read = HashMap::<u64, Vec<u64>>::new();
    let mut last_new = Instant::now();
    while Instant::now() < until {
        let object = (process + random.below(READ_BY_ONE)) % OBJECTS;
        guards.take(object.to_string());
        let file = cache.file(objects.origin(object)).unwrap();
        let read = read.entry(object).or_default();
        if read.is_empty() || last_new.elapsed() > Duration::from_millis(25) {
            let region = random.below(regions(object));
            guards.take(region_name(object, region));
            read.push(region);
            last_new = Instant::now();
        }
        for _ in 0..1 + random.below(30) {
            let region = read[random.below(read.len() as u64) as usize];
            objects.check(object, &file, region, &mut random);
        }
        match random.below(20) {
            0 => assert!(file.held().end() <= file.len()),
            1 => _ = cache.recount(Duration::from_millis(5)).unwrap(),
            2 => _ = cache.entries(),
            _ => {}
        }
    }
}

fn work_in_threads(guards: &Guards<'_>, cache: &Cache, objects: &Objects, process: u64, until: Instant) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || work(guards, cache, objects, process, thread, until));
        }
    });
}

/// Says how many damaged pages a process has found, where the test counts them.
fn report(dir: &Path, cache: &Cache) {
    let mut found = File::options().create(true).append(true).open(dir.join("found")).unwrap();
    found.write_all(format!("{}\n", cache.stats().corrupt_pages).as_bytes()).unwrap();
}

/// What was damaged.
#[derive(Debug, Default)]
struct Damages {
    /// Of objects that nobody had open.
    closed: u64,
    /// Pages of objects that somebody had open.
    live: u64,
}

/// Damages something that nobody has checked.
fn corrupt(dir: &Path, random: &mut Random, damages: &mut Damages) -> Option<()> {
    let object = random.below(OBJECTS);
    let guard_of_object = guard(dir, &object.to_string());
    let key: String =
        Sha256::digest(format!("memory:{object}"))[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let cache = dir.join("cache");
    let pair = |ending: &str| -> Option<PathBuf> {
        let mut paths = cache.join("pairs").read_dir().ok()?.map(|entry| entry.unwrap().path());
        paths.find(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(&key) && name.ends_with(ending)
        })
    };
    let flip = |path: PathBuf, offset: u64, random: &mut Random| {
        let file = File::options().read(true).write(true).open(path).ok()?;
        // In a hole it would take a block that nobody vouches for and nobody ever gives back.
        if rustix::fs::seek(&file, SeekFrom::Data(offset)) != Ok(offset) {
            return None;
        }
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).ok()?;
        byte[0] ^= 1 << random.below(8);
        file.write_all_at(&byte, offset).ok()?;
        Some(file)
    };
    let flip_data = |offset: u64, random: &mut Random| {
        let file = flip(pair(".data")?, offset, random)?;
        // Somebody may have evicted the page in between, so that the block was taken by this: it holds nothing else
        // then. Nobody fills it now, so it can go again.
        let (start, mut block) = (offset - offset % BLOCK, vec![0; BLOCK as usize]);
        let len = file.read_at(&mut block, start).ok()?;
        block[(offset - start) as usize] = 0;
        if block[..len].iter().any(|&byte| byte != 0) {
            return Some(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, hole, start, BLOCK).unwrap();
        None
    };
    let is_closed = guard_of_object.try_lock().is_ok();
    if is_closed && random.below(10) == 0 {
        match random.below(6) {
            0 => File::options().write(true).open(pair(".data")?).ok()?.set_len(random.below(LEN)).unwrap(),
            1 => _ = std::fs::remove_file(pair(".data")?),
            2 => _ = std::fs::write(cache.join("heads").join(key), b"nonsense"),
            3 | 4 => flip(pair(".index")?, 16_384 + random.below(LEN / BLOCK * 8), random).map(drop)?,
            _ => flip_data(random.below(LEN - 10_000), random)?,
        }
        damages.closed += 1;
    } else {
        guard_of_object.unlock().unwrap();
        let region = random.below(regions(object));
        let guard_of_region = guard(dir, &region_name(object, region));
        guard_of_region.try_lock().ok()?;
        let within = random.below(REGION.min(LEN - object * 777 - region * REGION));
        flip_data(region * REGION + within, random)?;
        damages.live += u64::from(!is_closed);
    }
    Some(())
}

/// Starts processes one after the other, each for a part of a second, so that there is always something that nobody has
/// checked; several such rows beside each other.
fn soak(test: impl Fn() + Copy + Send, rows: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (dir, seconds) = (directory.path(), number("PAGE_CACHE_SECONDS", 10));
    let (end, mut random, mut damages) =
        (Instant::now() + Duration::from_secs(seconds), Random::new(99), Damages::default());
    std::thread::scope(|scope| {
        for row in 0..rows {
            scope.spawn(move || {
                for number in 1.. {
                    let seed = number * rows + row;
                    let mut child = child::command(test);
                    let status = child.env("DIR", dir).env("SEED", seed.to_string()).status().unwrap();
                    assert!(status.success(), "process {seed}: {status}");
                    if Instant::now() >= end {
                        break;
                    }
                }
            });
        }
        while Instant::now() < end {
            _ = corrupt(dir, &mut random, &mut damages);
            // The limit holds at every moment, but for pages that a damaged word no longer counts. A look is no moment,
            // and counts twice what is moved meanwhile.
            assert!((0..3).any(|_| allocated(&dir.join("cache")) <= MAX_BYTES + damages.closed * BLOCK));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let cache = open(dir);
    check_budget(&cache);
    check_tidy(&dir.join("cache"));
    let objects = Objects::new();
    for object in 0..OBJECTS {
        let file = cache.file(objects.origin(object)).unwrap();
        assert!(file.bytes(0..LEN).unwrap() == objects.0[object as usize]);
    }
    let found = std::fs::read_to_string(dir.join("found")).unwrap();
    let found: u64 = found.lines().map(|count| count.parse::<u64>().unwrap()).sum();
    println!("{damages:?}, {found} pages found damaged");
    assert!(damages.live > 4 && damages.closed > 0 && found > 4, "{damages:?}, {found} found");
}

/// How long a process lives.
fn life(seed: u64) -> Instant {
    Instant::now() + Duration::from_millis(150 + Random::new(seed).below(400))
}

#[test]
fn four_processes_of_four_threads_and_a_corrupter() {
    if child::is_child() {
        let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
        let (cache, seed) = (open(&dir), number("SEED", 0));
        work_in_threads(&Guards::new(&dir), &cache, &Objects::new(), seed, life(seed));
        if seed % 8 == 0 {
            // What it checks is checked by nobody who reads on.
            _ = cache.verify().unwrap();
        }
        return report(&dir, &cache);
    }
    soak(four_processes_of_four_threads_and_a_corrupter, 4);
}

#[test]
fn processes_forked_from_one_that_holds_the_cache_open() {
    if child::is_child() {
        return fork_at_work();
    }
    soak(processes_forked_from_one_that_holds_the_cache_open, 2);
}

/// Forks while its threads are at work; its children go on with the cache and the handles that it has.
fn fork_at_work() {
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
    let seed = number("SEED", 0);
    let (cache, objects, guards, until) = (open(&dir), Objects::new(), Guards::new(&dir), life(seed));
    let held: Vec<_> = (0..2).map(|object| (object, cache.file(objects.origin(object)).unwrap())).collect();
    for (object, file) in &held {
        guards.take(object.to_string());
        for region in 0..7 {
            guards.take(region_name(*object, region));
        }
        assert!(file.bytes(0..7 * REGION).unwrap() == objects.0[*object as usize][..7 * REGION as usize]);
    }
    let at_work = |process: u64, guards: &Guards<'_>| {
        let mut random = Random::new(process);
        std::thread::scope(|scope| {
            scope.spawn(|| work_in_threads(guards, &cache, &objects, process, until));
            while Instant::now() < until {
                let (object, file) = &held[random.below(2) as usize];
                objects.check(*object, file, random.below(7), &mut random);
            }
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| work_in_threads(&guards, &cache, &objects, seed, until));
        let children: Vec<_> = (1..4)
            .map(|number| {
                std::thread::sleep(Duration::from_millis(25));
                // SAFETY: the child uses what a child may: memory, threads of its own, and the cache that is tested.
                let pid = unsafe { libc::fork() };
                assert!(pid >= 0);
                if pid == 0 {
                    let at_work = || {
                        // The parent's may be locked for ever. What it had taken stays taken, by its open files.
                        at_work(seed + number, &Guards::new(&dir));
                        report(&dir, &cache);
                    };
                    let code = i32::from(catch_unwind(AssertUnwindSafe(at_work)).is_err());
                    // SAFETY: it ends here, and runs nothing of its parent's.
                    unsafe { libc::_exit(code) };
                }
                pid
            })
            .collect();
        at_work(seed + 4, &guards);
        for pid in children {
            let mut status = -1;
            // SAFETY: it is a child of this process, and the status is written to a variable that outlives the call.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(status, 0, "a child died");
        }
    });
    report(&dir, &cache);
}

/// A parent that dies leaves no lock behind, whatever its child does.
#[test]
fn a_child_that_used_the_cache_holds_nothing_of_its_parents() {
    if child::is_child() {
        return fork_and_die();
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = child::command(a_child_that_used_the_cache_holds_nothing_of_its_parents);
    assert!(child.env("DIR", directory.path()).status().unwrap().success());
    let objects = Objects::new();
    let cache = open(directory.path());
    // The grandchild still lives, and has read: its parent's sections, pages and keys are free.
    check_budget(&cache);
    let file = cache.file(objects.origin(0)).unwrap();
    assert!(file.bytes(0..LEN).unwrap() == objects.0[0]);
    assert!(file.held().contains(0..LEN));
    std::fs::write(directory.path().join("stop"), b"").unwrap();
}

fn fork_and_die() {
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
    let (cache, objects) = (open(&dir), Objects::new());
    let file = cache.file(objects.origin(0)).unwrap();
    file.bytes(0..100_000).unwrap();
    // SAFETY: as above.
    if unsafe { libc::fork() } == 0 {
        let good = file.bytes(50_000..200_000).is_ok_and(|bytes| bytes == objects.0[0][50_000..200_000]);
        std::fs::write(dir.join(if good { "good" } else { "bad" }), b"").unwrap();
        let start = Instant::now();
        while !dir.join("stop").exists() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    while !dir.join("good").exists() {
        assert!(!dir.join("bad").exists(), "the child read wrong bytes");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a test's part in a process of one thread, and in that, a child of a fork.
fn in_a_process_that_forks<Test: Fn()>(test: Test, work: fn(&Path)) {
    if child::is_child() {
        return work(&PathBuf::from(std::env::var_os("DIR").unwrap()));
    }
    let directory = tempfile::tempdir().unwrap();
    let output = child::command(test).env("DIR", directory.path().join("cache")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Does something in a child of a fork.
fn in_a_fork(work: impl FnOnce()) {
    // SAFETY: as above.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
        // SAFETY: as above.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
}

#[test]
fn a_child_counts_what_it_does_itself() {
    in_a_process_that_forks(a_child_counts_what_it_does_itself, |dir| {
        let (cache, objects) = (open(dir), Objects::new());
        let file = cache.file(objects.origin(0)).unwrap();
        file.bytes(0..10_000).unwrap();
        for _ in 0..5 {
            file.bytes(0..10).unwrap();
        }
        let parents = (file.stats(), cache.stats());
        assert_eq!((parents.0.misses, parents.0.hits), (1, 5));
        in_a_fork(|| {
            let away = dir.with_extension("away");
            std::fs::rename(dir, &away).unwrap();
            assert_eq!((file.stats(), cache.stats()), Default::default(), "nothing has happened here");
            assert!(!dir.exists(), "the directory was opened for a look at the counters");
            std::fs::rename(&away, dir).unwrap();
            file.bytes(0..10).unwrap();
            file.bytes(500_000..510_000).unwrap();
            let (of_file, of_cache) = (file.stats(), cache.stats());
            assert_eq!((of_file.hits, of_file.misses, of_file.requests), (1, 1, 1));
            assert_eq!(of_file, of_cache, "what was opened by the parent counts as well");
        });
        assert_eq!((file.stats(), cache.stats()), parents);
    });
}

#[test]
fn a_child_that_could_not_open_the_cache_tries_again() {
    in_a_process_that_forks(a_child_that_could_not_open_the_cache_tries_again, |dir| {
        let (cache, objects) = (open(dir), Objects::new());
        let file = cache.file(objects.origin(0)).unwrap();
        let away = dir.with_extension("away");
        std::fs::rename(dir, &away).unwrap();
        std::fs::write(dir, b"in the way").unwrap();
        in_a_fork(|| {
            let read = |file: &CachedFile| {
                assert!(file.bytes(0..10_000).unwrap() == objects.0[0][..10_000]);
                file.held().contains(0..10_000)
            };
            assert!(!read(&file), "there is nowhere to store it");
            let error = cache.recount(Duration::from_secs(1)).unwrap_err();
            assert!(matches!(error, MaintenanceError::NotOpen { .. }), "{error}");
            let error = file.verify().unwrap_err();
            assert!(matches!(error, MaintenanceError::NotOpen { .. }), "{error}");
            std::fs::remove_file(dir).unwrap();
            std::fs::rename(&away, dir).unwrap();
            let start = Instant::now();
            while !read(&file) {
                assert!(start.elapsed() < Duration::from_secs(20), "it was never tried again");
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(cache.recount(Duration::from_secs(5)).unwrap().is_some());
        });
    });
}
