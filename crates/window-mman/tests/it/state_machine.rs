//! Files, cursors, buffers, views of both kinds and limits against a naive model: contents, validity, what is mapped,
//! what is left after each eviction, and all that is counted.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use window_mman::{Collected, CopyView, Cursor, LimitPolicy, MapManager, StableFile, View, ViewError, WindowBuffer};

use crate::common::{PAGE, content, stable};

const WINDOW: u64 = 2 * PAGE;
const LENS: [u64; 3] = [20 * PAGE, 9 * PAGE + 5, 100];
const LIMIT: u64 = 10 * PAGE;
const MOST: usize = 6;

/// Which region: the file's number among all that were opened, and from where to where.
type Region = (usize, u64, u64);

/// What a manager should do, simple and slow.
#[derive(Clone, Debug)]
struct Model {
    strict: bool,
    /// Whether whole files are mapped, of which the first is larger than the limit.
    whole: bool,
    /// For each file its number, which changes when it was closed and is opened again; and whether it is open.
    files: [(usize, bool); LENS.len()],
    /// Which file each number is of.
    opened: Vec<usize>,
    /// All that is mapped, the least recently used first.
    mapped: Vec<Region>,
    /// How often each of these was asked for.
    uses: BTreeMap<Region, u32>,
    maps: u64,
    evictions: u64,
    /// What the last collection has found: regions and bytes that went, and that are held.
    collected: (usize, u64, usize, u64),
    /// A file that is closed is unmapped when nobody holds it any more.
    dismissed: Vec<Region>,
    views: Vec<(Region, u64, u64)>,
    /// The file, whether it is a buffer, what is held, and what is looked at. They keep a file open.
    cursors: Vec<(usize, bool, Option<Region>, u64, u64)>,
}

#[derive(Clone, Debug)]
enum Step {
    View { file: usize, start: u64, len: u64, copies: bool },
    DropView(usize),
    CloneView(usize),
    Cursor { file: usize, buffer: bool },
    Use { cursor: usize, start: u64, len: u64 },
    UseOpen { cursor: usize, start: u64 },
    CloneCursor(usize),
    Unuse(usize),
    DropCursor(usize),
    Collect,
    UnmapUnder(usize),
    Close(usize),
    Open(usize),
}

impl Model {
    fn bytes(&self) -> u64 {
        self.mapped.iter().map(|(_, start, end)| end - start).sum()
    }

    fn holders(&self, region: &Region) -> usize {
        self.views.iter().filter(|(held, ..)| held == region).count()
            + self.cursors.iter().filter(|(_, _, held, ..)| held.as_ref() == Some(region)).count()
    }

    fn exceeds(&self, bytes: u64, count: usize) -> bool {
        // What is larger than the limit by itself does not count.
        let charge = |bytes: u64| if bytes > LIMIT { 0 } else { bytes };
        let charged: u64 = self.mapped.iter().map(|(_, start, end)| charge(end - start)).sum();
        charged + charge(bytes) > LIMIT || self.mapped.len() + count > MOST
    }

    fn forget(&mut self, region: &Region) {
        self.mapped.retain(|other| other != region);
        self.dismissed.retain(|other| other != region);
        self.uses.remove(region);
    }

    /// Makes it mapped; false if that is refused.
    fn acquire(&mut self, region: Region) -> bool {
        if self.mapped.contains(&region) {
            *self.uses.entry(region).or_default() += 1;
            return true;
        }
        let size = region.2 - region.1;
        let before = self.clone();
        if self.strict && size > LIMIT {
            return false;
        }
        while self.exceeds(size, 1) {
            match self.mapped.iter().find(|region| self.holders(region) == 0).copied() {
                Some(oldest) => {
                    self.forget(&oldest);
                    self.evictions += 1;
                }
                None if self.strict => {
                    *self = before;
                    return false;
                }
                None => break,
            }
        }
        self.mapped.push(region);
        self.uses.insert(region, 1);
        self.maps += 1;
        if size > LIMIT {
            self.dismissed.push(region);
        }
        true
    }

    /// Somebody has let go of it just now.
    fn released(&mut self, region: Region) {
        if !self.mapped.contains(&region) {
            return;
        }
        let unheld = self.holders(&region) == 0;
        let exceeds = self.exceeds(0, 0);
        if unheld && (self.dismissed.contains(&region) || exceeds) {
            self.evictions += u64::from(exceeds || region.2 - region.1 > LIMIT);
            self.forget(&region);
        } else {
            self.mapped.retain(|other| *other != region);
            self.mapped.push(region);
        }
    }

