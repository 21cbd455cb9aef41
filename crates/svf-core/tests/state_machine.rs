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
    ReadInto { at: u64, len: u64 },
    ReadThrough { at: u64, len: u64, options: NeedOptions, fails: bool },
    ReadManyThrough { pieces: Vec<(u64, u64)>, options: NeedOptions },
    Reset,
    Touch { at: u64, len: u64 },
    Remove { at: u64, to: u64 },
    RemoveBlock { at: u64 },
    EvictTo(u64),
    SetMaxBytes(Option<u64>),
    AdvanceEpoch,
    Clear,
}

fn need_options() -> impl Strategy<Value = NeedOptions> {
    let or_none = |value: std::ops::Range<u64>| prop_oneof![2 => Just(0), 1 => value];
    (or_none(1..60), or_none(1..40), or_none(1..30), or_none(1..60)).prop_map(|(greedy, align, max_gap, max_len)| {
        let options = NeedOptions::new().greedy(greedy).align(align).max_gap(max_gap);
        if max_len == 0 { options } else { options.max_len(max_len) }
    })
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
            1 => piece().prop_map(|(at, len)| Step::ReadInto { at, len }),
            3 => (piece(), need_options(), prop::bool::weighted(0.1))
                .prop_map(|((at, len), options, fails)| Step::ReadThrough { at, len, options, fails }),
            1 => (prop::collection::vec(piece(), 0..5), need_options())
                .prop_map(|(pieces, options)| Step::ReadManyThrough { pieces, options }),
            1 => Just(Step::Reset),
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

    fn read_into(&mut self, range: Range<u64>) {
        let mut out = vec![0xEE; (range.end - range.start) as usize];
        let mut same = out.clone();
        let result = self.file.read_into(range.start, &mut out);
        assert_eq!(result, self.map.read_into(range.start, &mut same));
        assert_eq!(out, same);
        match result {
            Ok(()) => {
                self.reads += 1;
                assert_eq!(out, self.held(range).into_iter().map(|(_, byte)| byte).collect::<Vec<_>>());
            }
            Err(_) => assert!(out.iter().all(|&byte| byte == 0xEE), "a refused read writes nothing"),
        }
    }

    /// What the origin has is version 0.
    fn read_through(&mut self, ranges: &[Range<u64>], options: &NeedOptions, fails: bool, is_one: bool) {
        let base = self.base;
        // Counted from the base, which need not be a multiple of the alignment, nothing reaches over the span's start.
        let end = base + SPAN;
        let options = options.end_of_file(end);
        let requests = if is_one {
            self.map.need_requests(ranges[0].clone(), &options)
        } else {
            self.map.need_many(ranges.iter().cloned(), &options)
        };
        let mut asked = Vec::new();
        let fetch = |range: Range<u64>| {
            asked.push(range.clone());
            if fails { Err("the origin is away") } else { Ok(range.map(|at| byte(at, 0)).collect::<Vec<_>>()) }
        };
        let result = if is_one {
            self.file.read_through(ranges[0].clone(), &options, fetch).map(|bytes| vec![bytes])
        } else {
            self.file.read_many_through(ranges, &options, fetch)
        };
        if requests.is_empty() {
            assert!(result.is_ok());
            assert!(asked.is_empty());
        } else if fails {
            assert!(result.is_err());
            assert_eq!(asked.len(), 1, "after an error nothing more is asked for");
        }
        let differs = |range: &Range<u64>, model: &BTreeMap<u64, u8>| {
            range.clone().any(|at| model.get(&at).is_some_and(|&held| held != byte(at, 0)))
        };
        let is_limited = self.map.options().max_bytes.is_some();
        if !fails && !requests.is_empty() && !is_limited {
            // Without eviction all that is asked for is known, and what becomes of it.
            let conflict = requests.iter().position(|request| differs(request, &self.model));
            let conflict = conflict.filter(|_| self.map.on_overlap() == OnOverlap::Reject);
            assert_eq!(asked, requests[..conflict.map_or(requests.len(), |at| at + 1)]);
            assert_eq!(result.is_err(), conflict.is_some());
            for at in requests[..conflict.unwrap_or(requests.len())].iter().cloned().flatten() {
                let held = self.model.entry(at).or_insert(byte(at, 0));
                if self.map.on_overlap() == OnOverlap::Replace {
                    *held = byte(at, 0);
                }
            }
        }
        if let Ok(bytes) = result {
            self.reads += ranges.len() as u64;
            for (range, bytes) in ranges.iter().zip(bytes) {
                let expected: Vec<u8> =
                    range.clone().map(|at| self.model.get(&at).copied().unwrap_or_else(|| byte(at, 0))).collect();
                // Under a limit what is replaced may be gone from the file, and is not in the model either.
                let is_replaced =
                    self.map.on_overlap() == OnOverlap::Replace && is_limited && differs(range, &self.model);
                assert!(is_replaced || bytes == expected);
            }
        }
        let held = self.file.snapshot();
        if is_limited {
            assert!(held.num_bytes() <= self.map.options().max_bytes.unwrap_or(u64::MAX));
            // Whatever is held is what was, or what came.
            for (at, byte_held) in bytes_of(&held) {
                assert!(byte_held == byte(at, 0) || self.model.get(&at) == Some(&byte_held));
            }
            self.model = bytes_of(&held);
        }
        // Whichever chunks were used when: from here on the same.
        self.map = self.file.snapshot();
    }
}

