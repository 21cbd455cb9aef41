//! A cached store answers before what it answers with is stored, in bounds, and whatever becomes of that.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use tokio::time::timeout;

use super::memory_origin::pattern;
use super::{full, open};
use crate::cached_store::CachedStore;
use crate::sys::failing::{FailingDisk, Operation};

/// So long nobody waits in vain on a busy machine, and nobody for what is shut.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
/// So many are answered before they are stored.
const BEHIND: u64 = 16;

struct Setup {
    runtime: tokio::runtime::Runtime,
    disk: FailingDisk,
    store: CachedStore,
    _directory: tempfile::TempDir,
}

impl Setup {
    fn new(objects: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (directory, disk, inner) = (tempfile::tempdir().unwrap(), FailingDisk::healthy(), InMemory::new());
        for number in 0..objects {
            runtime.block_on(inner.put(&path(number), pattern(20_000, number).into())).unwrap();
        }
        let cache = open(directory.path(), &disk).unwrap();
        Self { runtime, disk, store: CachedStore::new(Arc::new(inner), cache, "tests"), _directory: directory }
    }

    /// Reads an object; whether that did not take too long.
    fn read(&self, number: u64, limit: Duration) -> bool {
        let read =
            self.runtime.block_on(async { timeout(limit, self.store.get_range(&path(number), 5..15_000)).await });
        let is_read =
            |read: object_store::Result<bytes::Bytes>| assert!(read.unwrap() == pattern(20_000, number)[5..15_000]);
        read.map(is_read).is_ok()
    }

    fn held(&self, number: u64) -> u64 {
        let key = self.store.key_of(&path(number));
        self.store.cache().entry(&key).map_or(0, |entry| entry.held.num_bytes())
    }
}

fn path(number: u64) -> Path {
    Path::from(format!("{number}"))
}

#[test]
fn an_answer_does_not_wait_until_it_is_stored_unless_too_many_do() {
    let setup = Setup::new(BEHIND + 1);
    let gate = Arc::new(RwLock::new(()));
    let shut = gate.write().unwrap();
    let is_data =
        |operation, path: &std::path::Path| operation == Operation::Create && path.to_string_lossy().contains(".data");
    setup.disk.wait(is_data, &gate);
    for number in 0..BEHIND {
        assert!(setup.read(number, LONG), "{number}");
        assert_eq!(setup.held(number), 0);
    }
    assert!(!setup.read(BEHIND, SHORT), "memory would have no bound");
    // Nothing is ready before the last is.
    assert!(setup.runtime.block_on(async { timeout(SHORT, setup.store.flush()).await }).is_err());
    drop(shut);
    setup.runtime.block_on(async { timeout(LONG, setup.store.flush()).await }).unwrap();
    assert!(setup.read(BEHIND, LONG));
    setup.runtime.block_on(setup.store.flush());
    for number in 0..=BEHIND {
        assert_eq!(setup.held(number), 16_384, "{number}");
    }
}

#[test]
fn what_cannot_be_stored_behind_an_answer_is_read_all_the_same() {
    for broken in [Operation::Create, Operation::Rename, Operation::Write, Operation::SetLen, Operation::OpenLock] {
        let setup = Setup::new(8);
        setup.disk.fail(move |operation, _| (operation == broken).then(full));
        for _ in 0..2 {
            let reads = (0..8).map(|number| {
                let (store, path) = (setup.store.clone(), path(number));
                async move { store.get_range(&path, 5..15_000).await }
            });
            let reads = setup.runtime.block_on(async { join_all(reads).await });
            for (number, read) in (0..).zip(reads) {
                assert!(read.unwrap() == pattern(20_000, number)[5..15_000], "{broken:?}");
            }
            setup.runtime.block_on(setup.store.flush());
        }
        // Once the disk is well again it is stored, though nobody asks whether the object has changed.
        setup.disk.fail(|_, _| None);
        let begun = Instant::now();
        while setup.held(0) == 0 && begun.elapsed() < LONG {
            assert!(setup.read(0, LONG));
            setup.runtime.block_on(setup.store.flush());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(setup.held(0), 16_384, "{broken:?}");
    }
}
