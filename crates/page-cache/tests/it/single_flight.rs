//! Single flight across the machine: many threads of many processes read one cold file through one directory, and a
//! server counts what that costs it.
//!
//! `PAGE_CACHE_FLIGHT_MIB` says how long the file is, and `PAGE_CACHE_KILLS` how many processes are killed; `cargo
//! xtask crash` sets both high.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use loopback_origin::{Object, Origin as Server};
use page_cache::{Advice, Cache, CachedFile, HttpOrigin};

use crate::child;
use crate::memory_origin::pattern;
use crate::random::{Random, number};

const PROCESSES: u64 = 8;
const THREADS: u64 = 4;
const READ: u64 = 256 << 10;
/// Of each process.
const MAX_IN_FLIGHT: u64 = 4;

struct Scene {
    directory: tempfile::TempDir,
    server: Server,
    len: u64,
}

/// The object is a file, which the readers compare with what they get.
fn scene(len: u64) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    let file = File::create(&path).unwrap();
    let piece = pattern(1 << 20, 9);
    for offset in (0..len).step_by(piece.len()) {
        file.write_all_at(&piece[..piece.len().min((len - offset) as usize)], offset).unwrap();
        // No two pieces are the same.
        file.write_all_at(&offset.to_le_bytes(), offset).unwrap();
    }
    let server = Server::builder().serve("/object", Object::from_file(&path).unwrap()).start().unwrap();
    // The cache is there before its readers, so that none finds it half made.
    drop(open(directory.path()));
    Scene { directory, server, len }
}

fn open(dir: &Path) -> Cache {
    Cache::builder(dir.join("cache")).max_in_flight(MAX_IN_FLIGHT as usize).max_bytes(2 << 30).open().unwrap()
}

impl Scene {
    fn start<Test: Fn()>(&self, test: Test, path: &str, seed: u64) -> Child {
        let mut child = child::command(test);
        child.env("DIR", self.directory.path()).env("URL", self.server.url(path)).env("SEED", seed.to_string());
        if path != "/object" {
            child.env("ALONE", "1");
        }
        child.spawn().unwrap()
    }

    /// How often, in all processes that ended well, something was fetched and not stored.
    fn bypasses(&self, seeds: impl IntoIterator<Item = u64>) -> u64 {
        let read = |seed| std::fs::read_to_string(self.directory.path().join(format!("bypasses-{seed}"))).unwrap();
        seeds.into_iter().map(|seed| read(seed).parse::<u64>().unwrap()).sum()
    }
}

/// Every thread reads all of the file, from a place of its own on.
fn read_all() {
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
    let (cache, object) = (open(&dir), File::open(dir.join("object")).unwrap());
    let file = cache.file(HttpOrigin::new(&std::env::var("URL").unwrap()).unwrap()).unwrap();
    let seed = number("SEED", 0);
    if std::env::var_os("ALONE").is_some() {
        // So that a request is as long as a read.
        file.advise(0..file.len(), Advice::Random);
    }
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (file, object) = (&file, &object);
            scope.spawn(move || read_from(file, object, seed * THREADS + thread));
        }
    });
    std::fs::write(dir.join(format!("bypasses-{seed}")), file.stats().bypasses.to_string()).unwrap();
}

fn read_from(file: &CachedFile, object: &File, number: u64) {
    let reads = file.len().div_ceil(READ);
    let start = Random::new(number).below(reads);
    let mut expected = vec![0; READ as usize];
    for read in 0..reads {
        let offset = (start + read) % reads * READ;
        let bytes = file.bytes(offset..offset + READ).unwrap();
        object.read_exact_at(&mut expected[..bytes.len()], offset).unwrap();
        assert!(bytes == expected[..bytes.len()], "wrong bytes at {offset}");
    }
}

#[test]
fn eight_processes_of_four_threads_cost_the_origin_each_byte_once() {
    if child::is_child() {
        return read_all();
    }
    let scene = scene(number("PAGE_CACHE_FLIGHT_MIB", 32) << 20);
    let start = |seed| scene.start(eight_processes_of_four_threads_cost_the_origin_each_byte_once, "/object", seed);
    let children: Vec<_> = (0..PROCESSES).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(scene.bypasses(0..PROCESSES), 0, "nobody recounted, and no patience ran out");
    assert_eq!(scene.server.counters().body_bytes, scene.len);
}

/// Each kill is in the middle of an object of its own, which two others read on.
#[test]
fn a_process_that_is_killed_costs_no_more_than_it_had_under_way() {
    if child::is_child() {
        return read_all();
    }
    let scene = scene(8 << 20);
    scene.server.set_delay(Duration::from_millis(10));
    let (mut random, mut more) = (Random::new(3), 0);
    for kill in 0..number("PAGE_CACHE_KILLS", 8) {
        let path = format!("/object-{kill}");
        scene.server.put(&path, Object::from_file(scene.directory.path().join("object")).unwrap());
        scene.server.reset_counters();
        let start = |seed| scene.start(a_process_that_is_killed_costs_no_more_than_it_had_under_way, &path, seed);
        let mut victim = start(0);
        while scene.server.counters().get_requests == 0 {
            assert!(victim.try_wait().unwrap().is_none(), "it ended without a request");
            std::thread::sleep(Duration::from_millis(1));
        }
        let survivors = [start(1), start(2)];
        std::thread::sleep(Duration::from_micros(random.below(40_000)));
        victim.kill().unwrap();
        assert_eq!(victim.wait().unwrap().signal(), Some(libc::SIGKILL), "it has read wrong bytes");
        for mut child in survivors {
            assert!(child.wait().unwrap().success());
        }
        let (bytes, bypasses) = (scene.server.counters().body_bytes, scene.bypasses(1..3));
        // Somebody who was killed while storing makes a recount due, beside which nothing is stored.
        let most = scene.len + (MAX_IN_FLIGHT + bypasses) * READ;
        assert!(
            bytes >= scene.len && bytes <= most,
            "{bytes} bytes, and at most {most} were to be: {bypasses} bypasses"
        );
        more += bytes - scene.len;
    }
    println!("{more} bytes more than the objects have");
}
