//! What an origin reads straight into the reader's memory: the same bytes, once for all who want them, and stored.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use page_cache::{Cache, CachedFile, Freshness, LocalFile, Origin, OriginError, ReadError, RetryPolicy, Stat};

use crate::memory_origin::{MemoryOrigin, pattern};

const PAGE: u64 = 4096;
const LEN: u64 = 100 * PAGE + 7;

const NEVER: usize = 0;
const FOR_GOOD: usize = 1;
const THIS_TIME: usize = 2;

/// Reads into memory that is there, and counts how often.
#[derive(Debug, Clone)]
struct InPlace {
    origin: MemoryOrigin,
    reads: Arc<AtomicUsize>,
    fails: Arc<AtomicUsize>,
}

impl InPlace {
    fn new() -> Self {
        Self {
            origin: MemoryOrigin::new("in-place", pattern(LEN as usize, 1)),
            reads: Arc::default(),
            fails: Arc::default(),
        }
    }

    /// How often it was read in place since the last call, and what was read in the other way.
    fn take(&self) -> (usize, Vec<Range<u64>>) {
        (self.reads.swap(0, Ordering::SeqCst), self.origin.take_reads())
    }
}

impl Origin for InPlace {
    fn key(&self) -> &str {
        self.origin.key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        self.origin.stat()
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.origin.read(range, pinned)
    }

    fn reads_into(&self) -> bool {
        true
    }

    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Result<(), OriginError> {
        let range = start..start + out.len() as u64;
        let read = self.origin.read(range.clone(), pinned);
        assert_eq!(self.origin.take_reads(), std::slice::from_ref(&range));
        self.reads.fetch_add(1, Ordering::SeqCst);
        let key = self.key().to_owned();
        match self.fails.load(Ordering::SeqCst) {
            NEVER => out.copy_from_slice(&read?),
            // As of a file that is changed while it is read: what came is not what was asked for.
            FOR_GOOD => {
                out.fill(0xEE);
                return Err(OriginError::Denied { key, status: 403 });
            }
            _ => {
                out.fill(0xEE);
                let (request, received) = (format!("bytes {}..{}", range.start, range.end), 1);
                return Err(OriginError::Incomplete { key, request, received, attempts: 1 });
            }
        }
        Ok(())
    }

    fn is_near(&self) -> bool {
        true
    }
}

fn open(directory: &tempfile::TempDir, origin: &InPlace) -> CachedFile {
    let cache = Cache::builder(directory.path()).page_size(PAGE).freshness(Freshness::Immutable).open().unwrap();
    cache.file(origin.clone()).unwrap()
}

fn content(range: Range<u64>) -> Vec<u8> {
    pattern(LEN as usize, 1)[range.start as usize..range.end as usize].to_vec()
}

/// What is read into memory so many bytes behind a page of the system: an allocator's is here today and there tomorrow.
fn try_read(file: &CachedFile, range: Range<u64>, behind_a_page: usize) -> Result<Vec<u8>, ReadError> {
    let len = (range.end - range.start) as usize;
    let mut memory = vec![0; len + 2 * PAGE as usize];
    let first = memory.as_ptr().addr().next_multiple_of(PAGE as usize) - memory.as_ptr().addr() + behind_a_page;
    let out = &mut memory[first..first + len];
    file.read_exact_at(out, range.start).map(|()| out.to_vec())
}

fn read(file: &CachedFile, range: Range<u64>) -> Vec<u8> {
    try_read(file, range, 0).unwrap()
}

#[test]
fn whole_pages_are_read_into_the_readers_memory_and_stored_from_there() {
    let (directory, origin) = (tempfile::tempdir().unwrap(), InPlace::new());
    let file = open(&directory, &origin);
    let last = 100 * PAGE..LEN;
    for range in [0..PAGE, 4 * PAGE..9 * PAGE, last.clone()] {
        assert_eq!(read(&file, range.clone()), content(range.clone()));
        assert_eq!(origin.take(), (1, vec![]), "{range:?}");
    }
    let stats = file.stats();
    assert_eq!((stats.requests, stats.origin_bytes, stats.bypasses), (3, 6 * PAGE + 7, 0));
    drop(file);
    let file = open(&directory, &origin);
    for range in [0..PAGE, 4 * PAGE..9 * PAGE, last] {
        assert_eq!(read(&file, range.clone()), content(range));
    }
    assert_eq!(origin.take(), (0, vec![]), "it was stored");
}

