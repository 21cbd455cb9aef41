//! What svfsc does, row by row, and what it does wrong: each works here under the name that its users know from
//! `#[doc(alias)]`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use svf_core::{
    BlockMap, BlockMapOptions, NeedOptions, OnOverlap, SparseVirtualFile, SparseVirtualFileOptions, Version, WriteError,
};

/// Blocks (8,4), (16,4), (32,4), as in its documentation.
fn three_blocks() -> SparseVirtualFile {
    let file = SparseVirtualFile::new("three blocks");
    for offset in [8, 16, 32] {
        file.write(offset, &[offset as u8; 4]).unwrap();
    }
    file
}

#[test]
fn the_documented_example() {
    let file = SparseVirtualFile::new("some file ID");
    file.write(14, b"ABCDEF").unwrap();
    assert_eq!(file.read(16..18).unwrap(), "CD");
    assert_eq!(file.need(8..32), [8..14, 20..32]);
    // Its documentation prints ((8, 6), (20, 4)) for this one.
    assert_eq!(file.need(8..8 + 24), [8..8 + 6, 20..20 + 12]);
}

#[test]
fn write_compare_for_diff() {
    // Every single changed byte is noticed, wherever it is, and nothing has changed then.
    let held: Vec<u8> = (0..40).collect();
    for changed in 0..40 {
        let file = SparseVirtualFile::new("f");
        file.write(100, &held).unwrap();
        file.write(150, &held).unwrap();
        let mut data: Vec<u8> = vec![9; 5].into_iter().chain(held.iter().copied()).chain([9; 5]).collect();
        data[5 + changed] ^= 0x80;
        let before = (file.snapshot(), file.recency(), file.stats().writes);
        for error in [file.write(95, &data), file.write_bytes(95, Bytes::from(data.clone()))] {
            let expected = WriteError::Conflict {
                offset: 100 + changed as u64,
                held: held[changed],
                written: held[changed] ^ 0x80,
            };
            assert_eq!(error.unwrap_err(), expected);
        }
        assert_eq!((file.snapshot(), file.recency(), file.stats().writes), before);
        assert_eq!(file.stats().writes_refused, 2);
    }
    // Without the comparison: the held bytes win, or the new ones.
    for (on_overlap, expected) in [(OnOverlap::Keep, "aaHELDbb"), (OnOverlap::Replace, "aanew!bb")] {
        let file = SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().on_overlap(on_overlap));
        file.write(2, b"HELD").unwrap();
        let written = file.write(0, b"aanew!bb").unwrap();
        assert_eq!((written.new, written.overlapping), (4, 4));
        assert_eq!(file.read(0..8).unwrap(), expected);
    }
}

#[test]
fn read_has_data() {
    let file = three_blocks();
    assert!(file.contains(8..12) && !file.contains(8..13) && file.contains(5..5));
    assert_eq!(file.read(9..11).unwrap(), [8, 8][..]);
    let mut out = [0; 2];
    file.read_into(34, &mut out).unwrap();
    assert_eq!(out, [32, 32]);
    file.write(12, &[12; 4]).unwrap();
    let mut chunks = file.chunks(8..20).unwrap();
    assert_eq!(chunks.copy_to_bytes(12), [8, 8, 8, 8, 12, 12, 12, 12, 16, 16, 16, 16][..]);
    let missing = file.read(10..40).unwrap_err();
    assert_eq!((missing.requested.clone(), missing.first.clone()), (10..40, 20..32));
    assert_eq!(file.chunks(10..40).unwrap_err(), missing);
    assert!(missing.to_string().contains("bytes 20..32 of the read of 10..40"), "{missing}");
}

#[test]
fn need_with_greedy_length() {
    let file = three_blocks();
    assert_eq!(file.need(8..48), [12..16, 20..32, 36..48]);
    let greedy = |bytes| file.need_requests(8..48, &NeedOptions::new().greedy(bytes));
    assert_eq!(greedy(64), [12..76]);
    assert_eq!(greedy(40), [12..16, 20..32, 36..48], "no more than the length asked for means nothing");
    assert_eq!(greedy(41), [12..53]);
    assert_eq!(NeedOptions::new().greedy(2).plan(file.need(8..48)), [12..16, 20..32, 36..48]);
    assert_eq!(NeedOptions::new().greedy(6).plan(file.need(8..48)), [12..18, 20..32, 36..48]);
    assert_eq!(NeedOptions::new().greedy(8).plan(file.need(8..48)), [12..32, 36..48], "a run is joined to its end");
}