    fn region(&self, file: usize, start: u64, end: u64) -> Region {
        if self.whole {
            return (self.files[file].0, 0, LENS[file]);
        }
        let (from, to) = (start / WINDOW * WINDOW, (start / WINDOW + 1) * WINDOW);
        let (from, to) = if end <= to { (from, to) } else { (start / PAGE * PAGE, end.div_ceil(PAGE) * PAGE) };
        (self.files[file].0, from, to.min(LENS[file]))
    }

    /// Unmaps what nobody holds of these.
    fn collect(&mut self, chosen: impl Fn(&Self, &Region) -> bool) {
        self.collected = (0, 0, 0, 0);
        for region in self.mapped.clone().into_iter().filter(|region| chosen(self, region)).collect::<Vec<_>>() {
            let (size, (unmapped, unmapped_bytes, held, held_bytes)) = (region.2 - region.1, self.collected);
            if self.holders(&region) == 0 {
                self.forget(&region);
                self.collected = (unmapped + 1, unmapped_bytes + size, held, held_bytes);
            } else {
                self.collected = (unmapped, unmapped_bytes, held + 1, held_bytes + size);
            }
        }
    }

    /// Nobody has it open any more.
    fn closed(&mut self, file: usize) {
        let number = self.files[file].0;
        if self.files[file].1 || self.cursors.iter().any(|(of, ..)| *of == file) {
            return;
        }
        for region in self.mapped.clone() {
            if region.0 == number {
                if self.holders(&region) == 0 {
                    self.forget(&region);
                } else if !self.dismissed.contains(&region) {
                    self.dismissed.push(region);
                }
            }
        }
    }

    fn view(&mut self, file: usize, start: u64, len: u64) -> Option<bool> {
        let end = (start + len).min(LENS[file]);
        if start > LENS[file] {
            return None;
        }
        if start == end {
            return Some(true);
        }
        let region = self.region(file, start, end);
        let done = self.acquire(region);
        if done {
            self.views.push((region, start, end));
        }
        Some(done)
    }

    /// Moves a cursor: what it holds is let go of first.
    fn use_region(&mut self, cursor: usize, start: u64, end: Option<u64>) {
        let (file, buffer, held, ..) = self.cursors[cursor];
        // A buffer looks at one byte, if there is one.
        let end = if buffer { Some(start + 1) } else { end };
        if buffer && start >= LENS[file] {
            return;
        }
        let clipped = end.unwrap_or(LENS[file]).min(LENS[file]);
        if let Some((_, from, to)) = held
            && (from..to).contains(&start)
            // What ends past the end of the file is clipped there, and no reason to look for another region.
            && end.is_none_or(|end| end.min(LENS[file]) <= to)
        {
            self.cursors[cursor].3 = start;
            self.cursors[cursor].4 = end.map_or(to, |end| end.min(LENS[file]));
            return;
        }
        (self.cursors[cursor].2, self.cursors[cursor].3, self.cursors[cursor].4) = (None, start, start);
        if let Some(held) = held {
            self.released(held);
        }
        if start > LENS[file] || start == clipped {
            return;
        }
        let needed = if end.is_none() { start + 1 } else { clipped };
        let region = self.region(file, start, needed);
        if self.acquire(region) {
            self.cursors[cursor].2 = Some(region);
            self.cursors[cursor].4 = clipped.min(region.2);
        }
    }
}

