//! A state machine drives `BlockMap`, `RangeSet` and `SparseVirtualFile` side by side, and after every step each of
//! them against a naive model, which holds every byte by itself.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p svf-core --test state_machine` for a long run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Buf, Bytes};
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use svf_core::{
    BlockMap, BlockMapOptions, NeedOptions, OnOverlap, RangeSet, SparseVirtualFile, SparseVirtualFileOptions,
    WriteError,
};

/// So many offsets are in use, from a base on that may lie at either end of all offsets.
const SPAN: u64 = 200;

#[derive(Debug, Clone)]
struct Setting {
    base: u64,
    options: BlockMapOptions,
}

/// Offsets are relative to the base.
#[derive(Debug, Clone)]
enum Step {
    Write { at: u64, len: u64, version: u8, taken: bool },
    Read { at: u64, len: u64 },
    ReadThrough { at: u64, len: u64, greedy: u64, fails: bool },
    Touch { at: u64, len: u64 },
    Remove { at: u64, to: u64 },
    RemoveBlock { at: u64 },
    EvictTo(u64),
    SetMaxBytes(Option<u64>),
    AdvanceEpoch,
    Clear,
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Setting;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Setting> {
        let base = prop_oneof![Just(0), Just(1 << 40), Just(u64::MAX - SPAN)];
        let on_overlap = prop_oneof![Just(OnOverlap::Reject), Just(OnOverlap::Keep), Just(OnOverlap::Replace)];
        let max_bytes = prop_oneof![2 => Just(None), 1 => (0..SPAN).prop_map(Some)];
        (base, on_overlap, max_bytes, prop::bool::weighted(0.2))
            .prop_map(|(base, on_overlap, max_bytes, scrub)| {
                let mut options = BlockMapOptions::new().on_overlap(on_overlap).scrub(scrub);
                options.max_bytes = max_bytes;
                Setting { base, options }
            })
            .boxed()
    }

    fn transitions(_: &Setting) -> BoxedStrategy<Step> {
        let piece = || (0..SPAN, prop_oneof![4 => 0u64..12, 1 => 0u64..120]);
        // Two versions of the file, the first much more often, so that overlapping writes mostly agree.
        let version = prop_oneof![12 => Just(0u8), 1 => Just(1)];
        prop_oneof![
            8 => (piece(), version, any::<bool>())
                .prop_map(|((at, len), version, taken)| Step::Write { at, len, version, taken }),
            3 => piece().prop_map(|(at, len)| Step::Read { at, len }),
            3 => (piece(), 0u64..60, prop::bool::weighted(0.1))
                .prop_map(|((at, len), greedy, fails)| Step::ReadThrough { at, len, greedy, fails }),
            1 => piece().prop_map(|(at, len)| Step::Touch { at, len }),
            3 => (0..=SPAN, 0..=SPAN).prop_map(|(at, to)| Step::Remove { at, to }),
            2 => piece().prop_map(|(at, len)| Step::Remove { at, to: (at + len).min(SPAN) }),
            1 => (0..SPAN).prop_map(|at| Step::RemoveBlock { at }),
            1 => (0..SPAN).prop_map(Step::EvictTo),
            1 => prop::option::of(0..SPAN).prop_map(Step::SetMaxBytes),
            1 => Just(Step::AdvanceEpoch),
            1 => Just(Step::Clear),
        ]
        .boxed()
    }

    fn apply(state: Setting, _: &Step) -> Setting {
        state
    }
}

/// The three, and what they must hold.
struct System {
    base: u64,
    map: BlockMap,
    set: RangeSet,
    file: SparseVirtualFile,
    model: BTreeMap<u64, u8>,
    /// What was handed out, with what it must be for ever.
    handed_out: Vec<(Bytes, Vec<u8>)>,
    reads: u64,
}

/// The byte of a version of the file.
fn byte(offset: u64, version: u8) -> u8 {
    (offset % 251) as u8 ^ (version << 7)
}

