//! Processes that are killed while they read, fill, evict, count, make and delete, beside one that lives on. What they
//! leave behind is looked at as it is, and then counted; what they had stored is read, and every byte of it compared.
//!
//! `PAGE_CACHE_KILLS` says how often; `cargo xtask crash` sets it high.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use crate::accounting::{allocated, allocated_by_pairs, charged, check_budget, check_tidy};
use crate::child;
use crate::log;
use crate::memory_origin::{MemoryOrigin, pattern};
use crate::random::{Random, number};
use page_cache::{Cache, Freshness, Origin};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

const LEN: usize = 200_000;
/// Room for a third of the objects, so that somebody evicts all the time.
const MAX_BYTES: u64 = 600_000;
/// Those that all processes read, and behind them those that only the ones read that are killed.
const SHARED: u64 = 4;
const OBJECTS: u64 = 6;
/// For so long every process takes an object to be of the same version.
const VERSION_MILLIS: u128 = 150;

fn bytes(object: u64, version: u64) -> Vec<u8> {
    pattern(LEN, object * 1_000_003 + version)
}

fn origin(object: u64, version: u64) -> MemoryOrigin {
    let origin = MemoryOrigin::new(&format!("killed:{object}"), vec![]);
    origin.set(bytes(object, version), &format!("\"{version}\""));
    origin
}

/// The version that an object has now.
fn version(object: u64) -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    (now / VERSION_MILLIS) as u64 + object
}

/// What a process that is killed leaves behind is found, and costs no byte and no block.
#[test]
fn processes_that_are_killed() {
    if child::is_child() {
        return read_for_ever();
    }
    let directory = tempfile::tempdir().unwrap();
    let (dir, kills) = (directory.path(), number("PAGE_CACHE_KILLS", 50));
    let cache = dir.join("cache");
    let start = |seed: u64, objects: u64| {
        let mut child = child::command(processes_that_are_killed);
        child.env("DIR", dir).env("SEED", seed.to_string()).env("OBJECTS", objects.to_string()).spawn().unwrap()
    };
    let mut survivor = start(0, SHARED);
    let (mut random, mut of_the_dead) = (Random::new(7), 0);
    for kill in 1..=kills {
        let mut victim = start(kill, OBJECTS);
        // Every other one has read something before, however long a busy machine takes to start it.
        let start = Instant::now();
        while kill % 2 == 0 && !began(dir, kill).exists() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        victim.kill().unwrap();
        // One that ended by itself has read a wrong byte, or has been ended by a signal that it must not get.
        assert_eq!(victim.wait().unwrap().signal(), Some(libc::SIGKILL), "victim {kill}");
        of_the_dead += look(&survivor, &cache);
        if kill % 5 == 0 {
            check_budget(&open(&cache, false));
            of_the_dead += look(&survivor, &cache);
        }
    }
    std::fs::write(dir.join("stop"), b"").unwrap();
    assert!(survivor.wait().unwrap().success());
    look_at_rest(&cache);
    check_budget(&open(&cache, false));
    check_tidy(&cache);
    let evictions: u64 = std::fs::read_to_string(dir.join("evictions")).unwrap().parse().unwrap();
    println!("{of_the_dead} bytes that only the dead have stored, {evictions} extents evicted by who lived on");
    assert!(of_the_dead > 0, "nothing was read that only a dead process can have stored");
    assert!(evictions > kills, "too little was evicted");
}

fn open(cache: &Path, offline: bool) -> Cache {
    let cache = Cache::builder(cache).page_size(4096).max_open_entries(0).offline(offline);
    cache.freshness(Freshness::Immutable).open().unwrap()
}

/// Looks while the one that lives on is stopped, so that nothing changes meanwhile; see [`look_at_rest`].
fn look(survivor: &Child, cache: &Path) -> u64 {
    let pid = Pid::from_child(survivor);
    kill_process(pid, Signal::STOP).unwrap();
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped(), "who was to live on has ended: {status:?}");
    let of_the_dead = look_at_rest(cache);
    kill_process(pid, Signal::CONT).unwrap();
    of_the_dead
}

