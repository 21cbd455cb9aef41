//! How many files are open: what is kept open for the next reader, and what is closed when the system gives no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CachedFile, Origin};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest, Sha256};

const PAGE: u64 = 4096;
const LEN: u64 = 20_000;

fn origin(object: u64) -> MemoryOrigin {
    MemoryOrigin::new(&object.to_string(), pattern(LEN as usize, object))
}

fn open(cache: &Cache, object: u64) -> CachedFile {
    cache.file(origin(object)).unwrap()
}

fn cache(dir: &Path, max_open: usize) -> Cache {
    Cache::builder(dir).page_size(PAGE).max_open_entries(max_open).open().unwrap()
}

fn key_hash(object: u64) -> String {
    Sha256::digest(origin(object).key())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The keys' hashes of the pairs of a directory that this process has open.
fn open_pairs(dir: &Path) -> BTreeSet<String> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    let ours = links.filter(|link| link.starts_with(dir.join("pairs")));
    let key = |link: PathBuf| link.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
    ours.map(key).collect()
}

#[test]
fn as_many_are_kept_open_as_are_to_be() {
    for max_open in [0, 3] {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().canonicalize().unwrap();
        let cache = cache(&dir, max_open);
        let count = || open_pairs(&dir).len();
        let held: Vec<_> = (0..5).map(|object| open(&cache, object)).collect();
        for object in 0..10 {
            assert_eq!(open(&cache, object).bytes(0..LEN).unwrap(), pattern(LEN as usize, object));
            assert!(count() <= 6, "{} open", count());
        }
        assert_eq!(count(), 5, "those with a handle count, and are not closed");
        assert_eq!(cache.entries().len(), 10);
        assert_eq!(count(), 5, "nor does a look at others leave anything open");
        let before = open_pairs(&dir);
        drop(held);
        assert_eq!(count(), max_open);
        assert!(open_pairs(&dir).is_subset(&before));
        assert_eq!((cache.entries().len(), cache.verify().unwrap().len(), count()), (10, 10, max_open));

        // Those that were given back the longest ago go first.
        let [one, other] = [20, 21].map(|object| open(&cache, object));
        for object in 30..33 {
            open(&cache, object);
        }
        drop((other, one));
        open(&cache, 33);
        let kept = if max_open == 0 { vec![] } else { vec![20, 21, 33] };
        assert_eq!(open_pairs(&dir), kept.into_iter().map(key_hash).collect());
    }
}

#[test]
fn without_descriptors_what_is_idle_is_closed() {
    if child::is_child() {
        return open_without_descriptors();
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = child::command(without_descriptors_what_is_idle_is_closed);
    let output = child.env("DIR", directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn open_without_descriptors() {
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap()).canonicalize().unwrap();
    let cache = cache(&dir, 64);
    let held: Vec<_> = (0..3).map(|object| open(&cache, object)).collect();
    let before = getrlimit(Resource::Nofile);
    let exhaust = |spare: u64| {
        for object in 0..10 {
            open(&cache, object).bytes(0..LEN).unwrap();
        }
        assert!(open_pairs(&dir).len() >= 10);
        // The limit is one of numbers, and a lower one that is free can still be had.
        let is_free = |number: &u64| std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err();
        let limit = Rlimit { current: (0..).filter(is_free).nth(spare as usize), maximum: before.maximum };
        setrlimit(Resource::Nofile, limit).unwrap();
    };
    let well = || setrlimit(Resource::Nofile, before).unwrap();
    // Wherever in an opening it is that nothing is left.
    for spare in 0..6 {
        exhaust(spare);
        let new = 100 + spare;
        let file = open(&cache, new);
        assert_eq!(file.bytes(0..LEN).unwrap(), pattern(LEN as usize, new));
        assert!(file.held().contains(0..LEN), "{spare} to spare: a new object was not stored");
        well();
        assert_eq!(cache.entry(origin(new).key()).unwrap().held.num_bytes(), LEN);
        drop(file);

        exhaust(spare);
        let known = open(&cache, 100);
        assert!(known.held().contains(0..LEN), "{spare} to spare: a known object was not found");
        drop(known);
        well();
        exhaust(spare);
        assert!(cache.entry(origin(100).key()).is_some(), "{spare} to spare");
        well();
        exhaust(spare);
        let counted = cache.recount(Duration::from_secs(10)).unwrap();
        assert!(counted.is_some_and(|found| found.pairs >= 10), "{spare} to spare: {counted:?}");
        well();

        // That an object has changed is written down for other processes.
        let changed = origin(200 + spare);
        let file = cache.file(changed.clone()).unwrap();
        let head = || std::fs::read(dir.join("heads").join(key_hash(200 + spare))).unwrap();
        let before = head();
        changed.set(pattern(LEN as usize, 1), "\"2\"");
        exhaust(spare);
        file.bytes(0..1).unwrap_err();
        well();
        assert!(head() != before, "{spare} to spare: the head was not doubted");
    }
    for (object, file) in (0..).zip(&held) {
        assert_eq!(file.bytes(0..LEN).unwrap(), pattern(LEN as usize, object));
    }
}
