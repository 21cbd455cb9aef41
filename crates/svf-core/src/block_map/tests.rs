//! The map against a naive model, with its inner structure checked after every step.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use bytes::{Buf, Bytes};
use proptest::prelude::*;

use super::memory::wiped;
use super::tree::LEAF;
use super::{BlockMap, BlockMapOptions, OnOverlap};
use crate::{NeedOptions, WriteError};

impl BlockMap {
    /// The invariants that no answer shows.
    pub(super) fn check(&self) {
        self.tree.check();
        let mut taken = HashSet::new();
        for chunk in self.tree.cursor(0) {
            assert!(taken.insert(chunk.slot), "no two chunks share a slot");
            let slot = self.slab.get(chunk.slot);
            assert_eq!(slot.bytes.len(), chunk.len as usize);
            assert!(slot.charge() >= slot.bytes.len());
            assert!(slot.stamp() <= self.epoch());
        }
        self.slab.check(&taken);
        assert!(self.memory_size() as u64 >= self.num_bytes());
    }
}

/// Simple, and infeasibly slow for real files: every held byte by itself.
#[derive(Debug, Clone, Default)]
struct Model(BTreeMap<u64, u8>);

impl Model {
    /// What the write must report, or the offset of the first conflict.
    fn write(&mut self, offset: u64, data: &[u8], on_overlap: OnOverlap) -> Result<(u64, u64), u64> {
        let bytes = || data.iter().copied().zip(offset..).map(|(byte, offset)| (offset, byte));
        let held = bytes().filter(|(offset, _)| self.0.contains_key(offset)).count() as u64;
        let conflict = bytes().find(|(offset, byte)| self.0.get(offset).is_some_and(|held| held != byte));
        if let Some((offset, _)) = conflict.filter(|_| on_overlap == OnOverlap::Reject) {
            return Err(offset);
        }
        for (offset, byte) in bytes() {
            let held = self.0.entry(offset).or_insert(byte);
            if on_overlap == OnOverlap::Replace {
                *held = byte;
            }
        }
        Ok((data.len() as u64 - held, held))
    }

    fn remove(&mut self, range: Range<u64>) -> u64 {
        let offsets: Vec<u64> =
            if range.is_empty() { Vec::new() } else { self.0.range(range).map(|(&offset, _)| offset).collect() };
        for offset in &offsets {
            self.0.remove(offset);
        }
        offsets.len() as u64
    }

    fn blocks(&self) -> Vec<Range<u64>> {
        let mut blocks: Vec<Range<u64>> = Vec::new();
        for &offset in self.0.keys() {
            match blocks.last_mut() {
                Some(block) if block.end == offset => block.end += 1,
                _ => blocks.push(offset..offset + 1),
            }
        }
        blocks
    }

    fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut position = range.start;
        let mut missing = Vec::new();
        for block in self.blocks().into_iter().filter(|block| block.end > range.start && block.start < range.end) {
            missing.push(position..block.start);
            position = block.end;
        }
        missing.push(position..range.end);
        missing.retain(|gap| !gap.is_empty());
        missing
    }

    fn read(&self, range: Range<u64>) -> Option<Vec<u8>> {
        range.map(|offset| self.0.get(&offset).copied()).collect()
    }
}

#[derive(Debug, Clone)]
enum Operation {
    /// Whether as `Bytes`; whether a reader holds what lies before it meanwhile.
    Write {
        offset: u64,
        len: usize,
        fill: u8,
        taken: bool,
        shared: bool,
    },
    /// Pieces of one length that touch, forwards or backwards.
    WriteMany {
        offset: u64,
        len: usize,
        count: usize,
        backwards: bool,
    },
    Remove(u64, u64),
    RemoveBlock(u64),
    Read(u64, u64),
    EvictTo(u64),
    Clone,
    Clear,
}