fn missing_of(map: &BlockMap, range: Range<u64>) -> u64 {
    map.need(range).map(|gap| gap.end - gap.start).sum()
}

/// By a map of its own, since reading is a use.
fn bytes_of(map: &BlockMap) -> BTreeMap<u64, u8> {
    map.blocks().flat_map(|block| block.clone().zip(map.read(block).unwrap()).collect::<Vec<_>>()).collect()
}

/// The runs of offsets that are in one and not in the other.
fn runs_without(one: &BTreeMap<u64, u8>, other: &BTreeMap<u64, u8>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for &at in one.keys().filter(|at| !other.contains_key(at)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// The block that a run is in.
fn run_around(model: &BTreeMap<u64, u8>, mut run: Range<u64>) -> Range<u64> {
    while run.start > 0 && model.contains_key(&(run.start - 1)) {
        run.start -= 1;
    }
    while model.contains_key(&run.end) {
        run.end += 1;
    }
    run
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
            Step::ReadInto { at, len } => system.read_into(system.range(at, len)),
            Step::ReadThrough { at, len, options, fails } => {
                system.read_through(&[system.range(at, len)], &options, fails, true);
            }
            Step::ReadManyThrough { pieces, options } => {
                let ranges: Vec<_> = pieces.into_iter().map(|(at, len)| system.range(at, len)).collect();
                system.read_through(&ranges, &options, false, false);
            }
            Step::Reset => {
                system.map.clear();
                system.file.reset(None);
                system.model.clear();
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
        // The set follows what the model has gained and lost, in as few and as large ranges as there are, and in ranges
        // that reach over what is there.
        let (lost, gained) = (runs_without(&before, &system.model), runs_without(&system.model, &before));
        for run in lost {
            assert_eq!(system.set.remove(run.clone()), run.end - run.start);
            assert_eq!(system.set.remove(run), 0);
        }
        for run in gained.into_iter().rev() {
            let block = run_around(&system.model, run.clone());
            let new = block.clone().filter(|&at| !system.set.contains(at..at + 1)).count() as u64;
            assert_eq!(system.set.insert(block), new);
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
        for window in 0..4 {
            let range = base + window * SPAN / 4..base + (window + 1) * SPAN / 4;
            let is_held = missing_of(map, range.clone()) == 0;
            let chunks = file.snapshot().chunks(range.clone());
            assert_eq!(chunks.is_ok(), is_held);
            if let Ok(mut chunks) = chunks {
                let expected: Vec<u8> = model.range(range).map(|(_, &byte)| byte).collect();
                assert_eq!(chunks.copy_to_bytes(expected.len()), expected);
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
