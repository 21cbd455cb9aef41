//! Several processes of several threads at work in one directory, forked or not, with somebody who damages what nobody
//! has checked yet; and processes that are killed. Every byte that is read is compared.
//!
//! `PAGE_CACHE_SECONDS` and `PAGE_CACHE_KILLS` say for how long and how often; `cargo xtask crash` sets them high.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CachedFile, Freshness, Origin};
use sha2::{Digest, Sha256};

const OBJECTS: u64 = 6;
const LEN: u64 = 1_000_000;
/// Room for most of the objects, and not for all.
const MAX_BYTES: u64 = 5_900_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A generator of random numbers, seeded by what nobody else has.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

struct Objects(Vec<Vec<u8>>);

impl Objects {
    fn new() -> Self {
        Self((0..OBJECTS).map(|object| pattern((LEN - object * 777) as usize, object + 100)).collect())
    }

    fn origin(&self, object: u64) -> MemoryOrigin {
        MemoryOrigin::new(&object.to_string(), self.0[object as usize].clone())
    }

    fn check(&self, object: u64, file: &CachedFile, random: &mut Random) {
        let bytes = &self.0[object as usize];
        let start = random.below(file.len());
        let len = match random.below(4) {
            0 => random.below(100),
            1 => random.below(300_000),
            _ => random.below(9_000),
        };
        let end = (start + len).min(file.len());
        assert!(file.bytes(start..end).unwrap() == bytes[start as usize..end as usize], "{object}: {start}..{end}");
    }
}

fn open(dir: &Path) -> Cache {
    // What nobody has open is closed, so that what is damaged then has been checked by nobody.
    Cache::builder(dir.join("cache")).page_size(4096).max_bytes(MAX_BYTES).max_open_entries(0).open().unwrap()
}

fn guard(dir: &Path, object: u64) -> File {
    File::options().create(true).append(true).open(dir.join(format!("guard-{object}"))).unwrap()
}

/// One thread of one process: opens, reads, checks, until the time is over.
fn work(dir: &Path, cache: &Cache, objects: &Objects, seed: u64, until: Instant) {
    let mut random = Random::new(seed);
    while Instant::now() < until {
        let object = random.below(OBJECTS);
        let guard = guard(dir, object);
        guard.lock_shared().unwrap();
        let file = cache.file(objects.origin(object)).unwrap();
        for _ in 0..1 + random.below(30) {
            objects.check(object, &file, &mut random);
        }
        match random.below(20) {
            0 => _ = file.verify().unwrap(),
            1 => assert!(file.held().end() <= file.len()),
            2 => _ = cache.recount(Duration::from_millis(5)).unwrap(),
            // All entries are listed by who damages them: each is open meanwhile, with what was checked of it.
            3 => _ = cache.entry(file.key()),
            _ => {}
        }
        drop(file);
        guard.unlock().unwrap();
    }
}

fn work_in_threads(dir: &Path, cache: &Cache, objects: &Objects, seed: u64, until: Instant) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || work(dir, cache, objects, seed * 4 + thread, until));
        }
    });
}

/// Damages what nobody has open: bits of data and words, data that is cut short or gone, a head of nonsense.
fn corrupt(dir: &Path, random: &mut Random, first: u64) -> Option<()> {
    let object = first + random.below(OBJECTS - first);
    let guard = guard(dir, object);
    guard.try_lock().ok()?;
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
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).ok()?;
        byte[0] ^= 1 << random.below(8);
        file.write_all_at(&byte, offset).ok()
    };
    match random.below(10) {
        0 => File::options().write(true).open(pair(".data")?).ok()?.set_len(random.below(LEN)).unwrap(),
        1 => _ = std::fs::remove_file(pair(".data")?),
        2 => _ = std::fs::write(cache.join("heads").join(key), b"nonsense"),
        3 | 4 => flip(pair(".index")?, 16_384 + random.below(LEN / 4096 * 8), random)?,
        _ => flip(pair(".data")?, random.below(LEN - 10_000), random)?,
    }
    guard.unlock().unwrap();
    Some(())
}

/// After a recount: what is charged is what is taken, and no more than is documented beyond that.
fn check_budget(cache: &Cache) {
    let found = cache.recount(Duration::from_secs(30)).unwrap().unwrap();
    assert!(found.allocated <= found.charged, "{found:?}");
    let fixed = (64 << 10) + found.pairs * (16 << 10);
    assert!(found.charged <= found.allocated + 64 * found.pages + fixed, "{found:?}");
}

