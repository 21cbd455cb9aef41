//! `SparseVirtualFileSystem`: files by id, and a limit on the sum of their bytes.

#![cfg(feature = "dashmap")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use svf_core::{
    Error, InsertError, NeedOptions, SparseVirtualFile, SparseVirtualFileOptions, SparseVirtualFileSystem,
    SparseVirtualFileSystemOptions, Version,
};

fn limited(max_bytes: u64) -> SparseVirtualFileSystem {
    SparseVirtualFileSystem::with_options(SparseVirtualFileSystemOptions::new().max_bytes(max_bytes))
}

#[test]
fn files_come_and_go_by_id() {
    let files = SparseVirtualFileSystem::new();
    assert!(files.is_empty() && files.get("a").is_none() && !files.contains("a") && files.remove("a").is_none());
    let a = files.open("a");
    assert!(Arc::ptr_eq(&a, &files.open("a")) && Arc::ptr_eq(&a, &files.file("a").unwrap()));
    files.insert(SparseVirtualFile::new("b")).unwrap();
    assert_eq!((files.len(), files.contains("b")), (2, true));
    let mut ids = files.ids();
    ids.sort();
    assert_eq!(ids, ["a".into(), "b".into()]);
    assert_eq!(files.file("c").unwrap_err().to_string(), "no file \"c\" is in the file system; open() makes one");
    assert_eq!(files.remove("b").unwrap().id(), "b");
    files.retain(|file| file.id() != "a");
    assert!(files.is_empty());
}

#[test]
fn one_line_reads_and_writes_by_id() -> Result<(), Error> {
    let files = SparseVirtualFileSystem::new();
    files.open("a").write(4, b"data")?;
    assert_eq!(files.file("a")?.read(5..7)?, "at");
    assert!(matches!(files.file("b"), Err(error) if error.id == "b"));
    Ok(())
}

#[test]
fn handles_stay_valid_after_removal_and_count_no_more() {
    let files = limited(100);
    let file = files.open("a");
    file.write_bytes(0, Bytes::from(vec![1; 60])).unwrap();
    let removed = files.remove("a").unwrap();
    assert!(Arc::ptr_eq(&file, &removed));
    assert_eq!((files.num_bytes(), file.num_bytes()), (0, 60));
    // It is nobody's limit any more, and nobody's use of the new one evicts it.
    file.write(1_000, &[2; 90]).unwrap();
    let again = files.open("a");
    again.write(0, &[3; 90]).unwrap();
    assert_eq!((files.num_bytes(), file.num_bytes(), again.num_bytes()), (90, 150, 90));
    assert_eq!(file.read(0..1).unwrap()[0], 1);
    // It can come back, or go elsewhere.
    assert!(matches!(files.insert(Arc::clone(&file)), Err(InsertError::Exists { .. })));
    files.clear();
    assert_eq!(files.num_bytes(), 0);
    files.insert(Arc::clone(&file)).unwrap();
    assert!(files.num_bytes() <= 100 && file.num_bytes() == files.num_bytes());
    let other = SparseVirtualFileSystem::new();
    assert_eq!(other.insert(Arc::clone(&file)).unwrap_err(), InsertError::Taken { id: "a".into() });
    drop(files);
    other.insert(file).unwrap();
}

#[test]
fn a_changed_file_is_replaced_and_its_old_handle_reads_on() {
    let files = SparseVirtualFileSystem::new();
    let (first, second) = (Version::new().etag("\"1\"").len(4), Version::new().etag("\"2\"").len(4));
    let old = files.open_version("a", first.clone());
    old.write(0, b"old!").unwrap();
    assert!(Arc::ptr_eq(&old, &files.open_version("a", first)));
    let new = files.open_version("a", second.clone());
    assert!(new.is_empty() && new.version() == Some(second.clone()));
    assert_eq!((old.read(0..4).unwrap(), files.num_bytes()), ("old!".into(), 0));
    assert!(Arc::ptr_eq(&new, &files.open("a")), "whatever its version");
    // What is not known to be of a version is not of that version.
    let unknown = files.open("b");
    assert!(!Arc::ptr_eq(&unknown, &files.open_version("b", second)));
}