impl System {
    fn range(&self, at: u64, len: u64) -> Range<u64> {
        self.base + at..self.base + (at + len).min(SPAN)
    }

    fn held(&self, range: Range<u64>) -> Vec<(u64, u8)> {
        if range.is_empty() { Vec::new() } else { self.model.range(range).map(|(&at, &byte)| (at, byte)).collect() }
    }

    fn write(&mut self, range: Range<u64>, version: u8, taken: bool) {
        let data: Vec<u8> = range.clone().map(|offset| byte(offset, version)).collect();
        let policy = self.map.on_overlap();
        let held = self.held(range.clone());
        let conflict = held.iter().find(|&&(offset, held)| held != byte(offset, version));
        let before = (self.map.clone(), self.map.recency());
        let results = if taken {
            let data = Bytes::from(data);
            [self.map.write_bytes(range.start, data.clone()), self.file.write_bytes(range.start, data)]
        } else {
            [self.map.write(range.start, &data), self.file.write(range.start, &data)]
        };
        assert_eq!(results[0], results[1]);
        match (&results[0], conflict.filter(|_| policy == OnOverlap::Reject)) {
            (Err(WriteError::Conflict { offset, .. }), Some(&(expected, _))) => {
                assert_eq!(*offset, expected, "the first byte that differs");
                assert_eq!((&self.map, self.map.recency()), (&before.0, before.1), "nothing has changed");
            }
            (Ok(written), None) => {
                let len = range.end - range.start;
                assert_eq!((written.new, written.overlapping), (len - held.len() as u64, held.len() as u64));
                for offset in range {
                    let held = self.model.entry(offset).or_insert(byte(offset, version));
                    if policy == OnOverlap::Replace {
                        *held = byte(offset, version);
                    }
                }
                self.evicted();
            }
            (result, conflict) => panic!("{result:?}, expected {conflict:?}"),
        }
    }

    /// The limit may have dropped something: the same of both, nothing that was not held, and no more than it had to.
    fn evicted(&mut self) {
        if let Some(limit) = self.map.options().max_bytes {
            assert!(self.map.num_bytes() <= limit);
            assert!(self.map.num_bytes() == self.model.len() as u64 || limit < self.model.len() as u64);
        }
        self.forget_evicted();
    }

    fn forget_evicted(&mut self) {
        let map = &self.map;
        self.model.retain(|&offset, _| map.contains(offset..offset + 1));
    }

    fn read(&mut self, range: Range<u64>) {
        let held = self.held(range.clone());
        let is_held = held.len() as u64 == range.end - range.start;
        let bytes = self.file.read(range.clone());
        assert_eq!(bytes, self.map.read(range.clone()));
        assert_eq!(bytes.is_ok(), is_held);
        match bytes {
            Ok(bytes) => {
                self.reads += 1;
                let expected: Vec<u8> = held.into_iter().map(|(_, byte)| byte).collect();
                assert_eq!(bytes, expected);
                if self.handed_out.len() < 16 {
                    self.handed_out.push((bytes, expected));
                }
            }
            Err(missing) => {
                let first = range.clone().find(|offset| !self.model.contains_key(offset));
                assert_eq!((missing.requested, Some(missing.first.start)), (range, first));
            }
        }
    }