/// The bytes of the disk that data files and indexes take now.
fn allocated(dir: &Path) -> u64 {
    let below = |name: &str| dir.join("cache").join(name).read_dir().into_iter().flatten();
    let files = below("pairs").chain(below("aside")).filter_map(|entry| entry.ok()?.metadata().ok());
    files.map(|metadata| metadata.blocks() * 512).sum()
}

fn check_tidy(dir: &Path) {
    for below in ["", "heads", "pairs", "aside"] {
        let names = dir.join("cache").join(below).read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> =
            names.filter(|name| below == "aside" || name.to_string_lossy().ends_with(".svf-tmp")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Starts a process that [`wait_for`] waits for.
fn start(command: &mut Command) -> Child {
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until all have ended well; else tells how each other one did, and what it said.
fn wait_for(children: Vec<Child>) {
    let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
    let failed: Vec<_> = outputs
        .filter(|output| !output.status.success())
        .map(|output| format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn soak(forked: bool) {
    let directory = tempfile::tempdir().unwrap();
    let (dir, seconds) = (directory.path(), number("PAGE_CACHE_SECONDS", 10));
    let start_soaking = |seed: u64| {
        let mut child = child::command(if forked { "soak_forking_child" } else { "soak_child" });
        start(child.env("DIR", dir).env("SEED", seed.to_string()).env("SECONDS", seconds.to_string()))
    };
    let children: Vec<_> = (1..=if forked { 1 } else { 4 }).map(start_soaking).collect();
    let (end, mut random, mut done) = (Instant::now() + Duration::from_secs(seconds), Random::new(99), 0);
    while Instant::now() < end {
        // Forked processes have the first two objects open all the time.
        done += corrupt(dir, &mut random, if forked { 2 } else { 0 }).map_or(0, |()| 1);
        // The limit holds at every moment, but for blocks that the damaging itself takes. A look is no moment, and counts
        // twice what is moved, or written out by the file system, meanwhile.
        assert!((0..3).any(|_| allocated(dir) <= MAX_BYTES + done * 4096));
        if random.below(20) == 0 {
            _ = open(dir).entries();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    wait_for(children);
    let cache = open(dir);
    check_budget(&cache);
    check_tidy(dir);
    let objects = Objects::new();
    for object in 0..OBJECTS {
        let file = cache.file(objects.origin(object)).unwrap();
        assert!(file.bytes(0..LEN).unwrap() == objects.0[object as usize]);
    }
    assert!(done > 20, "only {done} damages");
}

#[test]
fn four_processes_of_four_threads_and_a_corrupter() {
    soak(false);
}

#[test]
#[ignore = "a process that another test starts"]
fn soak_child() {
    let Some(dir) = std::env::var_os("DIR").map(PathBuf::from) else { return };
    let until = Instant::now() + Duration::from_secs(number("SECONDS", 1));
    work_in_threads(&dir, &open(&dir), &Objects::new(), number("SEED", 0), until);
}

#[test]
fn processes_forked_from_one_that_holds_the_cache_open() {
    soak(true);
}

/// Forks while its threads are at work; its children go on with the cache and the handles that it has.
#[test]
#[ignore = "a process that another test starts"]
fn soak_forking_child() {
    let Some(dir) = std::env::var_os("DIR").map(PathBuf::from) else { return };
    let until = Instant::now() + Duration::from_secs(number("SECONDS", 1));
    let (cache, objects) = (open(&dir), Objects::new());
    let held: Vec<_> = (0..2).map(|object| cache.file(objects.origin(object)).unwrap()).collect();
    for file in &held {
        file.bytes(0..300_000).unwrap();
    }
    let in_child = |seed: u64| {
        let mut random = Random::new(seed);
        std::thread::scope(|scope| {
            scope.spawn(|| work_in_threads(&dir, &cache, &objects, seed, until));
            while Instant::now() < until {
                let object = random.below(2);
                objects.check(object, &held[object as usize], &mut random);
            }
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| work_in_threads(&dir, &cache, &objects, 50, until));
        let children: Vec<_> = (0..3)
            .map(|seed| {
                std::thread::sleep(Duration::from_millis(50));
                // SAFETY: the child uses what a child may: memory, threads of its own, and the cache that is tested.
                let pid = unsafe { libc::fork() };
                assert!(pid >= 0);
                if pid == 0 {
                    let code = i32::from(catch_unwind(AssertUnwindSafe(|| in_child(60 + seed))).is_err());
                    // SAFETY: it ends here, and runs nothing of its parent's.
                    unsafe { libc::_exit(code) };
                }
                pid
            })
            .collect();
        in_child(70);
        for pid in children {
            let mut status = -1;
            // SAFETY: it is a child of this process, and the status is written to a variable that outlives the call.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(status, 0, "a child died");
        }
    });
}

/// A parent that dies leaves no lock behind, whatever its child does.
#[test]
fn a_child_that_used_the_cache_holds_nothing_of_its_parents() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = child::command("fork_and_die_child");
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

#[test]
#[ignore = "a process that another test starts"]
fn fork_and_die_child() {
    let Some(dir) = std::env::var_os("DIR").map(PathBuf::from) else { return };
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

/// What a process that is killed leaves behind is found, and costs no byte and no block.
#[test]
fn processes_that_are_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, kills) = (directory.path(), number("PAGE_CACHE_KILLS", 50));
    let start_reading = |seed: u64| start(child::command("killed_child").env("DIR", dir).env("SEED", seed.to_string()));
    let survivor = start_reading(0);
    let mut random = Random::new(7);
    for kill in 1..=kills {
        let mut victim = start_reading(kill);
        std::thread::sleep(Duration::from_micros(8_000 + random.below(60_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
        if kill % 25 == 0 {
            check_budget(&open(dir));
        }
    }
    std::fs::write(dir.join("stop"), b"").unwrap();
    wait_for(vec![survivor]);
    let cache = open(dir);
    check_budget(&cache);
    check_tidy(dir);
    for entry in cache.entries() {
        let (object, version) = (number_in(&entry.key), entry.stat.validators.etag.unwrap());
        let origin = versioned(object, version.trim_matches('"').parse().unwrap());
        let file = cache.file(origin.clone()).unwrap();
        let bytes = pattern(KILLED_LEN, object * 1_000_003 + version.trim_matches('"').parse::<u64>().unwrap());
        assert!(file.bytes(0..KILLED_LEN as u64).unwrap() == bytes, "{}", origin.key());
    }
}

const KILLED_LEN: usize = 200_000;

fn number_in(key: &str) -> u64 {
    key.rsplit(':').next().unwrap().parse().unwrap()
}

fn versioned(object: u64, version: u64) -> MemoryOrigin {
    let origin = MemoryOrigin::new(&format!("killed:{object}"), vec![]);
    origin.set(pattern(KILLED_LEN, object * 1_000_003 + version), &format!("\"{version}\""));
    origin
}

/// Reads objects whose versions go on all the time, so that there is always something to make, fill and delete.
#[test]
#[ignore = "a process that another test starts"]
fn killed_child() {
    let Some(dir) = std::env::var_os("DIR").map(PathBuf::from) else { return };
    let cache = Cache::builder(dir.join("cache")).page_size(4096).max_bytes(MAX_BYTES).freshness(Freshness::Always);
    let (cache, seed, start) = (cache.open().unwrap(), number("SEED", 0), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (cache, dir) = (&cache, &dir);
            scope.spawn(move || {
                let mut random = Random::new(seed * 2 + thread + 1);
                while !dir.join("stop").exists() && start.elapsed() < Duration::from_secs(600) {
                    let (object, version) = (random.below(4), random.below(1_000_000));
                    let bytes = pattern(KILLED_LEN, object * 1_000_003 + version);
                    let file = cache.file(versioned(object, version)).unwrap();
                    for _ in 0..10 {
                        let start = random.below(KILLED_LEN as u64 - 20_000);
                        let end = start + random.below(20_000);
                        // Another process may have opened another version since: this one's is read all the same.
                        assert!(file.bytes(start..end).unwrap() == bytes[start as usize..end as usize]);
                    }
                }
            });
        }
    });
}

/// Who opens while others open, make heads and tidy up finds nothing in the way.
#[test]
fn processes_that_open_at_the_same_moment() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let dir = directory.path().join(round.to_string());
        wait_for((0..6).map(|_| start(child::command("opening_child").env("DIR", &dir))).collect());
    }
}

#[test]
#[ignore = "a process that another test starts"]
fn opening_child() {
    let Some(dir) = std::env::var_os("DIR").map(PathBuf::from) else { return };
    for object in 0..20 {
        let cache = Cache::builder(dir.join("cache")).page_size(4096).freshness(Freshness::Always).open().unwrap();
        let file = cache.file(versioned(object % 5, 1)).unwrap();
        assert!(file.page_size().is_some(), "it could not be stored");
        assert!(file.bytes(0..10_000).unwrap() == pattern(KILLED_LEN, (object % 5) * 1_000_003 + 1)[..10_000]);
    }
}