fn operation(span: u64) -> impl Strategy<Value = Operation> {
    let len = prop_oneof![
        6 => 0usize..24,
        3 => 100usize..1_500,
        2 => 2_000usize..20_000,
        1 => 60_000usize..200_000,
    ]
    .prop_map(move |len| len.min(span as usize / 2));
    // Few different fills, so that overlapping writes agree often enough to be accepted.
    let fill = prop_oneof![9 => Just(7u8), 1 => Just(8u8)];
    prop_oneof![
        12 => (0..span, len, fill, any::<bool>(), any::<bool>())
            .prop_map(|(offset, len, fill, taken, shared)| Operation::Write { offset, len, fill, taken, shared }),
        4 => (0..span, 1usize..40, 1usize..200, any::<bool>())
            .prop_map(|(offset, len, count, backwards)| Operation::WriteMany { offset, len, count, backwards }),
        4 => (0..=span, 0..=span).prop_map(|(start, end)| Operation::Remove(start, end)),
        4 => (0..=span, 0..64u64).prop_map(|(start, len)| Operation::Remove(start, start + len)),
        1 => (0..=span).prop_map(Operation::RemoveBlock),
        3 => (0..=span, 0..64u64).prop_map(|(start, len)| Operation::Read(start, start + len)),
        2 => (0..=span).prop_map(Operation::EvictTo),
        1 => Just(Operation::Clone),
        1 => Just(Operation::Clear),
    ]
}

/// A span of the file, its first offset, and what is done in it.
fn cases() -> impl Strategy<Value = (u64, u64, Vec<Operation>)> {
    // Large spans are slow in the model, so they are few and get few operations.
    let span = prop_oneof![50 => Just((64u64, 32usize)), 25 => Just((2_000, 32)), 1 => Just((250_000, 8))];
    span.prop_flat_map(|(span, count)| {
        let base = prop_oneof![Just(0), Just(1 << 40), Just(u64::MAX - span)];
        (Just(span), base, prop::collection::vec(operation(span), 0..count))
    })
}

fn options() -> impl Strategy<Value = BlockMapOptions> {
    let on_overlap = prop_oneof![Just(OnOverlap::Reject), Just(OnOverlap::Keep), Just(OnOverlap::Replace)];
    let max_bytes = prop_oneof![3 => Just(None), 1 => (0u64..5_000).prop_map(Some)];
    (on_overlap, prop::bool::weighted(0.3), max_bytes).prop_map(|(on_overlap, scrub, max_bytes)| BlockMapOptions {
        on_overlap,
        scrub,
        max_bytes,
    })
}

struct Pair {
    map: BlockMap,
    model: Model,
    end: u64,
    /// What was handed out, with what it must be for ever.
    handed_out: Vec<(Bytes, Vec<u8>)>,
}

impl Pair {
    fn write(&mut self, offset: u64, len: usize, fill: u8, taken: bool) -> Result<(), TestCaseError> {
        let len = len.min((self.end - offset) as usize);
        // What is written depends on the offset, so that bytes in the wrong place show.
        let data: Vec<u8> = (offset..).take(len).map(|offset| fill.wrapping_add((offset % 251) as u8)).collect();
        let before = self.map.clone();
        let range = offset..offset + len as u64;
        let options = self.map.options();
        let expected = self.model.write(offset, &data, options.on_overlap);
        let address = data.as_ptr();
        let reported =
            if taken { self.map.write_bytes(offset, Bytes::from(data)) } else { self.map.write(offset, &data) };
        match (reported, expected) {
            (Ok(written), Ok(expected)) => prop_assert_eq!((written.new, written.overlapping), expected),
            (Err(WriteError::Conflict { offset, .. }), Err(expected)) => {
                prop_assert_eq!(offset, expected);
                prop_assert_eq!(&self.map, &before, "a refused write changes nothing");
                prop_assert_eq!(self.map.recency(), before.recency());
            }
            (reported, expected) => prop_assert!(false, "{:?}, expected {:?}", reported, expected),
        }
        if taken && before.is_empty() && options.max_bytes.is_none() && !range.is_empty() {
            let is_taken = self.map.read(range.clone()).is_ok_and(|read| read.as_ptr() == address);
            prop_assert_eq!(is_taken, len >= 1 << 10 && !options.scrub, "long bytes are taken over, short ones copied");
        }
        if let Some(limit) = options.max_bytes {
            let total = self.model.0.len() as u64;
            prop_assert!(self.map.num_bytes() <= limit.max(before.num_bytes()));
            prop_assert!(total <= limit || self.map.num_bytes() <= limit);
            let kept = range.start.max(range.end.saturating_sub(limit))..range.end;
            prop_assert!(
                self.map.contains(kept) || self.map == before,
                "what was just written stays, but for what exceeds the limit by itself"
            );
            self.forget_evicted()?;
        }
        Ok(())
    }