#[test]
fn need_many() {
    let file = three_blocks();
    let options = NeedOptions::new();
    // Out of order, overlapping, touching, and held; also without greed.
    let ranges = [40..50, 0..10, 10..14, 45..60, 60..61, 9..11, 30..30];
    assert_eq!(file.need_many(&ranges, &options), [0..8, 12..14, 40..61]);
    assert_eq!(file.need_many(&ranges, &options.greedy(13)), [0..14, 40..61]);
    assert_eq!(file.need_many(&[], &options.greedy(13)), []);
}

#[test]
fn blocks_counts_and_sizes() {
    let file = three_blocks();
    assert_eq!(file.blocks(), [8..12, 16..20, 32..36]);
    assert_eq!(file.block_at(17), Some(16..20));
    assert_eq!((file.block_at(20), file.block_at(15)), (None, None));
    assert_eq!((file.num_blocks(), file.num_bytes(), file.end()), (3, 12, 36));
    let before = file.memory_size();
    file.write_bytes(1 << 20, Bytes::from(vec![0; 1 << 20])).unwrap();
    let grown = file.memory_size() - before;
    assert!((1 << 20..(1 << 20) + 1_000).contains(&grown), "{grown}");
}

#[test]
fn erase() {
    let file = three_blocks();
    assert_eq!(file.remove_block(17), Some(16..20), "by any offset in it");
    assert_eq!(file.remove_block(17), None);
    assert_eq!(file.remove(9..34), 3 + 2);
    assert_eq!(file.blocks(), [8..9, 34..36]);
    assert_eq!(file.stats().bytes_removed, 9);
}

#[test]
fn lru_punt_and_block_touches() {
    let file = three_blocks();
    assert_eq!(file.recency(), [8..12, 16..20, 32..36]);
    file.touch(8..9);
    assert_eq!(file.recency(), [16..20, 32..36, 8..12]);
    assert_eq!(file.evict_to(9), 4);
    assert_eq!(file.blocks(), [8..12, 32..36]);
    file.set_max_bytes(Some(9));
    file.read(8..9).unwrap();
    let handed_out = file.read(32..36).unwrap();
    file.write(100, &[1; 4]).unwrap();
    assert_eq!(file.num_bytes(), 8, "the limit is kept by itself");
    assert_eq!(handed_out, [32; 4][..], "what was handed out stays valid");
    assert_eq!((file.stats().chunks_evicted, file.stats().bytes_evicted), (2, 8));
}

#[test]
fn clear_overwrite_on_exit_config_and_id() {
    let options = SparseVirtualFileOptions::new().scrub(true).on_overlap(OnOverlap::Keep);
    let file = SparseVirtualFile::with_options("the id", Version::new().len(9), options);
    assert_eq!((file.id(), file.options()), ("the id", options));
    file.write(0, b"secret").unwrap();
    file.clear();
    assert!(file.is_empty() && file.end() == 0);
    assert_eq!((file.version(), file.options()), (Some(Version::new().len(9)), options));
}

#[test]
fn file_mod_time_matches() {
    let monday = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let tuesday = monday + Duration::from_secs(86_400);
    let file = SparseVirtualFile::with_options("f", Version::from(monday), SparseVirtualFileOptions::new());
    assert_eq!(file.version().unwrap().modified, Some(monday));
    assert!(file.matches_version(&monday.into()) && !file.matches_version(&tuesday.into()));
    file.write(0, b"of monday").unwrap();
    file.reset(Version::from(tuesday));
    assert!(file.is_empty() && file.matches_version(&tuesday.into()));
    let without = SparseVirtualFile::new("f");
    assert_eq!(without.version(), None);
    assert!(!without.matches_version(&monday.into()) && without.matches_version(&Version::new()));
}