    /// The map does by hand what the file does by itself.
    fn read_through(&mut self, range: Range<u64>, greedy: u64, fails: bool) {
        let end = self.base + SPAN;
        let options = NeedOptions::new().greedy(greedy).end_of_file(end);
        let requests = self.map.need_requests(range.clone(), &options);
        let mut asked = Vec::new();
        let result = self.file.read_through(range.clone(), &options, |range| {
            asked.push(range.clone());
            if fails { Err("the origin is away") } else { Ok(range.map(|at| byte(at, 0)).collect::<Vec<_>>()) }
        });
        let expected: Vec<u8> =
            range.clone().map(|at| self.model.get(&at).copied().unwrap_or_else(|| byte(at, 0))).collect();
        if requests.is_empty() {
            self.reads += 1;
            assert_eq!((result.unwrap(), asked), (expected.into(), vec![]));
            self.map.read(range).unwrap();
        } else if fails {
            assert!(result.is_err());
            assert_eq!(asked, requests[..1]);
            self.file.touch(range.clone());
            self.map.touch(range);
        } else {
            // With a greedy request what lies behind a gap may be asked for again, and may differ.
            let held_differs =
                |range: &Range<u64>| self.held(range.clone()).iter().any(|&(at, held)| held != byte(at, 0));
            let conflict = self.map.on_overlap() == OnOverlap::Reject && requests.iter().any(held_differs);
            assert_eq!(result.is_err(), conflict);
            let replaced = self.map.on_overlap() == OnOverlap::Replace && requests.iter().any(held_differs);
            if let Ok(bytes) = result {
                self.reads += 1;
                assert_eq!(asked, requests);
                assert!(replaced || bytes == expected);
            }
            self.map.touch(range.clone());
            for request in requests {
                let data: Vec<u8> = request.clone().map(|at| byte(at, 0)).collect();
                if self.map.write_bytes(request.start, data.into()).is_err() {
                    break;
                }
            }
            // Whichever chunks were used when: from here on the same.
            self.resynchronise();
        }
    }

    fn resynchronise(&mut self) {
        assert_eq!(self.map, self.file.snapshot());
        self.map = self.file.snapshot();
        // By another one, since reading it is a use.
        let held = self.file.snapshot();
        let bytes_of = |block: Range<u64>| block.clone().zip(held.read(block).unwrap()).collect::<Vec<_>>();
        self.model = held.blocks().flat_map(bytes_of).collect();
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = System;
    type Reference = Self;

    fn init_test(setting: &Setting) -> System {
        System {
            base: setting.base,
            map: BlockMap::with_options(setting.options),
            set: RangeSet::new(),
            file: SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::from(setting.options)),
            model: BTreeMap::new(),
            handed_out: Vec::new(),
            reads: 0,
        }
    }

    fn apply(mut system: System, _: &Setting, step: Step) -> System {
        let before = system.model.clone();
        match step {
            Step::Write { at, len, version, taken } => system.write(system.range(at, len), version, taken),
            Step::Read { at, len } => system.read(system.range(at, len)),
            Step::ReadThrough { at, len, greedy, fails } => {
                system.read_through(system.range(at, len), greedy, fails);
            }
            Step::Touch { at, len } => {
                system.map.touch(system.range(at, len));
                system.file.touch(system.range(at, len));
            }
            Step::Remove { at, to } => {
                let range = system.base + at..system.base + to;
                let held = system.held(range.clone());
                assert_eq!(system.map.remove(range.clone()), held.len() as u64);
                assert_eq!(system.file.remove(range.clone()), held.len() as u64);
                system.model.retain(|offset, _| !range.contains(offset));
            }
            Step::RemoveBlock { at } => {
                let block = system.map.block_at(system.base + at);
                assert_eq!(system.map.remove_block(system.base + at), block);
                assert_eq!(system.file.remove_block(system.base + at), block);
                system.model.retain(|offset, _| !block.as_ref().is_some_and(|block| block.contains(offset)));
            }
            Step::EvictTo(bytes) => {
                // Whole pieces go, those used least recently, until the next one need not.
                let order = system.map.recency();
                let dropped = system.map.evict_to(bytes);
                assert_eq!(system.file.evict_to(bytes), dropped);
                assert!(system.map.num_bytes() <= bytes);
                system.forget_evicted();
                assert_eq!(dropped as usize, before.len() - system.model.len());
                // What is left is the more recent end of the order.
                let is_left = |range: &Range<u64>| system.map.need(range.clone()).next().is_none();
                let first_left = order.iter().position(is_left).unwrap_or(order.len());
                assert!(order.iter().skip(first_left).all(is_left), "{order:?}");
            }
            Step::SetMaxBytes(max_bytes) => {
                assert_eq!(system.map.set_max_bytes(max_bytes), system.file.set_max_bytes(max_bytes));
                system.evicted();
            }
            Step::AdvanceEpoch => {
                system.map.advance_epoch();
                system.file.advance_epoch();
            }
            Step::Clear => {
                system.map.clear();
                system.file.clear();
                system.model.clear();
            }
        }
        // The set follows what the model has gained and lost.
        for (&offset, _) in before.iter().filter(|(offset, _)| !system.model.contains_key(offset)) {
            assert_eq!(system.set.remove(offset..offset + 1), 1);
        }
        for (&offset, _) in system.model.iter().rev().filter(|(offset, _)| !before.contains_key(offset)) {
            assert_eq!(system.set.insert(offset..offset + 1), 1);
        }
        system
    }