    /// Takes over what an eviction has dropped.
    fn forget_evicted(&mut self) -> Result<(), TestCaseError> {
        let map = &self.map;
        self.model.0.retain(|&offset, _| map.contains(offset..offset + 1));
        Ok(())
    }

    fn check(&self, asked: Range<u64>) -> Result<(), TestCaseError> {
        let Self { map, model, .. } = self;
        map.check();
        let blocks = model.blocks();
        prop_assert_eq!(map.blocks().collect::<Vec<_>>(), blocks.clone(), "sorted, disjoint, never touching");
        prop_assert_eq!(map.num_blocks(), blocks.len());
        prop_assert_eq!(map.num_bytes(), model.0.len() as u64);
        prop_assert_eq!(map.end(), blocks.last().map_or(0, |block| block.end));
        for block in &blocks {
            for offset in [block.start, block.end - 1] {
                prop_assert_eq!(map.block_at(offset), Some(block.clone()));
            }
            prop_assert_eq!(map.block_at(block.end), None);
            prop_assert_eq!(map.read(block.clone()).ok(), model.read(block.clone()).map(Bytes::from));
            prop_assert!(
                !map.contains(block.start..block.end + u64::from(block.end < u64::MAX)) || block.end == u64::MAX
            );
        }
        let missing = model.missing(asked.clone());
        prop_assert_eq!(map.need(asked.clone()).collect::<Vec<_>>(), missing.clone());
        prop_assert_eq!(map.contains(asked.clone()), missing.is_empty());
        if asked.is_empty() || missing.is_empty() {
            let expected = model.read(asked.clone()).unwrap_or_default();
            prop_assert_eq!(map.chunks(asked.clone()).unwrap().copy_to_bytes(expected.len()), expected.clone());
            let mut out = vec![0xEE; expected.len()];
            map.read_into(asked.start, &mut out).unwrap();
            prop_assert_eq!(out, expected);
        } else {
            prop_assert_eq!(&map.read(asked.clone()).unwrap_err().first, &missing[0]);
            prop_assert_eq!(&map.chunks(asked.clone()).unwrap_err().first, &missing[0]);
        }
        let mut shown = map.recency();
        prop_assert!(shown.windows(2).all(|pair| pair[0].end != pair[1].start || pair[0] != pair[1]));
        shown.sort_by_key(|range| range.start);
        prop_assert!(shown.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert_eq!(shown.iter().map(|range| range.end - range.start).sum::<u64>(), map.num_bytes());
        for (bytes, expected) in &self.handed_out {
            prop_assert_eq!(bytes, expected, "what was handed out stays");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_operation_agrees_with_the_model(
        options in options(),
        (span, base, operations) in cases(),
        asked in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let end = base + span;
        let mut pair =
            Pair { map: BlockMap::with_options(options), model: Model::default(), end, handed_out: Vec::new() };
        for operation in operations {
            match operation {
                Operation::Write { offset, len, fill, taken, shared } => {
                    let offset = base + offset;
                    let before = offset.saturating_sub(8)..offset;
                    let reader = shared.then(|| pair.map.chunks(before));
                    pair.write(offset, len, fill, taken)?;
                    drop(reader);
                }
                Operation::WriteMany { offset, len, count, backwards } => {
                    for index in 0..count {
                        let index = if backwards { count - 1 - index } else { index };
                        let offset = (base + offset).saturating_add((index * len) as u64);
                        if offset < end {
                            pair.write(offset, len, 7, false)?;
                        }
                    }
                }
                Operation::Remove(start, stop) => {
                    let range = base + start..(base + start).saturating_add(stop.saturating_sub(start));
                    prop_assert_eq!(pair.map.remove(range.clone()), pair.model.remove(range));
                }
                Operation::RemoveBlock(offset) => {
                    let offset = base + offset;
                    let block = pair.model.blocks().into_iter().find(|block| block.contains(&offset));
                    prop_assert_eq!(pair.map.remove_block(offset), block.clone());
                    pair.model.remove(block.unwrap_or_default());
                }
                Operation::Read(start, stop) => {
                    let range = base + start..base.saturating_add(stop).min(end).max(base + start);
                    if let Ok(bytes) = pair.map.read(range.clone()) {
                        let expected = pair.model.read(range).unwrap();
                        prop_assert_eq!(&bytes, &expected);
                        pair.handed_out.push((bytes, expected));
                    }
                }
                Operation::EvictTo(bytes) => {
                    let order = pair.map.recency();
                    let held = pair.map.num_bytes();
                    let dropped = pair.map.evict_to(bytes);
                    prop_assert_eq!(pair.map.num_bytes(), held - dropped);
                    prop_assert!(pair.map.num_bytes() <= bytes);
                    // What is left is the end of the order, but for a range of one stamp that lost some chunks.
                    let left = order.iter().position(|range| range.clone().any(|offset| pair.map.contains(offset..offset + 1)));
                    if let Some(first) = left {
                        for range in order.iter().skip(first + 1) {
                            prop_assert!(pair.map.contains(range.clone()), "the oldest goes first");
                        }
                    }
                    pair.forget_evicted()?;
                }
                Operation::Clone => {
                    let copy = pair.map.clone();
                    prop_assert_eq!(&copy, &pair.map);
                    prop_assert_eq!(copy.recency(), pair.map.recency());
                    pair.map = copy;
                }
                Operation::Clear => {
                    pair.map.clear();
                    pair.model.0.clear();
                }
            }
            let (one, other) = (base + asked.0.index(span as usize) as u64, base + asked.1.index(span as usize) as u64);
            pair.check(one.min(other)..one.max(other))?;
        }
    }

    /// Chunks that touch nothing, so that the tree gets deep; then most of them go again.
    #[test]
    fn the_tree_keeps_its_shape_through_growth_and_removal(
        seed in any::<u64>(),
        count in 1usize..4_000,
        order in 0..3,
        kept in 0usize..50,
    ) {
        let mut map = BlockMap::new();
        let mut offsets: Vec<u64> = (0..count as u64).map(|index| index * 3).collect();
        match order {
            0 => {}
            1 => offsets.reverse(),
            _ => shuffle(&mut offsets, seed),
        }
        for &offset in &offsets {
            map.write(offset, &[1, 2]).unwrap();
        }
        map.check();
        prop_assert_eq!(map.num_blocks(), count);
        shuffle(&mut offsets, seed ^ 1);
        for (index, &offset) in offsets.iter().enumerate().skip(kept) {
            prop_assert_eq!(map.remove(offset..offset + 2), 2);
            if index % 97 == 0 {
                map.check();
            }
        }
        map.check();
        prop_assert_eq!(map.num_blocks(), count.min(kept));
    }
}

fn shuffle(values: &mut [u64], seed: u64) {
    let mut state = seed | 1;
    for index in (1..values.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        values.swap(index, (state >> 33) as usize % (index + 1));
    }
}

/// What svfsc gets wrong in 48 % of all orders of eight.
#[test]
fn every_permutation_of_up_to_eight_adjacent_slots_ends_in_one_block() {
    fn permute(slots: &mut [u64], fixed: usize, visit: &mut impl FnMut(&[u64])) {
        if fixed == slots.len() {
            return visit(slots);
        }
        for index in fixed..slots.len() {
            slots.swap(fixed, index);
            permute(slots, fixed + 1, visit);
            slots.swap(fixed, index);
        }
    }
    for count in 1..=8 {
        // Longer pieces are not gathered into one chunk.
        for len in [3, 600] {
            let mut slots: Vec<u64> = (0..count).collect();
            permute(&mut slots, 0, &mut |order| {
                let mut map = BlockMap::new();
                for &slot in order {
                    map.write(slot * len, &[slot as u8; 600][..len as usize]).unwrap();
                }
                assert_eq!(map.num_blocks(), 1, "{order:?}");
                assert!(map.blocks().eq([0..count * len]), "{order:?}");
                assert!(map.contains(0..count * len) && map.need(0..count * len).next().is_none());
            });
        }
    }
}

#[test]
fn ten_thousand_orders_of_64_slots_end_in_one_block() {
    let mut slots: Vec<u64> = (0..64).collect();
    for seed in 0..10_000 {
        shuffle(&mut slots, seed);
        let mut map = BlockMap::new();
        let len = 1 + seed % 700;
        for &slot in &slots {
            map.write(slot * len, &[slot as u8; 700][..len as usize]).unwrap();
        }
        assert!(map.blocks().eq([0..64 * len]), "{slots:?}");
        assert_eq!(map.num_blocks(), 1);
        if seed % 100 == 0 {
            map.check();
            assert_eq!(map.read(0..64 * len).unwrap(), (0..64 * len).map(|at| (at / len) as u8).collect::<Vec<_>>());
        }
    }
}

#[test]
fn small_writes_keep_no_allocation_for_each() {
    for backwards in [false, true] {
        let mut map = BlockMap::new();
        for index in 0..20_000u64 {
            let index = if backwards { 19_999 - index } else { index };
            map.write(index * 4, &(index as u32).to_le_bytes()).unwrap();
        }
        map.check();
        assert_eq!(map.num_blocks(), 1);
        assert!(map.num_chunks() <= if backwards { 80_000 / 256 } else { 20 }, "{}", map.num_chunks());
        let expected: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(map.read(0..80_000).unwrap(), expected);
    }
    // While somebody holds all that was read, chunks cannot grow in place.
    let mut map = BlockMap::new();
    let mut held = Vec::new();
    for index in 0..2_000u64 {
        map.write(index * 4, &(index as u32).to_le_bytes()).unwrap();
        held.push(map.read(index * 4..index * 4 + 4).unwrap());
    }
    map.check();
    assert!(map.num_chunks() <= 8_000 / 256, "{}", map.num_chunks());
    assert!(held.iter().zip(0u32..).all(|(bytes, index)| bytes == &index.to_le_bytes()[..]));
}

#[test]
fn reads_in_a_growing_chunk_copy_nothing() {
    let mut map = BlockMap::new();
    for index in 0..100 {
        map.write(index * 10, b"0123456789").unwrap();
    }
    let (one, other) = (map.read(900..910).unwrap(), map.read(905..915).unwrap());
    assert_eq!(one[5..].as_ptr(), other.as_ptr());
}

#[test]
fn small_bytes_do_not_keep_a_large_parent_alive() {
    let parent = Bytes::from(vec![1; 1 << 20]);
    let mut map = BlockMap::new();
    map.write_bytes(0, parent.slice(5..505)).unwrap();
    assert!(parent.is_unique());
    // A longer one is seen to waste memory only if nobody else has it.
    let part = parent.slice(..4_096);
    drop(parent);
    map.write_bytes(10_000, part).unwrap();
    assert!(map.memory_size() < 20_000, "{}", map.memory_size());
    // What remains of a large chunk does not keep all of it either.
    map.write_bytes(1 << 20, Bytes::from(vec![2; 1 << 20])).unwrap();
    assert!(map.memory_size() > 1 << 20);
    map.remove((1 << 20) + 1_000..1 << 21);
    map.check();
    assert!(map.memory_size() < 20_000, "{}", map.memory_size());
    assert_eq!(map.read(1 << 20..(1 << 20) + 1_000).unwrap(), vec![2; 1_000]);
}

#[test]
fn need_is_greedy_only_beyond_what_was_asked_for() {
    let mut map = BlockMap::new();
    for offset in [8, 16, 32] {
        map.write(offset, b"held").unwrap();
    }
    let greedy = |bytes| NeedOptions::new().greedy(bytes);
    assert_eq!(map.need_requests(8..48, &greedy(64)), [12..76]);
    assert_eq!(map.need_requests(8..48, &greedy(41)), [12..53]);
    assert_eq!(map.need_requests(8..48, &greedy(40)), [12..16, 20..32, 36..48]);
    assert_eq!(map.need_requests(8..12, &greedy(64)), [], "only what is missing is asked for");
    // Many requests at once: always, and merged where they touch or overlap, greedy or not.
    assert_eq!(map.need_many([8..48], &greedy(8)), [12..32, 36..48]);
    assert_eq!(map.need_many([40..44, 34..40, 0..9, 44..48], &greedy(0)), [0..8, 36..48]);
    assert_eq!(map.need_many([50..52, 8..20, 60..60], &greedy(10)), [12..22, 50..60]);
    assert_eq!(map.need_many([], &greedy(64)), []);
}

#[test]
fn removing_a_block_takes_all_of_it_and_nothing_else() {
    let mut map = BlockMap::new();
    for offset in [0, 10, 20, 40] {
        map.write_bytes(offset * 1_000, Bytes::from(vec![offset as u8; 10_000])).unwrap();
    }
    assert_eq!(map.remove_block(35_000), None);
    assert_eq!(map.remove_block(15_000), Some(0..30_000));
    assert!(map.blocks().eq([40_000..50_000]));
    assert_eq!(map.remove_block(49_999), Some(40_000..50_000));
    assert_eq!((map.remove_block(0), map.num_chunks()), (None, 0));
    map.check();
}

#[test]
fn what_was_used_last_is_evicted_last() {
    let mut map = BlockMap::new();
    for index in 0..1_000 {
        map.write(index * 100, &[index as u8; 50]).unwrap();
    }
    assert_eq!(map.oldest_epoch(), Some(1));
    assert_eq!(map.evict_to(map.num_bytes() - 75), 100, "whole chunks go");
    assert_eq!(map.recency()[0], 200..250);
    // Used through a shared reference, by either kind of read, and by writing it again.
    map.read(210..220).unwrap();
    map.advance_epoch();
    map.read_into(300, &mut [0; 50]).unwrap();
    map.advance_epoch();
    drop(map.chunks(400..410).unwrap());
    map.write(500, &[5; 50]).unwrap();
    map.touch(600..601);
    let order = map.recency();
    assert_eq!(order[0], 700..750);
    assert_eq!(order[order.len() - 5..], [200..250, 300..350, 400..450, 500..550, 600..650]);
    assert_eq!(map.evict_to(250), 998 * 50 - 250);
    assert!(map.blocks().eq([200..250, 300..350, 400..450, 500..550, 600..650]));
    assert_eq!(map.evict_to(100), 150);
    assert!(map.blocks().eq([500..550, 600..650]));
    assert_eq!(map.evict_to(0), 100);
    assert_eq!((map.is_empty(), map.oldest_epoch()), (true, None));
    map.check();
}

/// The last of all chunks, which has a way of its own, and one before others.
#[test]
fn a_chunk_that_grows_has_been_used() {
    for (grows, other) in [(5_000, 0), (0, 5_000)] {
        let mut map = BlockMap::new();
        // The second write makes room behind it for the third.
        map.write(grows, &[1; 10]).unwrap();
        map.write(grows + 10, &[2; 10]).unwrap();
        map.write(other, &[3; 10]).unwrap();
        map.write(grows + 20, &[4; 4]).unwrap();
        assert_eq!((map.num_chunks(), map.recency()), (2, vec![other..other + 10, grows..grows + 24]));
        assert_eq!(map.evict_to(30), 10);
        assert!(map.blocks().eq([grows..grows + 24]));
        map.check();
    }
}

#[test]
fn a_limit_evicts_by_itself_and_never_what_is_being_written() {
    let mut map = BlockMap::with_options(BlockMapOptions::new().max_bytes(1_000));
    map.write(0, &[1; 400]).unwrap();
    let kept = map.read(0..400).unwrap();
    map.write(1_000, &[2; 400]).unwrap();
    map.read(0..1).unwrap();
    map.write(2_000, &[3; 400]).unwrap();
    assert!(map.blocks().eq([0..400, 2_000..2_400]), "1000..1400 was not used for longest");
    // A chunk that the write joins gives up its bytes outside of the write before the write does.
    map.write(2_300, &[3; 950]).unwrap();
    assert!(map.blocks().eq([2_300..3_250]));
    // The end of what is too long by itself is held.
    map.write(5_000, &[4; 3_000]).unwrap();
    assert!(map.blocks().eq([7_000..8_000]));
    assert_eq!(kept, vec![1; 400]);
    map.check();
}

#[test]
fn a_scrubbing_map_wipes_whatever_it_lets_go_of() {
    let scrubbing = || BlockMap::with_options(BlockMapOptions::new().scrub(true).on_overlap(OnOverlap::Replace));
    let secret = [0x5E; 2_000];
    let filled = || {
        let mut map = scrubbing();
        map.write(0, &secret).unwrap();
        map.write_bytes(10_000, Bytes::copy_from_slice(&secret)).unwrap();
        wiped::take();
        map
    };
    let mut map = filled();
    map.remove(0..1_000);
    assert_eq!(wiped::take(), 2_000, "what remains was copied, and all of the old memory wiped");
    map.remove(0..2_000);
    assert_eq!(wiped::take(), 1_000);
    map.write(10_000, &[1; 2_000]).unwrap();
    assert_eq!(wiped::take(), 2_000, "replaced");
    map.write(20_000, &[1; 2_000]).unwrap();
    map.evict_to(2_000);
    assert_eq!(wiped::take(), 2_000, "evicted");
    map.clear();
    assert_eq!(wiped::take(), 2_000, "cleared");
    drop(filled());
    assert_eq!(wiped::take(), 4_000, "dropped");

    // Gathering leaves nothing behind, and neither do reads that copy.
    let mut map = scrubbing();
    for offset in 0..1_000 {
        map.write(offset, &[7]).unwrap();
    }
    let read = map.read(0..1_000).unwrap();
    wiped::take();
    drop(read);
    assert_eq!(wiped::take(), 1_000);
    // Who still reads, reads on.
    let mut map = filled();
    let reader = map.read(10..20).unwrap();
    map.clear();
    assert_eq!((wiped::take(), &reader[..]), (2_000, &secret[..10]));
    drop(reader);
    assert_eq!(wiped::take(), 2_000);
}

#[test]
fn the_edges_of_the_offsets_hold() {
    let mut map = BlockMap::new();
    map.write(0, b"a").unwrap();
    map.write(u64::MAX - 1, b"z").unwrap();
    assert!(map.blocks().eq([0..1, u64::MAX - 1..u64::MAX]));
    assert!(map.need(0..u64::MAX).eq([1..u64::MAX - 1]));
    assert_eq!(map.block_at(u64::MAX), None);
    assert_eq!(map.block_at(u64::MAX - 1), Some(u64::MAX - 1..u64::MAX));
    #[expect(clippy::reversed_empty_ranges, reason = "a reversed range is empty")]
    {
        assert!(map.contains(9..3) && map.need(9..3).next().is_none() && map.read(9..3).unwrap().is_empty());
        assert_eq!((map.remove(9..0), map.chunks(9..3).unwrap().count()), (0, 0));
        assert!(map.need_requests(9..3, &NeedOptions::new().greedy(5)).is_empty());
        map.touch(9..3);
    }
    assert!(map.read_into(u64::MAX, &mut []).is_ok());
    map.write(u64::MAX, &[]).unwrap();
    assert_eq!(map.remove(1..u64::MAX), 1);
    assert_eq!(map.remove_block(0), Some(0..1));
    map.check();
}

/// Beside this the allocator takes 16 bytes for each block of 64.
#[test]
fn a_small_block_costs_less_than_eighty_bytes_beyond_its_data() {
    let mut offsets: Vec<u64> = (0..100_000).map(|index| index * 128).collect();
    for _order in ["ascending", "shuffled"] {
        let mut map = BlockMap::new();
        for &offset in &offsets {
            map.write(offset, &[0; 64]).unwrap();
        }
        let beyond = (map.memory_size() as u64 - map.num_bytes()) / offsets.len() as u64;
        assert!(beyond <= 80, "{beyond}");
        shuffle(&mut offsets, 1);
    }
}

/// Runs are found by whole leaves and subtrees, so this takes no time at all.
#[test]
fn long_runs_are_seen_through() {
    let mut map = BlockMap::new();
    let count = (LEAF * LEAF) as u64;
    let chunk = Bytes::from(vec![0; 1 << 10]);
    for index in 0..count {
        map.write_bytes(index << 10, chunk.clone()).unwrap();
    }
    map.check();
    let end = count << 10;
    for _ in 0..10_000 {
        assert!(map.contains(1..end) && !map.contains(1..end + 1));
        assert_eq!(map.block_at(end / 2), Some(0..end));
        assert!(map.need(1..end + 5).eq([end..end + 5]));
    }
}
