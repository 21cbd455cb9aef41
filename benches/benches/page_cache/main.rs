//! Pieces on local disk: hits, the first touch of a page, and filling.
//!
//! The origin is a local file, so no network is measured; all files are in the system's page cache, so no disk is
//! either, but for the write-back that the system does meanwhile while a cache is filled. `bare` reads the origin's
//! file, which has the same bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

mod filling;
mod hits;
mod opening;
mod two_readers;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group};
use page_cache::{Cache, CachedFile, Freshness, LocalFile};
use svf_benches::{pattern, settings};
use tempfile::TempDir;

use self::filling::{fill, fill_a_page};
use self::hits::{first_touch, hits, hits_in_a_gigabyte, reader};
use self::opening::{opening, opening_among_objects};
use self::two_readers::{CHILD, child, two_processes, two_threads};

const SEED: u64 = 0x5EED;
/// The default of a cache, asserted below.
const PAGE: u64 = 64 << 10;
/// How many places are read in turn.
const READS: usize = 4096;

/// A file, what is in it, and room for caches of it.
struct Workload {
    content: Vec<u8>,
    path: PathBuf,
    plain: File,
    directory: TempDir,
}

impl Workload {
    fn new(len: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("origin");
        let content = pattern(len as usize, SEED);
        std::fs::write(&path, &content).unwrap();
        let plain = File::open(&path).unwrap();
        Self { content, path, plain, directory }
    }

    fn len(&self) -> u64 {
        self.content.len() as u64
    }

    /// A directory of its own, which goes when it is dropped.
    fn fresh_directory(&self) -> TempDir {
        tempfile::tempdir_in(self.directory.path()).unwrap()
    }

    fn open(&self, cache: &Cache) -> CachedFile {
        cache.file(LocalFile::new(&self.path).unwrap()).unwrap()
    }

    /// For a copy of so many bytes, of which nothing is there yet.
    fn empty_copy(&self, directory: &Path, len: u64) -> File {
        let copy = File::create(directory.join("copy")).unwrap();
        copy.set_len(len).unwrap();
        copy
    }

    fn content(&self, range: &Range<u64>) -> &[u8] {
        &self.content[range.start as usize..range.end as usize]
    }
}

/// The origin's file does not change, so it is not looked at again.
fn cache(directory: &Path) -> Cache {
    Cache::builder(directory).freshness(Freshness::Immutable).open().unwrap()
}

criterion_group! {
    name = page_cache;
    config = settings();
    targets = hits, reader, hits_in_a_gigabyte, two_threads, two_processes, first_touch, fill_a_page, fill, opening,
        opening_among_objects
}

fn main() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return child(Path::new(&directory));
    }
    page_cache();
    Criterion::default().configure_from_args().final_summary();
}
