//! A disk that has room for the limit, and for no byte more: it never says that it is full, whatever is read.
//!
//! `PAGE_CACHE_DISK_SECONDS` says for how long on each, `PAGE_CACHE_DISK_MIB` how large the limit is;
//! `cargo xtask crash --enospc` sets them high.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use crate::accounting::{charged, check_budget, check_tidy};
use crate::child;
use crate::log;
use crate::mount::{Kind, Mounted};
use crate::random::{Random, number};
use page_cache::{Cache, CachedFile, FnOrigin, Freshness, Stat, Validators};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

const PAGE: u64 = 4096;
/// All objects together are ten times the limit.
const OBJECTS: u64 = 20;
/// These are replaced by another version every now and then.
const CHANGING: u64 = 3;
const VERSION_MILLIS: u128 = 700;
/// For so long at most they read on that have had too little.
const PATIENCE: Duration = Duration::from_secs(60);
const PROCESSES: u64 = 4;
const THREADS: u64 = 4;

/// No two words of any object and version are alike, and none is zero.
fn bytes(object: u64, version: u64, range: std::ops::Range<u64>) -> Vec<u8> {
    let words = range.start / 8..range.end.div_ceil(8);
    let seed = (object << 56 | version << 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let bytes: Vec<u8> =
        words.flat_map(|word| ((word ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1).to_le_bytes()).collect();
    let first = (range.start % 8) as usize;
    bytes[first..first + (range.end - range.start) as usize].to_vec()
}

fn version(object: u64) -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    if object < CHANGING { (now / VERSION_MILLIS) as u64 % (1 << 24) + object } else { 1 }
}

fn limit() -> u64 {
    number("PAGE_CACHE_DISK_MIB", 24) << 20
}

/// Not whole pages, so that the last one is charged more than it has.
fn length() -> u64 {
    limit() * 10 / OBJECTS - 777
}

fn open(dir: &Path) -> Cache {
    let cache = Cache::builder(dir.join("cache")).page_size(PAGE).max_bytes(limit());
    cache.eager().max_open_entries(4).freshness(Freshness::Always).open().unwrap()
}

fn file(cache: &Cache, object: u64, version: u64) -> CachedFile {
    let validators = Validators { version: Some(version.to_string()), ..Validators::default() };
    let stat = Stat { length: length(), validators };
    let read = move |range| Ok(bytes(object, version, range).into());
    cache.file(FnOrigin::new(format!("object:{object}"), stat, read)).unwrap()
}

#[test]
fn a_disk_with_room_for_the_limit_is_never_full() {
    if child::is_child() {
        return read_here_and_there();
    }
    for kind in [Kind::Ext4(4096), Kind::Ext4(1024), Kind::Tmpfs] {
        let Some(mounted) = Mounted::with_room_for(kind, limit()) else { return };
        let reports = tempfile::tempdir().unwrap();
        let start = |process: u64| {
            let mut child = child::command(a_disk_with_room_for_the_limit_is_never_full);
            child.env("DIR", mounted.path()).env("REPORTS", reports.path()).env("SEED", process.to_string());
            child.spawn().unwrap()
        };
        let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
        let (mut looks, mut most) = (0, 0);
        let is_over = || children.iter().any(|child| reports.path().join(child.id().to_string()).exists());
        while !is_over() && children.iter().all(is_alive) {
            std::thread::sleep(Duration::from_millis(40));
            most = look(&mounted, &children, looks % 10 == 0).max(most);
            looks += 1;
        }
        for child in &mut children {
            assert!(child.wait().unwrap().success(), "{kind:?}");
        }
        look(&mounted, &[], true);
        let cache = open(mounted.path());
        // A page of which the write failed would be charged, and not held.
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        let held: u64 = cache.entries().iter().map(|entry| entry.held.num_bytes().div_ceil(PAGE)).sum();
        assert_eq!(found.pages, held, "{kind:?}: {found:?}");
        check_budget(&cache);
        check_tidy(&mounted.path().join("cache"));
        let figures = sum(reports.path());
        let [evictions, reads, bypasses, fetched, returns] = figures;
        println!(
            "{kind:?}: limit {}, held back {}, most taken {most}, {looks} looks; {evictions} extents evicted, \
             {reads} reads, {bypasses} bypasses, {fetched} bytes fetched, blocks of indexes given back {returns} times",
            limit(),
            mounted.held_back()
        );
        let came_and_went = fetched > limit() && evictions > 0;
        assert!(came_and_went, "{kind:?}: too little came and went");
    }
}

fn is_alive(child: &Child) -> bool {
    Path::new(&format!("/proc/{}/fd", child.id())).read_dir().is_ok_and(|mut open| open.next().is_some())
}

/// What is charged is within the limit, and so is what the file system says is taken; and if nothing changes meanwhile,
/// that is charged. Returns what is taken.
fn look(mounted: &Mounted, children: &[Child], stops: bool) -> u64 {
    let dir = mounted.path().join("cache");
    if !dir.join("control").exists() {
        return 0;
    }
    let stopped = if stops { stop(children) } else { Vec::new() };
    let (taken, charged) = (mounted.taken(), charged(&dir));
    assert!(taken <= limit() && charged <= limit(), "{taken} bytes are taken, {charged} charged");
    if stops {
        let allocated = allocated(&dir);
        assert!(allocated <= charged, "{allocated} bytes are allocated, {charged} charged");
    }
    for pid in stopped {
        kill_process(pid, Signal::CONT).unwrap();
    }
    taken
}

/// Stops processes, and returns those that have not ended.
fn stop(children: &[Child]) -> Vec<Pid> {
    let pids: Vec<Pid> = children.iter().map(Pid::from_child).collect();
    for &pid in &pids {
        kill_process(pid, Signal::STOP).unwrap();
    }
    // Whoever has ended is left to be waited for.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let is_stopped = |pid| waitid(WaitId::Pid(pid), options).unwrap().is_some_and(|state| state.stopped());
    pids.into_iter().filter(|&pid| is_stopped(pid)).collect()
}

/// What all files below a directory take, and the directories.
fn allocated(dir: &Path) -> u64 {
    let blocks = |path: &Path| path.symlink_metadata().map_or(0, |metadata| metadata.blocks() * 512);
    let paths = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    blocks(dir) + paths.map(|path| if path.is_dir() { allocated(&path) } else { blocks(&path) }).sum::<u64>()
}

/// The sums of what the processes report.
fn sum(reports: &Path) -> [u64; 5] {
    let texts = reports.read_dir().unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    texts.fold([0; 5], |mut sums, text| {
        for (sum, number) in sums.iter_mut().zip(text.split_whitespace()) {
            *sum += number.parse::<u64>().unwrap();
        }
        sums
    })
}

fn read_here_and_there() {
    let variable = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let (log, cache) = (log::listen(), open(&variable("DIR")));
    let (start, time) = (Instant::now(), Duration::from_secs(number("PAGE_CACHE_DISK_SECONDS", 4)));
    // On a machine that is busy with other things it goes on until enough has come for something to go.
    let has_little = || cache.stats().origin_bytes < limit() / 2 && start.elapsed() < PATIENCE;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (cache, has_little) = (&cache, &has_little);
            let mut random = Random::new(number("SEED", 0) * THREADS + thread + 1);
            scope.spawn(move || {
                while start.elapsed() < time || has_little() {
                    // Some are read more often than others.
                    let object = random.below(OBJECTS).min(random.below(OBJECTS));
                    read_some(cache, object, &mut random);
                }
            });
        }
    });
    assert_eq!(log.warnings(), Vec::<String>::new());
    let stats = cache.stats();
    let figures = [log.evictions(), stats.hits + stats.misses, stats.bypasses, stats.origin_bytes, log.returns()];
    let report = variable("REPORTS").join(std::process::id().to_string());
    std::fs::write(report, figures.map(|figure| figure.to_string()).join(" ")).unwrap();
}

/// Pieces of an object, or a stretch of it from one end to the other.
fn read_some(cache: &Cache, object: u64, random: &mut Random) {
    let version = version(object);
    let file = file(cache, object, version);
    let check = |start: u64, len: u64| {
        let range = start..(start + len).min(length());
        assert!(file.bytes(range.clone()).unwrap() == bytes(object, version, range.clone()), "{object} {range:?}");
    };
    if random.below(10) == 0 {
        let (start, step) = (random.below(length()), 1 + random.below(300_000));
        (0..8)
            .map(|piece| start + piece * step)
            .take_while(|start| *start < length())
            .for_each(|start| check(start, step));
    } else {
        for _ in 0..1 + random.below(30) {
            check(random.below(length()), 1 + random.below(40_000));
        }
    }
}