    fn check_invariants(system: &System, _: &Setting) {
        let System { base, map, set, file, model, .. } = system;
        let mut blocks: Vec<Range<u64>> = Vec::new();
        for &offset in model.keys() {
            match blocks.last_mut() {
                Some(block) if block.end == offset => block.end += 1,
                _ => blocks.push(offset..offset + 1),
            }
        }
        let whole = *base..*base + SPAN;
        // Sorted, disjoint, never touching.
        assert_eq!(map.blocks().collect::<Vec<_>>(), blocks);
        assert_eq!(set.iter().collect::<Vec<_>>(), blocks);
        assert_eq!(file.blocks(), blocks);
        // Counts are sums.
        let (num_bytes, end) = (model.len() as u64, blocks.last().map_or(0, |block| block.end));
        assert_eq!((map.num_bytes(), map.num_blocks(), map.end()), (num_bytes, blocks.len(), end));
        assert_eq!((set.num_bytes(), set.num_ranges(), set.end()), (num_bytes, blocks.len(), end));
        assert_eq!((file.num_bytes(), file.num_blocks(), file.end()), (num_bytes, blocks.len(), end));
        assert_eq!(file.recency(), map.recency());
        // What is missing, of all of it and of a part.
        for range in [whole.clone(), base + SPAN / 4..base + SPAN / 2] {
            let missing: Vec<Range<u64>> = map.need(range.clone()).collect();
            let absent = range.clone().filter(|offset| !model.contains_key(offset)).count() as u64;
            assert_eq!(missing.iter().map(|gap| gap.end - gap.start).sum::<u64>(), absent);
            assert!(missing.iter().all(|gap| !gap.clone().any(|offset| model.contains_key(&offset))));
            assert_eq!(set.gaps(range.clone()).collect::<Vec<_>>(), missing);
            assert_eq!(file.need(range.clone()), missing);
            for is_held in [map.contains(range.clone()), set.contains(range.clone()), file.contains(range)] {
                assert_eq!(is_held, missing.is_empty());
            }
        }
        for block in blocks {
            let expected: Vec<u8> = model.range(block.clone()).map(|(_, &byte)| byte).collect();
            // By a copy of the map: reading is a use, and would make all equally recent.
            assert_eq!(map.clone().read(block.clone()).unwrap(), expected);
            let mut chunks = file.snapshot().chunks(block.clone()).unwrap();
            assert_eq!(chunks.copy_to_bytes(expected.len()), expected);
            assert_eq!(map.block_at(block.end - 1), Some(block.clone()));
            assert_eq!(set.range_at(block.start), Some(block));
        }
        for (bytes, expected) in &system.handed_out {
            assert_eq!(bytes, expected, "what was handed out stays as it was");
        }
        assert_eq!(file.stats().reads, system.reads);
    }
}

prop_state_machine! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn all_three_agree_with_a_naive_model(sequential 1..40 => Machine);
}
