//! The old version of an object that has changed: who reads it reads on, and then it goes, whoever has ended by then.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::accounting::{allocated, check_budget};
use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CachedFile, Freshness};

const LEN: usize = 2 << 20;
/// Longer than anybody waits before looking for old versions again.
const PATIENCE: Duration = Duration::from_secs(40);

fn open(dir: &Path) -> Cache {
    Cache::builder(dir.join("cache")).freshness(Freshness::Always).open().unwrap()
}

/// Opens a version and reads all of it.
fn read(cache: &Cache, version: u64) -> CachedFile {
    let origin = MemoryOrigin::new("object", vec![]);
    origin.set(pattern(LEN, version), &format!("\"{version}\""));
    let file = cache.file(origin).unwrap();
    assert!(file.bytes(0..LEN as u64).unwrap() == pattern(LEN, version), "version {version}");
    file
}

/// Whether only one version takes room.
fn is_alone(dir: &Path) -> bool {
    allocated(&dir.join("cache")) < (LEN + LEN / 2) as u64
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child's part: reads the old version, closes it when it is told to, and stays.
fn hold_the_old_version(dir: &Path) {
    let cache = open(dir);
    let file = read(&cache, 1);
    std::fs::write(dir.join("reads"), b"").unwrap();
    wait_until("it is to close", || dir.join("close").exists());
    drop(file);
    std::fs::write(dir.join("closed"), b"").unwrap();
    // Until it is killed.
    std::thread::sleep(2 * PATIENCE);
}

fn dir_of_child() -> PathBuf {
    std::env::var_os("DIR").unwrap().into()
}

/// A directory of a cache whose old version another process reads.
struct Superseded {
    directory: TempDir,
    reader: Child,
}

impl Superseded {
    /// Starts the process, in which `test` calls [`hold_the_old_version`].
    fn start<Test: Fn()>(test: Test) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let reader = child::command(test).env("DIR", directory.path()).spawn().unwrap();
        wait_until("the old version is read", || directory.path().join("reads").exists());
        Self { directory, reader }
    }

    /// The same, and opens the new one.
    fn start_and_replace<Test: Fn()>(test: Test) -> (Self, Cache, CachedFile) {
        let superseded = Self::start(test);
        let cache = open(superseded.dir());
        let new = read(&cache, 2);
        assert!(!is_alone(superseded.dir()), "somebody reads it");
        (superseded, cache, new)
    }

    fn dir(&self) -> &Path {
        self.directory.path()
    }

    fn have_the_reader_close(&self) {
        std::fs::write(self.dir().join("close"), b"").unwrap();
        wait_until("it is closed", || self.dir().join("closed").exists());
    }

    fn wait_until_it_goes(&self) {
        wait_until("the old version goes", || is_alone(self.dir()));
    }

    fn kill_the_reader(&mut self) {
        self.reader.kill().unwrap();
        self.reader.wait().unwrap();
    }
}

#[test]
fn an_old_version_whose_reader_was_killed_goes() {
    if child::is_child() {
        return hold_the_old_version(&dir_of_child());
    }
    let (mut old, cache, _new) = Superseded::start_and_replace(an_old_version_whose_reader_was_killed_goes);
    old.kill_the_reader();
    old.wait_until_it_goes();
    check_budget(&cache);
}

#[test]
fn an_old_version_goes_though_the_process_that_read_it_lives_on() {
    if child::is_child() {
        return hold_the_old_version(&dir_of_child());
    }
    let test = an_old_version_goes_though_the_process_that_read_it_lives_on;
    let (mut old, cache, _new) = Superseded::start_and_replace(test);
    old.have_the_reader_close();
    old.wait_until_it_goes();
    old.kill_the_reader();
    check_budget(&cache);
}

#[test]
fn an_old_version_goes_though_the_process_that_opened_the_new_one_has_ended() {
    if child::is_child() {
        return match std::env::var_os("NEW") {
            Some(_) => drop(read(&open(&dir_of_child()), 2)),
            None => hold_the_old_version(&dir_of_child()),
        };
    }
    for is_killed in [false, true] {
        let test = an_old_version_goes_though_the_process_that_opened_the_new_one_has_ended;
        let mut old = Superseded::start(test);
        assert!(child::command(test).env("DIR", old.dir()).env("NEW", "1").status().unwrap().success());
        assert!(!is_alone(old.dir()), "somebody reads it");
        if is_killed {
            old.kill_the_reader();
            // Nobody is there to do anything; the next one does.
            let cache = open(old.dir());
            assert!(is_alone(old.dir()), "it was opened");
            check_budget(&cache);
        } else {
            old.have_the_reader_close();
            old.wait_until_it_goes();
            old.kill_the_reader();
        }
        assert!(open(old.dir()).entries().pop().unwrap().held.contains(0..LEN as u64), "the new version stays");
    }
}