/// What is taken is charged, before anybody counts anew, and every byte that is held is right and vouched for. How many
/// bytes were read that only processes that are dead can have stored.
fn look_at_rest(dir: &Path) -> u64 {
    if !dir.join("control").exists() {
        return 0;
    }
    let (taken, accounted) = (allocated(dir), charged(dir));
    // All files and directories.
    assert!(taken <= accounted, "{taken} taken, {accounted} charged: {}", crate::accounting::listing(dir));
    let (allocated, charged) = (allocated_by_pairs(dir), charged(dir));
    // The directory's own charge stands for none of these files.
    assert!(allocated + (64 << 10) <= charged, "{allocated} bytes are taken, and {charged} charged");
    assert!(charged <= MAX_BYTES, "{charged} bytes are charged");
    let (cache, mut of_the_dead) = (open(dir, true), 0);
    for entry in cache.entries() {
        let object: u64 = entry.key.rsplit(':').next().unwrap().parse().unwrap();
        let version: u64 = entry.stat.validators.etag.unwrap().trim_matches('"').parse().unwrap();
        let expected = bytes(object, version);
        let file = cache.file(origin(object, version)).unwrap();
        for range in &file.held() {
            // Offline, so that it comes from the disk or not at all.
            assert!(file.bytes(range.clone()).unwrap() == expected[range.start as usize..range.end as usize]);
            of_the_dead += if object < SHARED { 0 } else { range.end - range.start };
        }
        assert_eq!(file.stats().corrupt_pages, 0, "a page of {} was vouched for, and is not whole", entry.key);
    }
    of_the_dead
}

/// There once the process of this seed has read something.
fn began(dir: &Path, seed: u64) -> PathBuf {
    dir.join(format!("began-{seed}"))
}

/// Reads objects whose versions go on all the time, so that there is always something to make, fill and delete.
fn read_for_ever() {
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
    let cache =
        Cache::builder(dir.join("cache")).page_size(4096).max_bytes(MAX_BYTES).eager().freshness(Freshness::Always);
    let (log, cache, seed, start) = (log::listen(), cache.open().unwrap(), number("SEED", 0), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (cache, dir) = (&cache, &dir);
            scope.spawn(move || {
                let mut random = Random::new(seed * 2 + thread + 1);
                while !dir.join("stop").exists() && start.elapsed() < Duration::from_secs(600) {
                    // Those of its own as often as the others.
                    let (objects, own) = (number("OBJECTS", OBJECTS), random.below(2) == 0);
                    let first = if own && objects > SHARED { SHARED } else { 0 };
                    let object = first + random.below(objects - first);
                    let version = version(object);
                    let (origin, bytes) = (origin(object, version), bytes(object, version));
                    let file = cache.file(origin.clone()).unwrap();
                    for _ in 0..30 {
                        let start = random.below(LEN as u64 - 20_000);
                        let end = start + random.below(20_000);
                        // Another process may have opened another version since: this one's is read all the same.
                        let read = file.bytes(start..end).unwrap();
                        assert!(read == bytes[start as usize..end as usize], "{} {start}..{end}", origin.key());
                    }
                    std::fs::write(began(dir, seed), b"").unwrap();
                    // There is always somebody who evicts, or counts.
                    match random.below(6) {
                        0 => _ = cache.recount(Duration::from_millis(20)).unwrap(),
                        1 => _ = cache.evict_to(random.below(MAX_BYTES)).unwrap(),
                        2 => _ = file.evict(random.below(LEN as u64)..LEN as u64).unwrap(),
                        _ => {}
                    }
                }
            });
        }
    });
    std::fs::write(dir.join("evictions"), log.evictions().to_string()).unwrap();
}

/// Who opens while others open, make heads and tidy up finds nothing in the way.
#[test]
fn processes_that_open_at_the_same_moment() {
    if child::is_child() {
        return open_again_and_again();
    }
    let directory = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let dir = directory.path().join(round.to_string());
        let start = || child::command(processes_that_open_at_the_same_moment).env("DIR", &dir).spawn().unwrap();
        let children: Vec<_> = (0..6).map(|_| start()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
    }
}

fn open_again_and_again() {
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
    for object in 0..20 {
        let cache = Cache::builder(dir.join("cache")).page_size(4096).freshness(Freshness::Always).open().unwrap();
        let file = cache.file(origin(object % 5, 1)).unwrap();
        assert!(file.page_size().is_some(), "it could not be stored");
        assert!(file.bytes(0..10_000).unwrap() == bytes(object % 5, 1)[..10_000]);
    }
}
