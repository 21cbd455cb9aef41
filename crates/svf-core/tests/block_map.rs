//! `BlockMap` against a byte array with a presence flag for each byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::ops::Range;

use bytes::{Buf, Bytes};
use proptest::prelude::*;
use svf_core::{BlockMap, Missing, OnOverlap, WriteError};

const SPAN: usize = 64;

/// Simple, and infeasibly slow for real files: every byte by itself, from `base` on.
#[derive(Clone)]
struct Model {
    base: u64,
    bytes: [Option<u8>; SPAN],
}

impl Model {
    fn at(&self, offset: u64) -> Option<u8> {
        self.bytes[(offset - self.base) as usize]
    }

    /// What the write must report, or the offset of the first conflict.
    fn write(&mut self, offset: u64, data: &[u8], on_overlap: OnOverlap) -> Result<(u64, u64), u64> {
        let before = self.clone();
        let (mut new, mut overlapping) = (0, 0);
        for (index, &byte) in data.iter().enumerate() {
            let offset = offset + index as u64;
            let slot = &mut self.bytes[(offset - before.base) as usize];
            match *slot {
                None => {
                    new += 1;
                    *slot = Some(byte);
                }
                Some(held) => {
                    overlapping += 1;
                    match on_overlap {
                        OnOverlap::Keep => {}
                        OnOverlap::Replace => *slot = Some(byte),
                        OnOverlap::Reject if held == byte => {}
                        OnOverlap::Reject => {
                            *self = before;
                            return Err(offset);
                        }
                    }
                }
            }
        }
        Ok((new, overlapping))
    }

    fn runs(&self, range: Range<u64>, held: bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for offset in range {
            if self.at(offset).is_some() == held {
                match runs.last_mut() {
                    Some(run) if run.end == offset => run.end += 1,
                    _ => runs.push(offset..offset + 1),
                }
            }
        }
        runs
    }

    fn read(&self, range: Range<u64>) -> Option<Vec<u8>> {
        range.map(|offset| self.at(offset)).collect()
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, Vec<u8>),
    WriteBytes(usize, Vec<u8>),
    Remove(usize, usize),
    Clear,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Few different values, so that overlapping writes agree often enough to be accepted.
    let write = || (0..SPAN, prop::collection::vec(prop_oneof![9 => Just(7u8), 1 => Just(8u8)], 0..16));
    let operation = prop_oneof![
        8 => write().prop_map(|(offset, data)| Operation::Write(offset, data)),
        8 => write().prop_map(|(offset, data)| Operation::WriteBytes(offset, data)),
        4 => (0..=SPAN, 0..=SPAN).prop_map(|(start, end)| Operation::Remove(start, end)),
        1 => Just(Operation::Clear),
    ];
    prop::collection::vec(operation, 0..32)
}

