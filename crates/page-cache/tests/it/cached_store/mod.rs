//! An object store that reads through the cache.

mod as_below;
mod bad_luck;
mod conformance;
mod first_read;
mod forked;
mod freshness;
mod reading;
mod scheduling;
mod suite;
mod watched;

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{GetResult, ObjectStore};
use page_cache::{Cache, CacheBuilder, CacheStatus, CachedStore};
use tempfile::TempDir;

use self::watched::Watched;
use crate::memory_origin::pattern;

const PAGE: u64 = 4096;

/// A cached store over a watched one in memory.
struct Setup {
    directory: TempDir,
    inner: Watched,
    store: CachedStore,
}

impl Setup {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(options: impl FnOnce(CacheBuilder) -> CacheBuilder) -> Self {
        Self::over(Watched::new(InMemory::new()), options)
    }

    fn over(inner: Watched, options: impl FnOnce(CacheBuilder) -> CacheBuilder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = options(Cache::builder(directory.path()).page_size(PAGE)).open().unwrap();
        let store = CachedStore::new(Arc::new(inner.clone()), cache, "tests");
        Self { directory, inner, store }
    }

    /// Puts an object behind the cache's back.
    async fn put_behind(&self, path: &str, bytes: &[u8]) {
        self.inner.put_opts(&path.into(), bytes.to_vec().into(), Default::default()).await.unwrap();
    }

    /// The same with what another process would find, which shares nothing with this one but the disk.
    async fn restarted(self) -> Self {
        let Self { directory, inner, store } = self;
        store.flush().await;
        // With the last cache goes what this process knows of the directory.
        drop(store);
        let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
        let store = CachedStore::new(Arc::new(inner.clone()), cache, "tests");
        Self { directory, inner, store }
    }

    /// The same store with a cache of its own over the directory; what is doubted it learns from this process's others.
    fn anew(&self) -> CachedStore {
        let cache = Cache::builder(self.directory.path()).page_size(PAGE).open().unwrap();
        CachedStore::new(Arc::new(self.inner.clone()), cache, "tests")
    }
}

fn status(result: &GetResult) -> CacheStatus {
    *result.extensions.get().unwrap()
}

fn bytes(len: usize) -> Vec<u8> {
    pattern(len, 11)
}
