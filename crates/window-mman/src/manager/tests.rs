//! The whole crate over a system that fails, and maps on the heap. Nothing here needs real mappings, so that Miri can
//! run it.

#![expect(unsafe_code, reason = "every view needs the promise")]

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::*;
use crate::builder::LimitPolicy;
use crate::sys::fake::Heap;
use crate::{CopyError, ReadError, ReopenError, StableFile, ViewError};

const PAGE: u64 = 4096;

struct Setup {
    sys: Arc<Heap>,
    manager: MapManager,
    path: PathBuf,
    contents: Vec<u8>,
    directory: tempfile::TempDir,
}

impl Setup {
    /// A file of `len` bytes, and a manager with windows of two pages of 4 KiB.
    fn new(len: usize) -> Self {
        Self::with(len, |builder| builder)
    }

    fn with(len: usize, options: impl FnOnce(MapManagerBuilder) -> MapManagerBuilder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let contents: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
        std::fs::write(&path, &contents).unwrap();
        let sys = Arc::new(Heap::default());
        let builder = options(MapManager::builder().window_size(2 * PAGE));
        let manager = builder.build_over(NonZeroU64::new(PAGE).unwrap(), Arc::clone(&sys) as _).unwrap();
        Self { manager, sys, path, contents, directory }
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
        assert_eq!(setup.manager.regions().iter().filter(|region| region.holders > 0).count(), 1);
    }
    drop(file);
    assert_eq!(setup.manager.stats().mapped_bytes, 0);
    assert_eq!(setup.sys.mapped(), 0);
}

/// "No mappings left", and other failures of the system.
#[test]
fn a_failing_map_is_an_error_and_leaves_nothing_behind() {
    let setup = Setup::new(9 * PAGE as usize);
    let file = setup.stable();
    let held = file.view(0..10).unwrap();

    setup.sys.fail_map.store(true, Ordering::SeqCst);
    let before = setup.manager.regions();
    let error = file.view(3 * PAGE..3 * PAGE + 5).unwrap_err();
    assert!(matches!(error, ViewError::Map { .. }), "{error:?}");
    let message = error.to_string();
    for part in ["12288..12293", "file\"", "drop views", "max_map_count"] {
        assert!(message.contains(part), "{message}");
    }
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    assert_eq!(setup.manager.regions(), before);
    assert!(file.view(5..6).is_ok(), "what is mapped needs no mapping");

    let mut cursor = file.cursor();
    assert!(cursor.use_region(3 * PAGE..3 * PAGE + 5).is_err());
    assert!(!cursor.is_valid() && cursor.as_slice().is_empty());

    setup.sys.fail_map.store(false, Ordering::SeqCst);
    let view = file.view(3 * PAGE..3 * PAGE + 5).unwrap();
    assert_eq!(view, setup.part(3 * PAGE..3 * PAGE + 5));
    drop((held, view, cursor, file));
    assert_eq!(setup.manager.stats().mapped_regions, 0);
}

/// "Unload when a map fails": what nobody holds is unmapped, and the map is tried once more.
#[test]
fn a_map_that_fails_for_want_of_room_is_tried_again_after_unloading() {
    let setup = Setup::new(40 * PAGE as usize);
    let file = setup.stable();
    setup.sys.most_mapped.store(5, Ordering::SeqCst);
    let held = [0, 1].map(|window| file.view(window * 2 * PAGE..window * 2 * PAGE + 1).unwrap());
    for window in 2..20 {
        let range = window * 2 * PAGE + 7..window * 2 * PAGE + 99;
        assert_eq!(file.view(range.clone()).unwrap(), setup.part(range));
    }
    assert_eq!(held[1], setup.part(2 * PAGE..2 * PAGE + 1));
    let all: Vec<_> = (2..5).map(|window| file.view(window * 2 * PAGE..window * 2 * PAGE + 1).unwrap()).collect();
    assert!(matches!(file.view(19 * PAGE..19 * PAGE + 1), Err(ViewError::Map { .. })), "everything is held");
    drop(all);
    assert!(file.view(19 * PAGE..19 * PAGE + 1).is_ok());
}

/// "No descriptors left": ours are closed, and the opening is tried once more.
#[test]
fn an_opening_without_descriptors_says_what_to_do() {
    let setup = Setup::new(100);
    let _file = setup.manager.open(&setup.path).unwrap();
    setup.sys.fail_open.store(true, Ordering::SeqCst);
    let error = setup.manager.open(&setup.path).unwrap_err().to_string();
    assert!(error.contains("ulimit -n") && error.contains("max_open_files"), "{error}");
}

