//! One file against its model: an array of bytes and a set of pages.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Advice, Cache, CachedFile};
use proptest::prelude::*;
use svf_core::RangeSet;
use tempfile::TempDir;

const PAGE: u64 = 4096;

#[derive(Debug, Clone)]
enum Step {
    Read(u64, u64),
    ReadRanges(Vec<(u64, u64)>),
    Reopen,
    Corrupt(u64),
    Verify,
    Export,
    Import,
    Recount,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let read = (0u64..70_000, 0u64..20_000);
    let step = prop_oneof![
        6 => read.clone().prop_map(|(start, len)| Step::Read(start, len)),
        2 => prop::collection::vec(read, 0..4).prop_map(Step::ReadRanges),
        2 => Just(Step::Reopen),
        3 => (0u64..20).prop_map(Step::Corrupt),
        1 => Just(Step::Verify),
        1 => Just(Step::Export),
        1 => Just(Step::Import),
        1 => Just(Step::Recount),
    ];
    prop::collection::vec(step, 1..40)
}

struct Machine {
    directory: TempDir,
    bytes: Vec<u8>,
    origin: MemoryOrigin,
    cache: Cache,
    file: CachedFile,
    /// The pages that are marked as present.
    present: BTreeSet<u64>,
    /// Those among them whose bytes are wrong.
    damaged: BTreeSet<u64>,
    /// Those that this process has checked since the file was opened: what happens to them on the disk is not seen.
    checked: BTreeSet<u64>,
    /// Those that were taken away because they were damaged: their blocks are there until a recount or the next fill.
    withdrawn: BTreeSet<u64>,
    /// Whether the index has its one block of words.
    block: bool,
    exported: Option<BTreeSet<u64>>,
}

/// A file of which nothing is fetched ahead, which would depend on all reads before.
fn unhurried(file: CachedFile) -> CachedFile {
    file.advise(0..u64::MAX, Advice::Random);
    file
}

impl Machine {
    fn new(len: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bytes = pattern(len, 31);
        let origin = MemoryOrigin::new("a", bytes.clone());
        let cache = open(&directory);
        let file = unhurried(cache.file(origin.clone()).unwrap());
        let [present, damaged, checked, withdrawn] = [(); 4].map(|()| BTreeSet::new());
        let block = false;
        Self { directory, bytes, origin, cache, file, present, damaged, checked, withdrawn, block, exported: None }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn clip(&self, (start, len): (u64, u64)) -> Range<u64> {
        let start = start.min(self.len());
        start..(start + len).min(self.len())
    }

    fn bytes_of(&self, pages: &BTreeSet<u64>) -> RangeSet {
        pages.iter().map(|page| page * PAGE..((page + 1) * PAGE).min(self.len())).collect()
    }

    fn read(&mut self, ranges: &[Range<u64>]) {
        let read = self.file.read_ranges(ranges).unwrap();
        for (range, read) in ranges.iter().zip(read) {
            assert!(read == self.bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        let pages: BTreeSet<u64> = ranges
            .iter()
            .filter(|range| !range.is_empty())
            .flat_map(|range| range.start / PAGE..range.end.div_ceil(PAGE))
            .collect();
        let fetched: BTreeSet<u64> =
            pages.iter().copied().filter(|page| !self.present.contains(page) || self.damaged.contains(page)).collect();
        let asked: RangeSet = self.origin.take_reads().into_iter().collect();
        assert_eq!(asked, self.bytes_of(&fetched));
        self.damaged.retain(|page| !fetched.contains(page));
        self.stored(&pages);
    }

    fn stored(&mut self, pages: &BTreeSet<u64>) {
        self.present.extend(pages);
        self.checked.extend(pages);
        self.withdrawn.retain(|page| !pages.contains(page));
        self.block |= !pages.is_empty();
    }

    fn corrupt(&mut self, page: u64) {
        if !self.present.contains(&page) || self.checked.contains(&page) || self.damaged.contains(&page) {
            return;
        }
        let pairs = self.directory.path().join("cache/pairs");
        let data = pairs
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().unwrap() == "data");
        let file = File::options().read(true).write(true).open(data.unwrap()).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, page * PAGE).unwrap();
        file.write_all_at(&[byte[0] ^ 4], page * PAGE).unwrap();
        self.damaged.insert(page);
    }

    fn export(&mut self) {
        let path = self.directory.path().join("out");
        for path in [path.clone(), path.with_extension("svf-pages")] {
            _ = std::fs::remove_file(path);
        }
        let good: BTreeSet<u64> = self.present.difference(&self.damaged).copied().collect();
        assert_eq!(self.file.export(&path).unwrap(), self.bytes_of(&good));
        self.checked.extend(&good);
        self.exported = Some(good);
    }

    fn import(&mut self) {
        let Some(exported) = &self.exported else { return };
        let new: BTreeSet<u64> = exported.difference(&self.present).copied().collect();
        assert_eq!(self.file.import(self.directory.path().join("out")).unwrap(), self.bytes_of(&new));
        self.stored(&new);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(start, len) => self.read(&[self.clip((start, len))]),
            Step::ReadRanges(ranges) => {
                let ranges: Vec<_> = ranges.into_iter().map(|range| self.clip(range)).collect();
                self.read(&ranges);
            }
            Step::Reopen => {
                let other = open(&self.directory);
                let file = other.file(self.origin.clone()).unwrap();
                // Both are open for a moment, and share what was checked.
                (self.cache, self.file) = (other, file);
                self.file = {
                    drop(std::mem::replace(&mut self.file, nothing(&self.directory)));
                    unhurried(self.cache.file(self.origin.clone()).unwrap())
                };
                self.checked.clear();
            }
            Step::Corrupt(page) => self.corrupt(page),
            Step::Verify => {
                let verification = self.file.verify().unwrap();
                assert_eq!(verification.damaged, self.bytes_of(&self.damaged));
                self.present.retain(|page| !self.damaged.contains(page));
                self.withdrawn.append(&mut self.damaged);
                assert_eq!(verification.good, self.bytes_of(&self.present));
                self.checked.clone_from(&self.present);
            }
            Step::Export => self.export(),
            Step::Import => self.import(),
            Step::Recount => {
                let found = self.cache.recount(std::time::Duration::from_secs(10)).unwrap().unwrap();
                assert_eq!((found.pages, found.pairs), (self.present.len() as u64, 1));
                assert!(found.allocated <= found.charged, "{found:?}");
                // What was taken away is given back, and so are the blocks of the index, one of stamps and one of
                // words, if nothing is in them.
                let given_back = (4096 + 64) * self.withdrawn.len() as u64;
                let unused = self.block && self.present.is_empty();
                assert_eq!(
                    found.charged_before - found.charged,
                    given_back + if unused { 2 * 4096 } else { 0 },
                    "{found:?}"
                );
                self.withdrawn.clear();
                self.block &= !unused;
            }
        }
        assert_eq!(self.file.held(), self.bytes_of(&self.present));
    }
}

fn open(directory: &TempDir) -> Cache {
    Cache::builder(directory.path().join("cache")).page_size(PAGE).max_open_entries(0).open().unwrap()
}

/// A handle of nothing, to stand where one is closed.
fn nothing(directory: &TempDir) -> CachedFile {
    let cache = Cache::builder(directory.path().join("other")).open().unwrap();
    cache.file(MemoryOrigin::new("nothing", vec![])).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_file_is_its_bytes_and_a_set_of_pages(len in 1usize..70_000, steps in steps()) {
        let mut machine = Machine::new(len);
        for step in steps {
            machine.step(step);
        }
    }
}