impl Model {
    fn check_collected(&self, found: &Collected) {
        let found = (found.unmapped_regions, found.unmapped_bytes, found.held_regions, found.held_bytes);
        assert_eq!(found, self.collected);
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        any::<(bool, bool)>()
            .prop_map(|(strict, whole)| Self {
                strict,
                whole,
                files: [(0, true), (1, true), (2, true)],
                opened: vec![0, 1, 2],
                mapped: Vec::new(),
                uses: BTreeMap::new(),
                maps: 0,
                evictions: 0,
                collected: (0, 0, 0, 0),
                dismissed: Vec::new(),
                views: Vec::new(),
                cursors: Vec::new(),
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let range = || (0_u64..22 * PAGE, prop_oneof![4 => 0_u64..200, 1 => 0_u64..6 * PAGE]);
        let (any, any_bool) = (|| 0_usize..64, any::<bool>);
        prop_oneof![
            6 => (0..LENS.len(), range(), any_bool()).prop_map(|(file, (start, len), copies)| {
                Step::View { file, start, len, copies }
            }),
            5 => any().prop_map(Step::DropView),
            1 => any().prop_map(Step::CloneView),
            1 => (0..LENS.len(), any_bool()).prop_map(|(file, buffer)| Step::Cursor { file, buffer }),
            6 => (any(), range()).prop_map(|(cursor, (start, len))| Step::Use { cursor, start, len }),
            2 => (any(), 0_u64..22 * PAGE).prop_map(|(cursor, start)| Step::UseOpen { cursor, start }),
            1 => any().prop_map(Step::CloneCursor),
            2 => any().prop_map(Step::Unuse),
            1 => any().prop_map(Step::DropCursor),
            1 => Just(Step::Collect),
            1 => (0..LENS.len()).prop_map(Step::UnmapUnder),
            1 => (0..LENS.len()).prop_map(Step::Close),
            2 => (0..LENS.len()).prop_map(Step::Open),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, step: &Step) -> bool {
        match step {
            Step::View { file, start, .. } => state.files[*file].1 && *start <= LENS[*file],
            Step::Cursor { file, .. } => state.files[*file].1 && state.cursors.len() < 6,
            Step::DropView(view) => *view < state.views.len(),
            Step::CloneView(view) => *view < state.views.len() && state.views.len() < 12,
            Step::Use { cursor, .. } | Step::UseOpen { cursor, .. } => *cursor < state.cursors.len(),
            Step::CloneCursor(cursor) => *cursor < state.cursors.len() && state.cursors.len() < 6,
            Step::Unuse(cursor) | Step::DropCursor(cursor) => *cursor < state.cursors.len(),
            Step::Collect | Step::UnmapUnder(_) => true,
            Step::Close(file) => state.files[*file].1,
            Step::Open(file) => !state.files[*file].1,
        }
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match *step {
            Step::View { file, start, len, .. } => drop(state.view(file, start, len)),
            Step::DropView(view) => {
                let (region, ..) = state.views.swap_remove(view);
                state.released(region);
            }
            Step::CloneView(view) => state.views.push(state.views[view]),
            Step::Cursor { file, buffer } => state.cursors.push((file, buffer, None, 0, 0)),
            Step::Use { cursor, start, len } => state.use_region(cursor, start, Some(start + len)),
            Step::UseOpen { cursor, start } => state.use_region(cursor, start, None),
            Step::CloneCursor(cursor) => state.cursors.push(state.cursors[cursor]),
            Step::Unuse(cursor) => {
                if let Some(held) = state.cursors[cursor].2.take() {
                    state.released(held);
                }
                state.cursors[cursor].4 = state.cursors[cursor].3;
            }
            Step::DropCursor(cursor) => {
                let (file, _, held, ..) = state.cursors.swap_remove(cursor);
                // What is held goes with the cursor, and the file behind it.
                if let Some(held) = held {
                    state.released(held);
                }
                state.closed(file);
            }
            Step::Collect => state.collect(|_, _| true),
            Step::UnmapUnder(file) => state.collect(|state, region| state.opened[region.0] == file),
            Step::Close(file) => {
                state.files[file].1 = false;
                state.closed(file);
            }
            Step::Open(file) => {
                state.files[file].1 = true;
                // A cursor has kept it open: then it is the same.
                if !state.cursors.iter().any(|(of, ..)| *of == file) {
                    state.files[file].0 = state.opened.len();
                    state.opened.push(file);
                }
            }
        }
        state
    }
}

/// A view of either kind.
#[derive(Clone)]
enum Held {
    View(View),
    Copies(CopyView),
}

impl Held {
    fn range(&self) -> std::ops::Range<u64> {
        match self {
            Self::View(view) => view.range(),
            Self::Copies(view) => view.range(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::View(view) => view.to_vec(),
            Self::Copies(view) => {
                let mut out = vec![0; view.len() as usize];
                view.try_copy_to(0, &mut out).unwrap();
                out
            }
        }
    }
}

/// What moves: a cursor, or a buffer over all of the file, with one of its own.
#[derive(Clone)]
enum Mover {
    Cursor(Cursor),
    Buffer(WindowBuffer),
}

impl Mover {
    fn cursor(&self) -> &Cursor {
        match self {
            Self::Cursor(cursor) => cursor,
            Self::Buffer(buffer) => buffer.cursor(),
        }
    }

    fn look(&mut self, start: u64, end: Option<u64>, content: &[u8]) {
        match (self, end) {
            (Self::Cursor(cursor), Some(end)) => drop(cursor.use_region(start..end).map(drop)),
            (Self::Cursor(cursor), None) => drop(cursor.use_region(start..).map(drop)),
            (Self::Buffer(buffer), _) => match buffer.get(start as i64) {
                Ok(byte) => assert_eq!(byte, content.get(start as usize).copied()),
                Err(error) => assert!(matches!(error, ViewError::LimitReached { .. }), "{error:?}"),
            },
        }
    }
}

/// The crate itself.
struct Real {
    directory: tempfile::TempDir,
    manager: MapManager,
    contents: Vec<Vec<u8>>,
    files: Vec<Option<StableFile>>,
    views: Vec<Held>,
    cursors: Vec<Mover>,
}

impl Real {
    fn open(&self, file: usize) -> StableFile {
        stable(&self.manager.open(self.path(file)).unwrap())
    }

    fn path(&self, file: usize) -> std::path::PathBuf {
        self.directory.path().join(file.to_string())
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let policy = if model.strict { LimitPolicy::Error } else { LimitPolicy::Exceed };
        let builder = MapManager::builder().window_size(WINDOW).max_mapped_bytes(LIMIT).max_regions(MOST);
        let strategy = if model.whole { window_mman::Strategy::Static } else { window_mman::Strategy::Sliding };
        let manager = builder.strategy(strategy).max_open_files(2).when_limit_is_held(policy).build().unwrap();
        let contents: Vec<_> = (0..).zip(LENS).map(|(file, len)| content(file, len)).collect();
        for (file, content) in contents.iter().enumerate() {
            std::fs::write(directory.path().join(file.to_string()), content).unwrap();
        }
        let mut real = Self { directory, manager, contents, files: vec![], views: vec![], cursors: vec![] };
        real.files = (0..LENS.len()).map(|file| Some(real.open(file))).collect();
        real
    }

    fn apply(mut real: Self, model: &Model, step: Step) -> Self {
        match step {
            Step::View { file, start, len, copies } => {
                let handle = real.files[file].as_ref().unwrap();
                let view = if copies {
                    handle.file().copy_view(start..start + len).map(Held::Copies)
                } else {
                    handle.view(start..start + len).map(Held::View)
                };
                match view {
                    Ok(view) => {
                        let end = (start + len).min(LENS[file]);
                        assert_eq!(view.bytes(), real.contents[file][start as usize..end as usize]);
                        if !view.range().is_empty() {
                            real.views.push(view);
                        }
                    }
                    Err(error) => assert!(matches!(error, ViewError::LimitReached { .. }), "{error:?}"),
                }
            }
            Step::DropView(view) => drop(real.views.swap_remove(view)),
            Step::CloneView(view) => real.views.push(real.views[view].clone()),
            Step::Cursor { file, buffer } => {
                let handle = real.files[file].as_ref().unwrap();
                real.cursors.push(if buffer {
                    Mover::Buffer(handle.buffer(0..u64::MAX).unwrap())
                } else {
                    Mover::Cursor(handle.cursor())
                });
            }
            Step::Use { cursor, start, len } => {
                let content = &real.contents[model.cursors[cursor].0];
                real.cursors[cursor].look(start, Some(start + len), content);
            }
            Step::UseOpen { cursor, start } => {
                let content = &real.contents[model.cursors[cursor].0];
                real.cursors[cursor].look(start, None, content);
            }
            Step::CloneCursor(cursor) => real.cursors.push(real.cursors[cursor].clone()),
            Step::Unuse(cursor) => match &mut real.cursors[cursor] {
                Mover::Cursor(cursor) => cursor.unuse_region(),
                Mover::Buffer(buffer) => buffer.release(),
            },
            Step::DropCursor(cursor) => drop(real.cursors.swap_remove(cursor)),
            Step::Collect => model.check_collected(&real.manager.collect()),
            Step::UnmapUnder(file) => model.check_collected(&real.manager.unmap_under(real.path(file))),
            Step::Close(file) => real.files[file] = None,
            Step::Open(file) => real.files[file] = Some(real.open(file)),
        }
        assert_eq!(real.views.len(), model.views.len());
        for (view, (_, start, end)) in real.views.iter().zip(&model.views) {
            assert_eq!(view.range(), *start..*end);
        }
        for (cursor, (file, _, held, start, end)) in real.cursors.iter().map(Mover::cursor).zip(&model.cursors) {
            assert_eq!(cursor.is_valid(), held.is_some());
            assert_eq!(cursor.region(), held.map(|(_, from, to)| from..to));
            if held.is_some() {
                assert_eq!(cursor.range(), *start..*end);
                assert_eq!(cursor.as_slice(), &real.contents[*file][*start as usize..*end as usize]);
            }
        }
        let mut expected: Vec<_> =
            model.mapped.iter().map(|region| (region.1, region.2, model.holders(region), model.uses[region])).collect();
        let found = real.manager.regions().into_iter();
        let mut found: Vec<_> =
            found.map(|info| (info.range.start, info.range.end, info.holders as usize, info.uses)).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "what is left, by whom it is held, and how often it was asked for");
        let stats = real.manager.stats();
        assert_eq!((stats.mapped_bytes, stats.mapped_regions), (model.bytes(), model.mapped.len()));
        assert_eq!((stats.maps, stats.evictions), (model.maps, model.evictions));
        assert!(stats.descriptors <= 2);
        real
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn files_cursors_views_and_limits_are_what_the_model_says(sequential 1..120 => Real);
}
