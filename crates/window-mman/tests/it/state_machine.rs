//! Files, cursors, views and limits against a naive model: contents, validity, what is mapped, and what is left after
//! each eviction.

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use window_mman::{Cursor, LimitPolicy, MapManager, StableFile, View, ViewError};

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
    /// For each file its number, which changes when it was closed and is opened again; and whether it is open.
    files: [(usize, bool); LENS.len()],
    opened: usize,
    /// All that is mapped, the least recently used first.
    mapped: Vec<Region>,
    /// A file that is closed is unmapped when nobody holds it any more.
    dismissed: Vec<Region>,
    views: Vec<(Region, u64, u64)>,
    /// The file, what is held, and what is looked at. They keep a file open.
    cursors: Vec<(usize, usize, Option<Region>, u64, u64)>,
}

#[derive(Clone, Debug)]
enum Step {
    View { file: usize, start: u64, len: u64 },
    DropView(usize),
    CloneView(usize),
    Cursor(usize),
    Use { cursor: usize, start: u64, len: u64 },
    UseOpen { cursor: usize, start: u64 },
    CloneCursor(usize),
    Unuse(usize),
    DropCursor(usize),
    Collect,
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
        self.bytes() + bytes > LIMIT || self.mapped.len() + count > MOST
    }

    fn forget(&mut self, region: &Region) {
        self.mapped.retain(|other| other != region);
        self.dismissed.retain(|other| other != region);
    }

    /// Makes it mapped; false if that is refused.
    fn acquire(&mut self, region: Region) -> bool {
        if self.mapped.contains(&region) {
            return true;
        }
        let size = region.2 - region.1;
        let before = (self.mapped.clone(), self.dismissed.clone());
        while self.exceeds(size, 1) {
            match self.mapped.iter().find(|region| self.holders(region) == 0).copied() {
                Some(oldest) => self.forget(&oldest),
                None if self.strict => {
                    (self.mapped, self.dismissed) = before;
                    return false;
                }
                None => break,
            }
        }
        self.mapped.push(region);
        true
    }

    /// Somebody has let go of it just now.
    fn released(&mut self, region: Region) {
        if !self.mapped.contains(&region) {
            return;
        }
        let unheld = self.holders(&region) == 0;
        if unheld && (self.dismissed.contains(&region) || self.exceeds(0, 0)) {
            self.forget(&region);
        } else {
            self.mapped.retain(|other| *other != region);
            self.mapped.push(region);
        }
    }

    fn region(&self, file: usize, start: u64, end: u64) -> Region {
        let (from, to) = (start / WINDOW * WINDOW, (start / WINDOW + 1) * WINDOW);
        let (from, to) = if end <= to { (from, to) } else { (start / PAGE * PAGE, end.div_ceil(PAGE) * PAGE) };
        (self.files[file].0, from, to.min(LENS[file]))
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
        let (file, _, held, ..) = self.cursors[cursor];
        let clipped = end.unwrap_or(LENS[file]).min(LENS[file]);
        if let Some((_, from, to)) = held
            && (from..to).contains(&start)
            && end.is_none_or(|end| end <= to)
        {
            self.cursors[cursor].3 = start;
            self.cursors[cursor].4 = end.unwrap_or(to);
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

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        any::<bool>()
            .prop_map(|strict| Self {
                strict,
                files: [(0, true), (1, true), (2, true)],
                opened: 3,
                mapped: Vec::new(),
                dismissed: Vec::new(),
                views: Vec::new(),
                cursors: Vec::new(),
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let range = || (0_u64..22 * PAGE, prop_oneof![4 => 0_u64..200, 1 => 0_u64..6 * PAGE]);
        let any = || 0_usize..64;
        prop_oneof![
            6 => (0..LENS.len(), range()).prop_map(|(file, (start, len))| Step::View { file, start, len }),
            5 => any().prop_map(Step::DropView),
            1 => any().prop_map(Step::CloneView),
            1 => (0..LENS.len()).prop_map(Step::Cursor),
            6 => (any(), range()).prop_map(|(cursor, (start, len))| Step::Use { cursor, start, len }),
            2 => (any(), 0_u64..22 * PAGE).prop_map(|(cursor, start)| Step::UseOpen { cursor, start }),
            1 => any().prop_map(Step::CloneCursor),
            2 => any().prop_map(Step::Unuse),
            1 => any().prop_map(Step::DropCursor),
            1 => Just(Step::Collect),
            1 => (0..LENS.len()).prop_map(Step::Close),
            2 => (0..LENS.len()).prop_map(Step::Open),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, step: &Step) -> bool {
        match step {
            Step::View { file, start, .. } => state.files[*file].1 && *start <= LENS[*file],
            Step::Cursor(file) => state.files[*file].1 && state.cursors.len() < 6,
            Step::DropView(view) => *view < state.views.len(),
            Step::CloneView(view) => *view < state.views.len() && state.views.len() < 12,
            Step::Use { cursor, .. } | Step::UseOpen { cursor, .. } => *cursor < state.cursors.len(),
            Step::CloneCursor(cursor) => *cursor < state.cursors.len() && state.cursors.len() < 6,
            Step::Unuse(cursor) | Step::DropCursor(cursor) => *cursor < state.cursors.len(),
            Step::Collect => true,
            Step::Close(file) => state.files[*file].1,
            Step::Open(file) => !state.files[*file].1,
        }
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match *step {
            Step::View { file, start, len } => drop(state.view(file, start, len)),
            Step::DropView(view) => {
                let (region, ..) = state.views.swap_remove(view);
                state.released(region);
            }
            Step::CloneView(view) => state.views.push(state.views[view]),
            Step::Cursor(file) => state.cursors.push((file, state.files[file].0, None, 0, 0)),
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
            Step::Collect => {
                for region in state.mapped.clone() {
                    if state.holders(&region) == 0 {
                        state.forget(&region);
                    }
                }
            }
            Step::Close(file) => {
                state.files[file].1 = false;
                state.closed(file);
            }
            Step::Open(file) => {
                state.files[file].1 = true;
                // A cursor has kept it open: then it is the same.
                if !state.cursors.iter().any(|(of, ..)| *of == file) {
                    state.files[file].0 = state.opened;
                    state.opened += 1;
                }
            }
        }
        state
    }
}

/// The crate itself.
struct Real {
    directory: tempfile::TempDir,
    manager: MapManager,
    contents: Vec<Vec<u8>>,
    files: Vec<Option<StableFile>>,
    views: Vec<View>,
    cursors: Vec<Cursor>,
}

impl Real {
    fn open(&self, file: usize) -> StableFile {
        stable(&self.manager.open(self.directory.path().join(file.to_string())).unwrap())
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let policy = if model.strict { LimitPolicy::Error } else { LimitPolicy::Exceed };
        let builder = MapManager::builder().window_size(WINDOW).max_mapped_bytes(LIMIT).max_regions(MOST);
        let manager = builder.max_open_files(2).when_limit_is_held(policy).build().unwrap();
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
            Step::View { file, start, len } => {
                let handle = real.files[file].as_ref().unwrap();
                match handle.view(start..start + len) {
                    Ok(view) => {
                        let end = (start + len).min(LENS[file]);
                        assert_eq!(view, real.contents[file][start as usize..end as usize]);
                        if !view.is_empty() {
                            real.views.push(view);
                        }
                    }
                    Err(error) => assert!(matches!(error, ViewError::LimitReached { .. }), "{error:?}"),
                }
            }
            Step::DropView(view) => drop(real.views.swap_remove(view)),
            Step::CloneView(view) => real.views.push(real.views[view].clone()),
            Step::Cursor(file) => real.cursors.push(real.files[file].as_ref().unwrap().cursor()),
            Step::Use { cursor, start, len } => drop(real.cursors[cursor].use_region(start..start + len).map(drop)),
            Step::UseOpen { cursor, start } => drop(real.cursors[cursor].use_region(start..).map(drop)),
            Step::CloneCursor(cursor) => real.cursors.push(real.cursors[cursor].clone()),
            Step::Unuse(cursor) => real.cursors[cursor].unuse_region(),
            Step::DropCursor(cursor) => drop(real.cursors.swap_remove(cursor)),
            Step::Collect => drop(real.manager.collect()),
            Step::Close(file) => real.files[file] = None,
            Step::Open(file) => real.files[file] = Some(real.open(file)),
        }
        assert_eq!(real.views.len(), model.views.len());
        for (view, (_, start, end)) in real.views.iter().zip(&model.views) {
            assert_eq!(view.range(), *start..*end);
        }
        for (cursor, (file, _, held, start, end)) in real.cursors.iter().zip(&model.cursors) {
            assert_eq!(cursor.is_valid(), held.is_some());
            assert_eq!(cursor.region(), held.map(|(_, from, to)| from..to));
            if held.is_some() {
                assert_eq!(cursor.range(), *start..*end);
                assert_eq!(cursor.as_slice(), &real.contents[*file][*start as usize..*end as usize]);
            }
        }
        let mut expected: Vec<_> =
            model.mapped.iter().map(|region| (region.1, region.2, model.holders(region))).collect();
        let found = real.manager.regions().into_iter();
        let mut found: Vec<_> = found.map(|info| (info.range.start, info.range.end, info.holders as usize)).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "what is left, and by whom it is held");
        let stats = real.manager.stats();
        assert_eq!((stats.mapped_bytes, stats.mapped_regions), (model.bytes(), model.mapped.len()));
        assert!(stats.descriptors <= 2);
        real
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn files_cursors_views_and_limits_are_what_the_model_says(sequential 1..120 => Real);
}