#[test]
fn the_limit_is_on_the_sum_and_the_least_recently_used_goes_wherever_it_is() {
    let files = limited(4_000);
    let names = ["a", "b", "c", "d"];
    for name in names {
        files.open(name).write(0, &[1; 1_000]).unwrap();
    }
    assert_eq!(files.num_bytes(), 4_000);
    // All are used again but "b", and a long time passes for the others: "a" is written a lot.
    for name in ["a", "c", "d"] {
        files.open(name).read(0..1).unwrap();
    }
    files.open("a").write(5_000, &[1; 1]).unwrap();
    assert!(files.open("b").is_empty());
    assert_eq!(files.num_bytes(), 3_001);
    // Reads count by the clock of all: "c" was read after every write to "d", though "c" itself is written no more.
    for _ in 0..10 {
        files.open("d").write(0, &[1; 1_000]).unwrap();
    }
    files.open("c").read(0..1).unwrap();
    files.open("e").write(0, &[1; 1_500]).unwrap();
    let held = |name| files.open(name).num_bytes();
    assert_eq!((held("a"), held("c"), held("d"), held("e")), (1, 1_000, 1_000, 1_500));
    assert_eq!(files.stats().bytes_evicted, 2_000);
    assert_eq!(files.stats().chunks_evicted, 2);
}

#[test]
fn evicting_on_demand_in_all_and_in_each() {
    let files = SparseVirtualFileSystem::new();
    for (name, count) in [("a", 10u64), ("b", 20), ("c", 30)] {
        for n in 0..count {
            files.open(name).write(n * 1_000, &[1; 100]).unwrap();
        }
    }
    assert_eq!((files.num_bytes(), files.num_blocks()), (6_000, 60));
    assert_eq!(files.evict_each_to(1_500), 2_000);
    let held = |name| files.open(name).num_bytes();
    assert_eq!((held("a"), held("b"), held("c")), (1_000, 1_500, 1_500));
    assert_eq!(files.evict_to(2_000), 2_000);
    assert_eq!((held("a"), held("b"), held("c")), (0, 500, 1_500));
    assert_eq!(files.set_max_bytes(Some(150)), 1_900);
    assert_eq!((files.num_bytes(), files.options().max_bytes), (100, Some(150)));
    assert_eq!(files.evict_to(0), 100);
    assert_eq!((files.num_bytes(), files.evict_to(0)), (0, 0));
    assert_eq!(files.stats().bytes_evicted, 6_000);
}

#[test]
fn one_write_beyond_the_limit_is_read_through_all_the_same() {
    let files = limited(1_000);
    let file = files.open("a");
    let bytes = file.read_through(0..50_000, &NeedOptions::new(), |range| {
        Ok::<_, std::io::Error>(vec![7; (range.end - range.start) as usize])
    });
    assert_eq!(bytes.unwrap(), vec![7; 50_000]);
    assert!(files.num_bytes() <= 1_000);
    let files = limited(0);
    files.open("a").write(0, b"nothing stays").unwrap();
    assert_eq!(files.num_bytes(), 0);
}