fn check_against(map: &BlockMap, model: &Model, asked: Range<u64>) -> Result<(), TestCaseError> {
    let whole = model.base..model.base + SPAN as u64;
    let blocks = model.runs(whole.clone(), true);
    prop_assert_eq!(map.blocks().collect::<Vec<_>>(), blocks.clone(), "sorted, disjoint, never touching");
    prop_assert_eq!(map.num_blocks(), blocks.len());
    prop_assert_eq!(map.num_bytes(), blocks.iter().map(|block| block.end - block.start).sum::<u64>());
    prop_assert_eq!(map.end(), blocks.last().map_or(0, |block| block.end));
    prop_assert_eq!(map.is_empty(), blocks.is_empty());
    for offset in whole.clone() {
        prop_assert_eq!(map.block_at(offset), blocks.iter().find(|block| block.contains(&offset)).cloned());
    }
    for range in [whole, asked] {
        let missing = model.runs(range.clone(), false);
        prop_assert_eq!(map.need(range.clone()).collect::<Vec<_>>(), missing.clone());
        prop_assert_eq!(map.contains(range.clone()), missing.is_empty());
        let mut out = vec![0xEE; range.end.saturating_sub(range.start) as usize];
        match model.read(range.clone()) {
            Some(bytes) => {
                prop_assert_eq!(map.read(range.clone()).unwrap(), bytes.clone());
                prop_assert_eq!(map.chunks(range.clone()).unwrap().copy_to_bytes(bytes.len()), bytes.clone());
                map.read_into(range.start, &mut out).unwrap();
                prop_assert_eq!(out, bytes);
            }
            None => {
                let error = map.read(range.clone()).unwrap_err();
                prop_assert_eq!(&error.first, &missing[0]);
                prop_assert_eq!(&error.requested, &range);
                prop_assert_eq!(map.chunks(range.clone()).unwrap_err(), error.clone());
                prop_assert_eq!(map.read_into(range.start, &mut out).unwrap_err(), error);
                prop_assert!(out.iter().all(|&byte| byte == 0xEE), "a refused read writes nothing");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_a_flag_for_each_byte(
        on_overlap in prop_oneof![Just(OnOverlap::Reject), Just(OnOverlap::Keep), Just(OnOverlap::Replace)],
        base in prop_oneof![Just(0), Just(1 << 40), Just(u64::MAX - SPAN as u64)],
        operations in operations(),
        asked in (0..=SPAN as u64, 0..=SPAN as u64),
    ) {
        let mut map = BlockMap::with_on_overlap(on_overlap);
        let mut model = Model { base, bytes: [None; SPAN] };
        for operation in operations {
            match operation {
                Operation::Write(offset, data) | Operation::WriteBytes(offset, data) if offset + data.len() > SPAN => {
                    let cut = &data[..SPAN - offset];
                    let expected = model.write(base + offset as u64, cut, on_overlap);
                    prop_assert_eq!(map.write(base + offset as u64, cut).is_ok(), expected.is_ok());
                }
                Operation::Write(offset, data) => {
                    let expected = model.write(base + offset as u64, &data, on_overlap);
                    let before = map.clone();
                    let reported = map.write(base + offset as u64, &data);
                    check_report(reported, expected, &before, &map)?;
                }
                Operation::WriteBytes(offset, data) => {
                    let expected = model.write(base + offset as u64, &data, on_overlap);
                    let before = map.clone();
                    let reported = map.write_bytes(base + offset as u64, Bytes::from(data));
                    check_report(reported, expected, &before, &map)?;
                }
                Operation::Remove(start, end) => {
                    let range = base + start as u64..base + end as u64;
                    let held: u64 = model.runs(range.clone(), true).iter().map(|run| run.end - run.start).sum();
                    if start < end {
                        model.bytes[start..end].fill(None);
                    }
                    prop_assert_eq!(map.remove(range), held);
                }
                Operation::Clear => {
                    map.clear();
                    model.bytes.fill(None);
                }
            }
            check_against(&map, &model, base + asked.0..base + asked.1)?;
        }
    }
}

fn check_report(
    reported: Result<svf_core::Written, WriteError>,
    expected: Result<(u64, u64), u64>,
    before: &BlockMap,
    after: &BlockMap,
) -> Result<(), TestCaseError> {
    match (reported, expected) {
        (Ok(written), Ok(expected)) => {
            prop_assert_eq!((written.new, written.overlapping), expected)
        }
        (Err(WriteError::Conflict { offset, held, written }), Err(expected)) => {
            prop_assert_eq!(offset, expected);
            prop_assert_ne!(held, written);
            prop_assert_eq!(before, after, "a refused write changes nothing");
        }
        (reported, expected) => {
            prop_assert!(false, "reported {:?}, expected {:?}", reported, expected)
        }
    }
    Ok(())
}

/// All orders of filling adjacent slots end in one block.
#[test]
fn every_order_of_writing_ends_in_one_block() {
    fn permute(order: &mut Vec<u64>, left: &mut Vec<u64>, orders: &mut usize) {
        if left.is_empty() {
            let mut map = BlockMap::new();
            for &slot in order.iter() {
                map.write(slot * 3, &[slot as u8; 3]).unwrap();
            }
            assert_eq!(map.blocks().collect::<Vec<_>>(), [0..order.len() as u64 * 3], "{order:?}");
            assert_eq!(map.num_blocks(), 1, "{order:?}");
            *orders += 1;
        }
        for index in 0..left.len() {
            let slot = left.remove(index);
            order.push(slot);
            permute(order, left, orders);
            order.pop();
            left.insert(index, slot);
        }
    }
    let mut orders = 0;
    permute(&mut Vec::new(), &mut (0..7).collect(), &mut orders);
    assert_eq!(orders, 5_040);
}

#[test]
fn a_difference_in_any_overlapping_byte_is_found() {
    let held: Vec<u8> = (0..100).collect();
    let mut map = BlockMap::new();
    map.write(1_000, &held[..50]).unwrap();
    map.write(1_050, &held[50..]).unwrap();
    for changed in 0..100 {
        let mut data = held.clone();
        data[changed] ^= 1;
        let error = map.write(1_000, &data).unwrap_err();
        assert!(matches!(error, WriteError::Conflict { offset, .. } if offset == 1_000 + changed as u64), "{error}");
    }
    assert_eq!(map.read(1_000..1_100).unwrap(), held);
}

#[test]
fn a_write_beyond_the_last_offset_is_an_error_and_changes_nothing() {
    let mut map = BlockMap::new();
    map.write(u64::MAX - 4, b"abcd").unwrap();
    let before = map.clone();
    assert_eq!(map.write(u64::MAX, b"x").unwrap_err(), WriteError::OffsetOverflow { offset: u64::MAX, len: 1 });
    assert!(map.write_bytes(u64::MAX - 1, Bytes::from_static(b"xy")).is_err());
    assert_eq!(map, before);
    assert_eq!(map.read(u64::MAX - 4..u64::MAX).unwrap(), "abcd");
    assert_eq!(map.end(), u64::MAX);
    // A read whose end no u64 can name finds the end of what is held missing, and not a wrapped offset.
    let mut out = [0; 8];
    let error = map.read_into(u64::MAX - 4, &mut out).unwrap_err();
    assert_eq!(error.requested, u64::MAX - 4..u64::MAX);
    assert_eq!(map.write(u64::MAX, b"").unwrap(), svf_core::Written::default());
}

#[test]
fn a_read_inside_one_chunk_and_chunks_copy_nothing() {
    let data = Bytes::from(vec![5; 4_096]);
    let mut map = BlockMap::new();
    map.write_bytes(100, data.clone()).unwrap();
    map.write(4_196, b"behind").unwrap();
    assert_eq!(map.num_blocks(), 1);
    assert_eq!(map.read(200..300).unwrap().as_ptr(), data[100..].as_ptr());
    let mut chunks = map.chunks(200..4_200).unwrap();
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks.next().unwrap().as_ptr(), data[100..].as_ptr());
    assert_eq!(chunks.remaining(), 4);
}

#[test]
fn bytes_that_were_handed_out_outlive_the_map() {
    let mut map = BlockMap::new();
    map.write(0, b"one").unwrap();
    map.write(3, b"two").unwrap();
    let read = map.read(0..6).unwrap();
    let chunks = map.chunks(1..5).unwrap();
    assert_eq!(map.remove(0..6), 6);
    drop(map);
    assert_eq!(read, "onetwo");
    assert_eq!(chunks.flatten().collect::<Vec<u8>>(), b"netw");
}

#[test]
fn missing_names_the_first_range_and_what_to_do() {
    let mut map = BlockMap::new();
    map.write(14, b"ABCDEF").unwrap();
    let Missing { requested, first, .. } = map.read(8..32).unwrap_err();
    assert_eq!((requested, first), (8..32, 8..14));
    let message = map.read(16..32).unwrap_err().to_string();
    assert!(message.contains("20..32") && message.contains("16..32") && message.contains("write"), "{message}");
}

#[test]
fn maps_are_equal_by_content_not_by_chunks() {
    let mut one = BlockMap::new();
    one.write(0, b"abcdef").unwrap();
    let mut other = BlockMap::new();
    other.write(3, b"def").unwrap();
    other.write(0, b"abc").unwrap();
    assert_eq!(one, other);
    other.remove(2..3);
    other.write(2, b"X").unwrap();
    assert_ne!(one, other);
}

#[test]
fn what_is_left_of_a_cut_chunk_keeps_its_place_in_the_order_of_use() {
    let mut map = BlockMap::new();
    for offset in [0, 1_000, 2_000, 3_000] {
        map.write(offset, &[1; 100]).unwrap();
    }
    // The order is made, and the oldest goes.
    assert_eq!(map.evict_to(399), 100);
    // Both ends of the next oldest stay, and go next.
    map.remove(1_010..1_090);
    assert_eq!(map.recency(), [1_000..1_010, 1_090..1_100, 2_000..2_100, 3_000..3_100]);
    assert_eq!(map.evict_to(200), 20);
    assert_eq!(map.blocks().collect::<Vec<_>>(), [2_000..2_100, 3_000..3_100]);
}
