//! A child of a process that has a cached store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use page_cache::{Cache, CachedStore};

use super::{PAGE, bytes};
use crate::child;

#[test]
fn a_child_of_a_fork_reads_what_is_held_and_is_refused_its_parents_store() {
    if !child::is_child() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = child::command(a_child_of_a_fork_reads_what_is_held_and_is_refused_its_parents_store);
        let output = command.env("DIR", directory.path().join("cache")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (all, path) = (bytes(300_000), object_store::path::Path::from("a"));
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let cache = Cache::builder(PathBuf::from(std::env::var_os("DIR").unwrap())).page_size(PAGE).open().unwrap();
    let store = CachedStore::new(Arc::clone(&inner), cache.clone(), "forks");
    let read = |store: &CachedStore, start: u64| runtime().block_on(store.get_range(&path, start..start + 1000));
    let is = |read: object_store::Result<bytes::Bytes>, start: usize| read.unwrap() == all[start..start + 1000];
    runtime().block_on(inner.put(&path, all.clone().into())).unwrap();
    assert!(is(read(&store, 0), 0));
    runtime().block_on(store.flush());
    // SAFETY: the child uses nothing that another thread of this process may have locked, but for the allocator, which
    // the C library sees to.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let work = || {
            assert!(is(read(&store, 100), 100));
            let error = read(&store, 200_000).unwrap_err();
            assert!(error.to_string().contains("parent process"), "{error}");
            runtime().block_on(store.flush());
            // A store of its own is as good as any.
            let own: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            runtime().block_on(own.put(&path, all.clone().into())).unwrap();
            let own = CachedStore::new(own, cache.clone(), "forks");
            assert!(is(read(&own, 200_000), 200_000));
        };
        let code = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
        // SAFETY: as above.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    assert!(is(read(&store, 200_000), 200_000));
}