#[test]
fn the_sum_is_that_of_the_files_while_many_threads_write_read_remove_and_evict() {
    let files = limited(5_000);
    let (stop, evicted) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|thread| {
                let (files, evicted) = (&files, &evicted);
                scope.spawn(move || {
                    for n in 0..3_000u64 {
                        let name = ((n * 7 + thread) % 11).to_string();
                        let file = files.open(&name);
                        let offset = (n * 37 + thread) % 5_000;
                        let before = file.stats().bytes_evicted;
                        file.write(offset * 100, &[name.len() as u8; 100]).unwrap();
                        evicted.fetch_add(file.stats().bytes_evicted - before, Ordering::Relaxed);
                        match n % 50 {
                            0 => drop(files.remove(&name)),
                            1 => drop(files.evict_to(2_000)),
                            2 => drop(file.remove(0..100_000)),
                            3 => file.reset(None),
                            4 => drop(files.insert(file)),
                            _ => drop(file.read(offset * 100..offset * 100 + 100)),
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Four writers may each have written once and not yet evicted.
                assert!(files.num_bytes() <= 5_000 + 4 * 100);
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(files.num_bytes(), files.files().iter().map(|file| file.num_bytes()).sum::<u64>());
    assert!(files.num_bytes() <= 5_000);
    assert!(evicted.into_inner() > 5_000, "the limit was hardly reached, so nothing was shown");
}

#[test]
fn the_limit_holds_when_a_write_returns_in_a_file_that_is_just_being_opened() {
    let files = limited(100);
    let (round, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let now = round.load(Ordering::Relaxed);
                if last != now {
                    files.open("x");
                    last = now;
                }
            }
        });
        for _ in 0..3_000 {
            round.fetch_add(1, Ordering::Relaxed);
            let file = loop {
                if let Some(file) = files.get("x") {
                    break file;
                }
            };
            file.write(0, &[1; 2_000]).unwrap();
            assert!(files.num_bytes() <= 100);
            files.remove("x");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_was_just_written_stays_as_far_as_the_limit_goes() {
    let files = limited(40_000);
    let file = files.open("a");
    for n in 0..20_000 {
        file.write(n * 4, &[1; 4]).unwrap();
        assert!(file.contains(n * 4..n * 4 + 4), "write {n}");
    }
    assert!(files.num_bytes() > 30_000);
    // Of one write that is longer than the limit the end stays.
    file.write(1_000_000, &[2; 50_000]).unwrap();
    assert_eq!(file.blocks(), [1_010_000..1_050_000]);
    files.set_max_bytes(Some(10_000));
    files.open("b").write(0, &[2; 50_000]).unwrap();
    assert_eq!(files.open("b").blocks(), [40_000..50_000]);
    let file = files.remove("b").unwrap();
    file.write(100_000, &[2; 50_000]).unwrap();
    assert_eq!(file.num_bytes(), 60_000, "outside of the file system its limit is none of its");
}

/// An owner whose destructor panics.
struct Hostile;

impl AsRef<[u8]> for Hostile {
    fn as_ref(&self) -> &[u8] {
        &[7; 2_000]
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        assert!(thread::panicking(), "a bug in the owner's destructor");
    }
}

#[test]
fn the_sum_and_the_limit_are_right_after_a_panic_in_a_destructor() {
    type Trigger = fn(&SparseVirtualFileSystem);
    let triggers: [Trigger; 4] = [
        |files| _ = files.open("a").remove(0..2_000),
        |files| _ = files.evict_to(0),
        |files| _ = files.open("b").write(0, &[1; 2_000]),
        |files| _ = files.open("a").set_max_bytes(Some(10)),
    ];
    for trigger in triggers {
        let files = limited(3_000);
        files.open("a").write_bytes(0, Bytes::from_owner(Hostile)).unwrap();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trigger(&files)));
        assert!(unwound.is_err());
        for _ in 0..3 {
            let held: u64 = files.files().iter().map(|file| file.num_bytes()).sum();
            assert_eq!(files.num_bytes(), held);
            files.open("a").write(0, &[1; 2_500]).unwrap();
            files.open("b").write(0, &[1; 2_500]).unwrap();
            assert!((2_500..=3_000).contains(&files.num_bytes()), "{}", files.num_bytes());
        }
    }
}

#[test]
fn costs_do_not_grow_with_the_number_of_files() {
    let time = |count: u64| {
        let files = limited(100 * 100);
        for n in 0..count {
            files.open(&n.to_string()).write(0, &[1; 100]).unwrap();
        }
        let file = files.open("x");
        let start = Instant::now();
        for n in 0..2_000 {
            // Evicts one chunk, and opens and removes a file.
            file.write(n * 1_000, &[1; 100]).unwrap();
            files.open("y");
            files.remove("y");
        }
        start.elapsed()
    };
    // What is linear takes ten times as long; the least of several runs is what the machine's other work spares.
    let least = |count| (0..5).map(|_| time(count)).min().unwrap();
    let (few, many) = (least(1_000), least(10_000));
    assert!(many < few * 5, "{few:?} beside 1,000 files, {many:?} beside 10,000");
}

#[test]
fn removed_files_leave_nothing_behind() {
    let files = limited(1 << 20);
    let mut weak = Vec::new();
    for n in 0..10_000 {
        let file = files.open(&n.to_string());
        file.write(0, &[1; 10]).unwrap();
        weak.push(Arc::downgrade(&file));
        files.remove(file.id());
    }
    assert!(weak.iter().all(|file| file.upgrade().is_none()));
    assert_eq!((files.len(), files.num_bytes()), (0, 0));
    assert!(files.memory_size() < 100_000);
    let file = files.open("again and again");
    for _ in 0..1_000 {
        files.remove(file.id());
        files.insert(Arc::clone(&file)).unwrap();
    }
    assert_eq!(Arc::weak_count(&file), 1);
}

#[test]
fn totals_are_sums() {
    let options = SparseVirtualFileOptions::new().scrub(true);
    let files = SparseVirtualFileSystem::with_options(SparseVirtualFileSystemOptions::new().files(options));
    files.open("a").write(0, &[1; 3]).unwrap();
    files.open("b").write(10, &[1; 4]).unwrap();
    files.open("b").write(20, &[1; 5]).unwrap();
    assert!(files.open("b").options().map.scrub);
    assert_eq!((files.num_bytes(), files.num_blocks(), files.stats().writes), (12, 3, 3));
    let each: usize = files.files().iter().map(|file| file.memory_size()).sum();
    assert!(files.memory_size() > each);
}

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, u64, usize),
    Read(usize, u64),
    Remove(usize),
    RemoveRange(usize, u64, u64),
    EvictTo(u64),
}

proptest! {
    /// Against a list of all pieces of all files with the time of their last use. Pieces do not touch, so that they
    /// are not gathered, and each is a chunk.
    #[test]
    fn evicts_as_a_list_of_all_pieces_does(
        max_bytes in 20u64..300,
        operations in prop::collection::vec(prop_oneof![
            8 => (0usize..4, 0u64..12, 1usize..20).prop_map(|(file, piece, len)| Operation::Write(file, piece, len)),
            6 => (0usize..4, 0u64..12).prop_map(|(file, piece)| Operation::Read(file, piece)),
            1 => (0usize..4).prop_map(Operation::Remove),
            1 => (0usize..4, 0u64..1_200, 0u64..1_200).prop_map(|(file, start, end)| Operation::RemoveRange(file, start, end)),
            1 => (0u64..300).prop_map(Operation::EvictTo),
        ], 1..60),
    ) {
        let files = limited(max_bytes);
        // By file and start of the piece: its length, and when it was used.
        let mut model: HashMap<(usize, u64), (u64, u64)> = HashMap::new();
        let mut now = 0;
        for operation in operations {
            now += 1;
            let mut limit = max_bytes;
            match operation {
                Operation::Write(file, piece, len) => {
                    // A piece has one length, so that it is written once or again, and never in two chunks.
                    let start = piece * 100;
                    let len = model.get(&(file, start)).map_or(len as u64, |&(len, _)| len);
                    files.open(&file.to_string()).write(start, &vec![9; len as usize]).unwrap();
                    model.insert((file, start), (len, now));
                }
                Operation::Read(file, piece) => {
                    let start = piece * 100;
                    let held = model.get_mut(&(file, start));
                    let read = files.open(&file.to_string()).read(start..start + 1);
                    prop_assert_eq!(read.is_ok(), held.is_some());
                    if let Some((_, used)) = held {
                        *used = now;
                    }
                    // So that this use is told apart from the next.
                    files.open(&file.to_string()).advance_epoch();
                }
                Operation::Remove(file) => {
                    files.remove(&file.to_string());
                    model.retain(|(of, _), _| *of != file);
                }
                Operation::RemoveRange(file, start, end) => {
                    // On borders of pieces.
                    let (start, end) = (start / 100 * 100, end / 100 * 100);
                    files.open(&file.to_string()).remove(start..end);
                    model.retain(|&(of, piece), _| of != file || !(start..end).contains(&piece));
                }
                Operation::EvictTo(bytes) => {
                    limit = limit.min(bytes);
                    files.evict_to(bytes);
                }
            }
            while limit < model.values().map(|(len, _)| len).sum() {
                let oldest = model.iter().min_by_key(|(_, (_, used))| *used).map(|(&piece, _)| piece).unwrap();
                model.remove(&oldest);
            }
            let mut held: Vec<(usize, u64)> = files
                .files()
                .iter()
                .flat_map(|file| file.blocks().into_iter().map(|block| (file.id().parse().unwrap(), block.start)))
                .collect();
            let mut expected: Vec<(usize, u64)> = model.keys().copied().collect();
            held.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(held, expected);
            prop_assert_eq!(files.num_bytes(), model.values().map(|(len, _)| len).sum::<u64>());
        }
    }
}