/// An opening that has to wait keeps nobody from opening, reading or asking.
#[test]
fn an_opening_that_waits_is_waited_for_by_nobody_else() {
    let setup = Setup::with(100, |builder| builder.max_open_files(1));
    let slow = setup.directory.path().join("slow");
    std::fs::write(&slow, b"slow").unwrap();
    let (manager, path) = (&setup.manager, &setup.path);
    let gate = setup.sys.slow.lock();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| setup.manager.open(&slow).unwrap());
        let (told, hears) = std::sync::mpsc::channel();
        scope.spawn(move || {
            // Long enough for the other to be where it waits; if it is not, nothing is tested, and nothing fails.
            std::thread::sleep(std::time::Duration::from_millis(50));
            told.send(read_all_of(manager, path)).unwrap();
        });
        let heard = hears.recv_timeout(std::time::Duration::from_secs(20));
        drop(gate);
        assert_eq!(heard.unwrap(), setup.contents);
        assert_eq!(waits.join().unwrap().bytes(0..9).unwrap(), &b"slow"[..]);
    });
    assert!(setup.manager.stats().descriptors <= 1);
}

fn read_all_of(manager: &MapManager, path: &Path) -> bytes::Bytes {
    assert_eq!(manager.stats().descriptors, 0);
    manager.open(path).unwrap().bytes(0..100).unwrap()
}

/// Where there are no more of them.
#[test]
fn looking_again_needs_no_second_descriptor() {
    let setup = Setup::new(100);
    let file = setup.manager.open(&setup.path).unwrap();
    setup.sys.fail_open.store(true, Ordering::SeqCst);
    assert_eq!(file.refresh().unwrap(), crate::Change::Unchanged);
}

#[test]
fn a_file_that_cannot_be_opened_again_is_an_error_that_says_so() {
    let setup = Setup::with(100, |builder| builder.max_open_files(1));
    let file = setup.manager.open(&setup.path).unwrap();
    let other = setup.directory.path().join("other");
    std::fs::write(&other, b"other").unwrap();
    let _other = setup.manager.open(&other).unwrap();
    setup.sys.fail_open.store(true, Ordering::SeqCst);
    let error = file.bytes(0..10).unwrap_err();
    assert!(matches!(&error, ReadError::Reopen { source: ReopenError::Io { .. }, .. }), "{error:?}");
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    setup.sys.fail_open.store(false, Ordering::SeqCst);
    assert_eq!(file.bytes(0..10).unwrap(), setup.part(0..10));
}

#[test]
#[cfg(all(unix, not(miri)))]
fn what_cannot_be_mapped_is_read() {
    let setup = Setup::new(9 * PAGE as usize);
    let file = setup.stable();
    let refusals = [libc::ENODEV, libc::EOPNOTSUPP, libc::ENOSYS, libc::EACCES, libc::EPERM, libc::EINVAL];
    for refusal in refusals {
        setup.sys.unmappable.store(refusal, Ordering::SeqCst);
        let view = file.view(PAGE - 1..5 * PAGE).unwrap();
        assert_eq!(view, setup.part(PAGE - 1..5 * PAGE));
        drop(view);
        setup.manager.collect();
    }
    assert_eq!(setup.sys.maps(), 0);
    // A copy that must see changes is made of the file, and not of the copy.
    let copies = setup.manager.open(&setup.path).unwrap().copy_view(0..PAGE).unwrap();
    std::fs::write(&setup.path, vec![0xAB; 9 * PAGE as usize]).unwrap();
    let mut now = [0; 5];
    copies.try_copy_to(77, &mut now).unwrap();
    assert_eq!(now, [0xAB; 5]);
}

#[test]
fn a_file_whose_length_cannot_be_asked_is_not_mapped() {
    let setup = Setup::new(100);
    setup.sys.fail_len.store(true, Ordering::SeqCst);
    let file = setup.stable();
    assert!(matches!(file.view(0..1), Err(ViewError::Map { .. })));
    assert!(file.cursor().use_region(0..1).is_err());
    assert_eq!(setup.sys.maps(), 0);
    setup.sys.fail_len.store(false, Ordering::SeqCst);
    assert!(file.view(0..1).is_ok());
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

    // Where nothing can be copied out of a mapping the descriptor is asked.
    let view = file.copy_view(0..100).unwrap();
    let error = view.try_copy_to(5, &mut [0; 3]).unwrap_err();
    assert!(matches!(error, CopyError::Io { .. }), "{error:?}");
    let mut paged = file.paged();
    assert!(paged.get(3).is_err() && paged.slice(..).is_err());
    assert_eq!(paged.iter().count(), 1, "one error, and the end");
    setup.sys.fail_read.store(false, Ordering::SeqCst);
    assert_eq!(paged.get(3).unwrap(), Some(setup.contents[3]));
}

