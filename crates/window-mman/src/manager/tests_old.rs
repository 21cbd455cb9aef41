//! The whole crate over a system that fails, waits, and maps on the heap. Nothing here needs real
//! mappings, so that Miri can run it.

#![expect(unsafe_code, reason = "every view needs the promise")]

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::Ordering;

use super::*;
use crate::sys::fake::Heap;
use crate::{ReadError, StableFile, ViewError};

const PAGE: u64 = 4096;

struct Setup {
    sys: Arc<Heap>,
    manager: MapManager,
    path: PathBuf,
    contents: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl Setup {
    /// A file of `len` bytes, and a manager with windows of two pages of 4 KiB.
    fn new(len: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let contents: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
        std::fs::write(&path, &contents).unwrap();
        let page = NonZeroU64::new(PAGE).unwrap();
        let grid = Grid::new(NonZeroU64::new(2 * PAGE).unwrap(), page).unwrap();
        let sys = Arc::new(Heap::default());
        Self {
            manager: MapManager::with_sys(grid, Arc::clone(&sys) as Arc<dyn Sys>),
            sys,
            path,
            contents,
            _directory: directory,
        }
    }

    fn stable(&self) -> StableFile {
        // SAFETY: mappings of the heap are copies, which nothing can change.
        unsafe { self.manager.open(&self.path).unwrap().assume_stable() }
    }

    fn part(&self, range: Range<u64>) -> &[u8] {
        &self.contents[range.start as usize..range.end as usize]
    }
}

#[test]
fn views_on_the_heap() {
    let setup = Setup::new(5 * PAGE as usize + 17);
    let file = setup.stable();
    let len = file.len();
    for range in [0..1, 0..len, PAGE - 1..PAGE + 1, 2 * PAGE - 1..2 * PAGE + 1, 4 * PAGE..len, len - 1..len] {
        let view = file.view(range.clone()).unwrap();
        assert_eq!(view.range(), range);
        assert_eq!(view, setup.part(range));
        assert_eq!(setup.manager.stats().mapped_regions, 1);
    }
    assert_eq!(setup.manager.stats().mapped_bytes, 0);
    assert_eq!(setup.sys.mapped(), 0);
}

#[test]
fn a_failing_map_is_an_error_and_leaves_nothing_behind() {
    let setup = Setup::new(9 * PAGE as usize);
    let file = setup.stable();
    let held = file.view(0..10).unwrap();
    let before = setup.manager.stats();

    setup.sys.fail_map.store(true, Ordering::SeqCst);
    let error = file.view(3 * PAGE..3 * PAGE + 5).unwrap_err();
    assert!(matches!(error, ViewError::Map { .. }), "{error:?}");
    let message = error.to_string();
    for part in ["12288..12293", "file\"", "drop views"] {
        assert!(message.contains(part), "{message}");
    }
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    assert_eq!(setup.manager.stats(), before);
    assert_eq!(setup.manager.regions.table_len(), 1);
    assert!(file.view(5..6).is_ok(), "what is mapped needs no mapping");

    setup.sys.fail_map.store(false, Ordering::SeqCst);
    let view = file.view(3 * PAGE..3 * PAGE + 5).unwrap();
    assert_eq!(view, setup.part(3 * PAGE..3 * PAGE + 5));
    drop((held, view));
    assert_eq!(setup.manager.stats().mapped_regions, 0);
}

#[test]
fn a_file_whose_length_cannot_be_asked_is_not_mapped() {
    let setup = Setup::new(100);
    let file = setup.stable();
    setup.sys.fail_len.store(true, Ordering::SeqCst);
    assert!(matches!(file.view(0..1), Err(ViewError::Map { .. })));
    assert_eq!(setup.sys.maps(), 0);
    assert_eq!(setup.manager.stats().mapped_regions, 0);
}

#[test]
fn a_failing_read_is_an_error_with_its_source() {
    let setup = Setup::new(100);
    let file = setup.manager.open(&setup.path).unwrap();
    setup.sys.fail_read.store(true, Ordering::SeqCst);
    let error = file.bytes(10..20).unwrap_err();
    assert!(matches!(error, ReadError::Io { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("10..20") && message.contains("the disk is broken"));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn short_and_interrupted_reads_go_on() {
    let setup = Setup::new(1000);
    let file = setup.manager.open(&setup.path).unwrap();
    setup.sys.most_at_once.store(7, Ordering::SeqCst);
    assert_eq!(file.bytes(3..990).unwrap(), setup.part(3..990));
    let mut buffer = [0; 100];
    assert_eq!(file.read_at(&mut buffer, 950).unwrap(), 50);
    assert_eq!(buffer[..50], *setup.part(950..1000));
}

/// The last holder is inside its unmapping when another thread maps the window anew; then the old
/// one goes on to clear up after itself.
#[test]
fn an_unmapping_that_is_late_leaves_the_new_region_alone() {
    let setup = Setup::new(9 * PAGE as usize);
    let file = setup.stable();
    let barrier = Arc::new(Barrier::new(2));
    let old = file.view(0..10).unwrap();
    setup.sys.hold_up_next_unmap(Arc::clone(&barrier));

    std::thread::scope(|scope| {
        let unmapping = scope.spawn(|| drop(old));
        barrier.wait();
        // Dead, but neither unmapped nor out of the table.
        assert_eq!(setup.manager.regions.table_len(), 1);
        assert_eq!(setup.manager.stats().mapped_regions, 1);
        let new = file.view(20..30).unwrap();
        assert_eq!(setup.sys.maps(), 2);
        assert_eq!(setup.manager.stats().mapped_regions, 2);
        barrier.wait();
        unmapping.join().unwrap();

        assert_eq!(setup.manager.regions.table_len(), 1);
        assert_eq!(setup.manager.stats().mapped_regions, 1);
        assert_eq!(setup.manager.stats().mapped_bytes, 2 * PAGE);
        let again = file.view(40..50).unwrap();
        assert_eq!(setup.sys.maps(), 2, "the new region is found");
        assert_eq!(new, setup.part(20..30));
        assert_eq!(again, setup.part(40..50));
    });
    assert_eq!(setup.manager.regions.table_len(), 0);
    assert_eq!(setup.manager.stats().mapped_bytes, 0);
}

#[test]
fn threads_that_map_and_drop_the_same_window_keep_the_counts_exact() {
    let rounds = if cfg!(miri) { 10 } else { 5_000 };
    let setup = Setup::new(4 * PAGE as usize + 5);
    let file = setup.stable();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (file, setup) = (&file, &setup);
            scope.spawn(move || {
                for round in 0..rounds {
                    let start = (round + thread) % 3 * 2 * PAGE;
                    let range = start..start + 5;
                    let view = file.view(range.clone()).unwrap();
                    assert_eq!(view, setup.part(range.clone()));
                    let again = file.view(range).unwrap();
                    assert_eq!(view.as_ptr(), again.as_ptr(), "one region while it is held");
                }
            });
        }
    });
    assert_eq!(setup.manager.regions.table_len(), 0);
    assert_eq!(setup.sys.mapped(), 0);
    let stats = setup.manager.stats();
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (0, 0));
    assert_eq!(stats.open_files, 1);
}