/// The kernel copies slowly to memory a few bytes behind a page of the file; see `is_fast_to_copy_to`.
#[test]
fn what_is_slow_to_copy_to_is_not_read_into() {
    let (directory, origin) = (tempfile::tempdir().unwrap(), InPlace::new());
    let file = open(&directory, &origin);
    for (page, behind_a_page) in (0..).zip([0, 1, 8, 16, 31, 32, 48, 64, 4095]) {
        let range = page * PAGE..(page + 1) * PAGE;
        assert_eq!(try_read(&file, range.clone(), behind_a_page).unwrap(), content(range.clone()));
        let slow = cfg!(target_arch = "x86_64") && (1..32).contains(&behind_a_page);
        let expected = if slow { (0, vec![range]) } else { (1, vec![]) };
        assert_eq!(origin.take(), expected, "{behind_a_page} behind a page");
    }
}

#[test]
fn what_is_not_just_one_readers_comes_in_memory_of_its_own() {
    let (directory, origin) = (tempfile::tempdir().unwrap(), InPlace::new());
    let file = open(&directory, &origin);
    // A part of a page; then what is left of some that are held in part; then two that overlap.
    for (range, fetched) in [(5..10, 0..PAGE), (0..3 * PAGE, PAGE..3 * PAGE)] {
        assert_eq!(read(&file, range.clone()), content(range));
        assert_eq!(origin.take(), (0, vec![fetched]));
    }
    let both = [10 * PAGE..12 * PAGE, 10 * PAGE..12 * PAGE];
    let got = file.read_ranges(&both).unwrap();
    assert!(got.iter().zip(both).all(|(got, range)| *got == content(range)));
    assert_eq!(origin.take(), (0, vec![10 * PAGE..12 * PAGE]));
}

#[test]
fn what_fails_in_place_and_may_pass_is_asked_for_again_in_the_other_way() {
    let (directory, origin) = (tempfile::tempdir().unwrap(), InPlace::new());
    let file = open(&directory, &origin);
    origin.fails.store(THIS_TIME, Ordering::SeqCst);
    assert_eq!(read(&file, 0..PAGE), content(0..PAGE));
    assert_eq!(origin.take(), (1, vec![0..PAGE]));
    assert_eq!((file.stats().requests, file.stats().retries), (2, 1));
    drop(file);
    assert_eq!(read(&open(&directory, &origin), 0..PAGE), content(0..PAGE));
    assert_eq!(origin.take(), (0, vec![]), "what came in the end is what was stored");
}

#[test]
fn what_fails_in_place_for_good_or_is_not_to_be_tried_again_is_an_error_at_once() {
    for (fails, retry) in [(FOR_GOOD, RetryPolicy::default()), (THIS_TIME, RetryPolicy::never())] {
        let (directory, origin) = (tempfile::tempdir().unwrap(), InPlace::new());
        let cache = Cache::builder(directory.path()).page_size(PAGE).retry(retry).open().unwrap();
        let file = cache.file(origin.clone()).unwrap();
        origin.fails.store(fails, Ordering::SeqCst);
        assert!(matches!(try_read(&file, 0..PAGE, 0), Err(ReadError::Origin(_))));
        assert_eq!(origin.take(), (1, vec![]));
        assert!(file.held().is_empty(), "nothing of it is stored");
    }
}

/// Also where nothing can be stored: those who waited are not sent to the origin again.
#[test]
fn one_reads_for_all_who_want_the_same() {
    for stores in [true, false] {
        let (directory, origin) = (tempfile::tempdir().unwrap(), InPlace::new());
        origin.origin.delay(Duration::from_millis(300));
        let file = open(&directory, &origin);
        if !stores {
            let mut pair = std::fs::read_dir(directory.path().join("pairs")).unwrap().map(|file| file.unwrap().path());
            let data = pair.find(|path| path.extension().is_some_and(|name| name == "data")).unwrap();
            File::options().write(true).open(data).unwrap().set_len(PAGE).unwrap();
        }
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(read(&file, 0..8 * PAGE), content(0..8 * PAGE)));
            }
        });
        let stats = file.stats();
        assert_eq!((stats.requests, stats.origin_bytes), (1, 8 * PAGE), "stores: {stores}");
        assert_eq!(stats.bypasses == 0, stores);
    }
}

#[test]
fn a_local_file_that_has_changed_gives_nothing_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    std::fs::write(&path, content(0..LEN)).unwrap();
    let cache = Cache::builder(directory.path().join("cache")).page_size(PAGE).open().unwrap();
    let file = cache.file(LocalFile::new(&path).unwrap()).unwrap();
    assert_eq!(read(&file, 0..PAGE), content(0..PAGE));
    std::fs::write(&path, pattern(LEN as usize + 1, 2)).unwrap();
    let changed = try_read(&file, PAGE..2 * PAGE, 0);
    assert!(matches!(changed, Err(ReadError::Origin(OriginError::Changed { .. }))), "{changed:?}");
    assert_eq!(read(&file, 0..PAGE), content(0..PAGE), "what is held of the pinned version stays");
}