/// As in /sys, where every file is a page long, and most have fewer bytes.
#[test]
#[cfg(all(unix, not(miri)))]
fn a_length_that_is_not_true_is_an_error_that_says_so() {
    let setup = Setup::new(1000);
    let file = setup.manager.open(&setup.path).unwrap();
    setup.sys.ends_at.store(30, Ordering::SeqCst);
    setup.sys.unmappable.store(libc::ENODEV, Ordering::SeqCst);
    let mut buffer = [0; 100];
    let error = file.read_at(&mut buffer, 10).unwrap_err();
    assert!(matches!(&error, ReadError::Short { given: 20, len: 1000, .. }), "{error:?}");
    let view_error = file.copy_view(10..110).unwrap_err();
    assert!(matches!(&view_error, ViewError::Short { given: 30, len: 1000, .. }), "{view_error:?}");
    for message in [error.to_string(), view_error.to_string()] {
        for part in ["10..110", "1000", "only"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("now has"), "{message}");
    }
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(std::io::Error::from(view_error).kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(file.bytes(10..30).unwrap(), setup.part(10..30), "as the message says");
    assert_eq!(file.paged().get(3).unwrap_err().to_string(), file.bytes(0..1000).unwrap_err().to_string());
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

#[test]
fn paged_files_read_around_the_index_and_keep_a_few_pages() {
    let setup = Setup::new(1_000_000);
    let mut file = setup.manager.open(&setup.path).unwrap().paged();
    let reads = |file: &mut crate::PagedFile, index: i64, expected| {
        let before = setup.sys.reads();
        let place = if index < 0 { index + 1_000_000 } else { index };
        assert_eq!(file.get(index).unwrap(), Some(setup.contents[place as usize]));
        assert_eq!(setup.sys.reads() - before, expected, "{index}");
    };
    reads(&mut file, 500_000, 1);
    reads(&mut file, 500_000 - 32_768, 0);
    reads(&mut file, 500_000 + 32_767, 0);
    reads(&mut file, 500_000 - 32_769, 1);
    reads(&mut file, 500_000 - 32_769 - 65_535, 0);
    reads(&mut file, -1, 1);
    reads(&mut file, -65_536, 0);
    reads(&mut file, 500_000, 0);
    // A page that goes on is read where the last one ended.
    reads(&mut file, 0, 1);
    reads(&mut file, 65_535, 0);
    reads(&mut file, 65_536, 1);
    reads(&mut file, 131_071, 0);
    let before = setup.sys.reads();
    assert_eq!(file.slice(100..200).unwrap(), setup.part(100..200));
    assert_eq!(setup.sys.reads(), before);
}

#[test]
fn a_limit_of_what_is_held_says_who_holds_how_much() {
    let setup = Setup::with(40 * PAGE as usize, |builder| {
        builder.max_mapped_bytes(4 * PAGE).when_limit_is_held(LimitPolicy::Error)
    });
    let file = setup.stable();
    let mut cursor = file.cursor();
    cursor.use_region(0..1).unwrap();
    let view = file.view(2 * PAGE..2 * PAGE + 1).unwrap();
    let again = view.clone();
    let error = file.view(8 * PAGE..8 * PAGE + 1).unwrap_err();
    let ViewError::LimitReached { wanted, max_mapped_bytes, held, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*wanted, *max_mapped_bytes), (2 * PAGE, 4 * PAGE));
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].regions, held[0].bytes, held[0].holders), (2, 4 * PAGE, 3));
    let message = error.to_string();
    for part in ["16384 bytes in 2 regions of", "file\"", "by 3 views and cursors", "LimitPolicy::Exceed"] {
        assert!(message.contains(part), "{message}");
    }
    drop((view, again));
    assert!(file.view(8 * PAGE..8 * PAGE + 1).is_ok());
    assert!(matches!(file.view(0..6 * PAGE), Err(ViewError::LimitReached { .. })), "larger than the limit");
}

/// The last holder lets go while others map and look: whatever the order, the counts come out right.
#[test]
fn threads_that_map_and_drop_the_same_window_keep_the_counts_exact() {
    let rounds = if cfg!(miri) { 10 } else { 5_000 };
    let setup = Setup::with(40 * PAGE as usize + 5, |builder| builder.max_regions(2));
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
    let stats = setup.manager.stats();
    assert_eq!((stats.mapped_regions, stats.mapped_bytes), (2, 4 * PAGE));
    assert_eq!((setup.sys.mapped(), stats.maps as usize), (2, setup.sys.maps()));
    drop(file);
    assert_eq!(setup.sys.mapped(), 0);
    assert_eq!(setup.manager.stats().open_files, 0);
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
    assert!(file.cursor().use_region(0..1).is_err());
    assert!(file.buffer(0..10).unwrap().get(0).is_err());
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