/// The file is gone from under a handle that has not looked yet: the view is refused, even where
/// the bytes asked for are still there.
#[test]
fn a_file_truncated_before_the_promise_is_refused() {
    let setup = Setup::new(4 * PAGE as usize);
    let file = setup.manager.open(&setup.path).unwrap();
    let shorter = File::options().write(true).open(&setup.path).unwrap();
    shorter.set_len(3 * PAGE).unwrap();
    // SAFETY: from here on nobody touches it; and these mappings are copies.
    let file = unsafe { file.assume_stable() };
    for range in [0..1, 4 * PAGE - 1..4 * PAGE] {
        match file.view(range) {
            Err(ViewError::Truncated { opened_with, now, .. }) => assert_eq!((opened_with, now), (4 * PAGE, 3 * PAGE)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(setup.sys.maps(), 0);
}

/// Two handles that remember two lengths have two last windows, and share the windows before.
#[test]
fn a_file_that_grew_has_another_last_window() {
    let setup = Setup::new(3 * PAGE as usize);
    let old = setup.stable();
    let old_tail = old.view(2 * PAGE..u64::MAX).unwrap();
    let longer = File::options().append(true).open(&setup.path).unwrap();
    std::io::Write::write_all(&mut &longer, b"more").unwrap();

    let new = setup.stable();
    let new_tail = new.view(2 * PAGE..u64::MAX).unwrap();
    assert_eq!(old_tail.range(), 2 * PAGE..3 * PAGE);
    assert_eq!(new_tail.range(), 2 * PAGE..3 * PAGE + 4);
    assert_eq!(new_tail[PAGE as usize..], *b"more");
    assert_eq!(old_tail, new_tail[..PAGE as usize]);
    assert_eq!(setup.manager.stats().mapped_regions, 2);
    let (a, b) = (old.view(0..1).unwrap(), new.view(0..1).unwrap());
    assert_eq!(a.as_ptr(), b.as_ptr());
    assert_eq!(setup.manager.stats().mapped_regions, 3);
}