#[test]
fn counters_and_times() {
    let file = three_blocks();
    let start = SystemTime::now();
    assert_eq!((file.stats().writes, file.stats().last_read), (3, None));
    file.read(8..12).unwrap();
    file.read_into(16, &mut [0; 3]).unwrap();
    file.chunks(32..34).unwrap();
    file.read(0..4).unwrap_err();
    file.write(9, &[8; 2]).unwrap();
    let stats = file.stats();
    assert_eq!((stats.reads, stats.bytes_read, stats.misses), (3, 4 + 3 + 2, 1));
    assert_eq!((stats.writes, stats.bytes_written, stats.bytes_overlapping), (4, 14, 2));
    assert!(start - Duration::from_millis(1) <= stats.last_read.unwrap() && start <= stats.last_write.unwrap());
}

#[test]
fn every_order_of_adjacent_writes_ends_in_one_block() {
    // Its writes that end at or inside of a later block did not join it.
    let file = SparseVirtualFile::new("f");
    file.write(8, &[1; 8]).unwrap();
    file.write(0, &[1; 8]).unwrap();
    file.write(20, &[1; 8]).unwrap();
    file.write(10, &[1; 14]).unwrap();
    assert_eq!(file.blocks(), [0..28]);
    assert!(file.need(0..28).is_empty() && file.contains(0..28));
    assert_eq!(file.read(0..28).unwrap(), [1; 28][..]);
}

#[test]
fn offsets_near_2_64() {
    let file = SparseVirtualFile::new("f");
    file.write(u64::MAX - 4, b"last").unwrap();
    assert_eq!(file.read(u64::MAX - 4..u64::MAX).unwrap(), "last");
    assert_eq!(file.end(), u64::MAX);
    for (offset, len) in [(u64::MAX, 1), (u64::MAX - 4, 5), (1 << 63, 10)] {
        let result = file.write(offset, &vec![b'l'; len]);
        match offset.checked_add(len as u64) {
            Some(_) => assert!(result.is_ok()),
            None => assert_eq!(result.unwrap_err(), WriteError::OffsetOverflow { offset, len: len as u64 }),
        }
    }
    file.write(u64::MAX, b"").unwrap();
    assert!(file.read_into(u64::MAX - 1, &mut [0; 4]).is_err());
    assert_eq!(file.need(u64::MAX - 6..u64::MAX), [u64::MAX - 6..u64::MAX - 4]);
}

#[test]
fn empty_and_reversed() {
    let file = three_blocks();
    let before = (file.snapshot(), file.stats());
    file.write(5, b"").unwrap();
    assert_eq!(file.read(5..5).unwrap(), "");
    file.read_into(5, &mut []).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    for range in [0..0, 9..9, 100..100, 40..0, 11..9] {
        assert!(file.contains(range.clone()) && file.need(range.clone()).is_empty());
        assert_eq!(file.read(range.clone()).unwrap(), "");
        assert_eq!(file.chunks(range.clone()).unwrap().remaining(), 0);
        assert_eq!(file.remove(range.clone()), 0);
        assert!(file.need_requests(range, &NeedOptions::new().greedy(99)).is_empty());
    }
    assert_eq!((file.snapshot(), file.num_bytes()), (before.0, 12));
    assert_eq!((file.stats().writes, file.stats().last_write), (before.1.writes, before.1.last_write));
}

#[test]
fn the_same_for_one_thread() {
    // `BlockMap` is what a file is made of; it needs no id and no lock.
    let mut map = BlockMap::with_options(BlockMapOptions::new().max_bytes(16));
    map.write(14, b"ABCDEF").unwrap();
    assert_eq!(map.read(16..18).unwrap(), "CD");
    assert_eq!(map.need(8..32).collect::<Vec<_>>(), [8..14, 20..32]);
    map.set_max_bytes(Some(3));
    assert!(map.is_empty());
}

/// Memory that tells when it goes, and panics then.
struct Hostile;

impl AsRef<[u8]> for Hostile {
    fn as_ref(&self) -> &[u8] {
        &[7; 2_000]
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bug in the owner's destructor");
        }
    }
}

#[test]
fn a_destructor_that_panics_leaves_nothing_half_done() {
    let file = SparseVirtualFile::new("f");
    file.write(5_000, b"others").unwrap();
    file.write_bytes(0, Bytes::from_owner(Hostile)).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| file.remove(0..2_000)));
    assert!(unwound.is_err());
    assert_eq!((file.num_bytes(), file.num_blocks()), (0, 0), "what may be half done is dropped");
    file.write(0, b"again").unwrap();
    assert_eq!(file.read(0..5).unwrap(), "again");
}
