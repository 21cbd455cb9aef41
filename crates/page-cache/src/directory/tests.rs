//! What is charged, looked at through the seam: of processes that work beside each other, and on disks that fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::budget::Section;
use super::control::{Control, Opened};
use super::files::Files;
use super::key_locks::KeyLocks;
use super::pair::{self, Object, Pair};
use super::pairs::Pairs;
use super::{Budget, prepare, recount};
use crate::origin::{Stat, Validators};
use crate::sys::failing::{FailingDisk, Operation};
use crate::sys::{Disk, DiskFile, Lock};

const LEN: u64 = 100_000;
const PAGE: u64 = 4096;
const PATIENCE: Duration = Duration::from_secs(10);

/// A directory as one process sees it: locks and tables of its own.
struct Process {
    files: Files,
    budget: Budget,
    keys: KeyLocks,
    pairs: Pairs,
}

impl Process {
    fn start(dir: &Path, disk: &FailingDisk) -> Self {
        let file_system = disk.file_system(dir).unwrap();
        let files = Files { root: dir.to_owned(), disk: Arc::new(disk.clone()), file_system };
        prepare(&files).unwrap();
        let Opened::Good(control) = Control::open(&files).unwrap() else { unreachable!("it is of our format") };
        let budget = Budget::new(control, disk.boot_id().unwrap());
        let process = Self { files, budget, keys: KeyLocks::default(), pairs: Pairs::new(0) };
        if !process.budget.is_counted() {
            process.recount();
        }
        process
    }

    fn recount(&self) -> recount::Recount {
        recount::recount(&self.files, &self.budget, &self.keys, &self.pairs, PATIENCE).unwrap().unwrap()
    }

    /// A new pair of which the first `pages` are stored.
    fn create(&self, key: &str, pages: u64) -> Pair {
        let section = self.budget.enter().unwrap();
        let object = Object::of(key, &stat());
        let pair = pair::create(&self.files, &section, &Left, &object, PAGE, self.budget.boot_id()).unwrap();
        drop(section);
        assert_eq!(pair.store(&self.budget, &Left, 0, &vec![7; LEN.min(pages * PAGE) as usize]), pair::Stored::All);
        pair
    }
}

/// Room is what is left of the limit.
struct Left;

impl pair::Room for Left {
    fn may_fit(&self, _bytes: u64) -> bool {
        true
    }

    fn reserve(&self, section: &Section<'_>, bytes: u64) -> bool {
        section.reserve(bytes)
    }
}

fn stat() -> Stat {
    Stat { length: LEN, validators: Validators { etag: Some("\"1\"".to_owned()), ..Validators::default() } }
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "index")
}

/// Whoever dies before anything was counted leaves no byte that is not charged; nor does one whose control is damaged.
#[test]
fn a_directory_that_nobody_has_counted_yet_is_charged() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, disk) = (outer.path(), FailingDisk::healthy());
    let files =
        Files { root: dir.to_owned(), disk: Arc::new(disk.clone()), file_system: disk.file_system(dir).unwrap() };
    prepare(&files).unwrap();
    for _ in 0..2 {
        let Opened::Good(control) = Control::open(&files).unwrap() else { unreachable!("it is of our format") };
        let boot_id = disk.boot_id().unwrap();
        assert_ne!(control.boot_id(), boot_id, "it is counted already");
        let own = [files.root.clone(), files.heads(), files.pairs(), files.aside(), files.control()];
        let taken: u64 = own.iter().map(|path| disk.size(path).unwrap().allocated).sum();
        assert!(taken > 0 && taken <= control.used(), "{taken} taken, {} charged", control.used());
        drop(control);
        std::fs::write(files.control(), [7; 4096]).unwrap();
    }
}

/// A child of a fork has its parent's descriptors and mappings, of which it does not know, for as long as it lives.
#[test]
fn what_was_deleted_takes_no_block_though_somebody_has_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), &FailingDisk::healthy());
    let before = process.budget.used();
    let name = process.create("a", 10).name().to_owned();
    let inherited = process.files.pair(&name).map(|path: PathBuf| std::fs::File::open(path).unwrap());
    assert!(inherited.iter().all(|file| file.allocated().unwrap() > 0));
    process.pairs.delete(&process.files, &process.budget, &name);
    assert_eq!(process.files.list(&process.files.pairs()).unwrap(), [""; 0]);
    assert_eq!(inherited.map(|file| file.allocated().unwrap()), [0, 0]);
    assert_eq!(process.budget.used(), before);
}

/// Who makes a pair agree with itself changes what it is charged; so it is counted once nobody can.
#[test]
fn a_pair_that_is_reconciled_beside_its_deletion_is_uncharged_once() {
    for when in 1..=4 {
        let directory = tempfile::tempdir().unwrap();
        let [disk, others] = [FailingDisk::healthy(), FailingDisk::healthy()];
        let first = Process::start(directory.path(), &disk);
        let (pair, _kept) = (first.create("a", 20), first.create("b", 20));
        let name = pair.name().to_owned();
        // Its words are lost in a power cut, and its blocks are not.
        let index = std::fs::File::options().write(true).open(&first.files.pair(&name)[1]).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&index, &[0; 20 * 8], 16_384).unwrap();
        let [process, other] = [&disk, &others].map(|disk| {
            disk.reboot([1, 2]);
            Process::start(directory.path(), disk)
        });
        drop(pair);
        let deleted = name.clone();
        let mut looks = 0;
        disk.fail(move |operation, path| {
            looks += u32::from(operation == Operation::OpenLock && is_index(path));
            if looks == when && operation == Operation::OpenLock {
                // Not if it is being deleted by now.
                let pair = pair::open_pair(&other.files, &deleted, None);
                pair.iter().for_each(|pair| pair.reconcile(&other.budget));
            }
            None
        });
        process.pairs.delete(&process.files, &process.budget, &name);
        disk.fail(|_, _| None);
        assert!(!process.files.pair(&name)[1].exists());
        let found = process.recount();
        assert_eq!(found.charged, found.charged_before, "reconciled at look {when}");
    }
}

/// The n-th operation of a recount fails, alone or with all behind it, for every n: the charge may stay as it was, and
/// a pair may be charged too much, but nothing is ever forgotten.
#[test]
fn a_recount_on_a_failing_disk_forgets_nothing() {
    for (code, lasting) in [(libc::EIO, false), (libc::EIO, true), (libc::EMFILE, false), (libc::EMFILE, true)] {
        let mut failed = true;
        let mut n = 0;
        while failed {
            let directory = tempfile::tempdir().unwrap();
            let disk = FailingDisk::healthy();
            let process = Process::start(directory.path(), &disk);
            // One that somebody works on, one that nobody needs, one that is set aside and worked on, and what is left.
            let _live = process.create("a", 25);
            drop(process.create("b", 10));
            let aside = process.create("c", 10);
            process.files.set_aside_pair(aside.name(), "it is to be so");
            std::fs::write(process.files.pairs().join(".x.1.svf-tmp"), [1; 10_000]).unwrap();
            let charged = process.budget.used();
            let (mut seen, count) = (0, Arc::new(crate::sync::Mutex::new(0)));
            let counter = Arc::clone(&count);
            disk.fail(move |_, _| {
                let fails = seen == n || (lasting && seen > n);
                seen += 1;
                *counter.lock() = seen;
                fails.then(|| std::io::Error::from_raw_os_error(code))
            });
            let result = recount::recount(&process.files, &process.budget, &process.keys, &process.pairs, PATIENCE);
            disk.fail(|_, _| None);
            failed = *count.lock() > n;
            let context = format!("operation {n} fails with {code}, lasting: {lasting}");
            let used = process.budget.used();
            if result.is_err() {
                assert!(used == charged && process.budget.control().recount_wanted(), "{context}");
            }
            let right = process.recount().charged;
            assert!(used >= right, "{context}: {used} instead of {right}");
            n += 1;
        }
        assert!(n > 20, "only {n} operations were seen");
    }
}

/// Between the charge and the word that it stands for nothing on the disk tells of it but that somebody was in a
/// section.
#[test]
fn a_death_between_the_charge_and_the_word_is_seen_by_the_next_who_is_alone() {
    let directory = tempfile::tempdir().unwrap();
    let [process, victim, other] = [(); 3].map(|()| Process::start(directory.path(), &FailingDisk::healthy()));
    let right = process.budget.used();
    for _ in 0..3 {
        let sections = [&other, &victim, &process].map(|process| process.budget.enter().unwrap());
        drop(sections);
        assert!(!process.budget.is_recount_due(), "nobody has died");
    }
    let section = victim.budget.enter().unwrap();
    assert!(section.reserve(12_345));
    // As by a signal that kills: nothing of it is undone, and the system takes its locks away.
    std::mem::forget(section);
    drop(victim);
    let section = other.budget.enter().unwrap();
    assert!(other.budget.is_recount_due(), "it is alone");
    drop(process.budget.enter().unwrap());
    assert!(!process.budget.is_recount_due(), "it may be the other's section");
    drop(section);
    drop(process.budget.enter().unwrap());
    assert!(process.budget.is_recount_due());
    assert_eq!(process.recount().charged, right);
    // Who has seen it too finds that all of it is done; and nobody sees it again.
    let Process { files, budget, keys, pairs } = &other;
    budget.enter().unwrap().charge(1);
    assert!(budget.is_recount_due() && recount::recount_if_due(files, budget, keys, pairs, PATIENCE).unwrap());
    assert_eq!(budget.used(), right + 1, "it was not counted again");
    for process in [&other, &process] {
        drop(process.budget.enter().unwrap());
        assert!(!process.budget.is_recount_due());
    }
}

#[test]
fn two_threads_that_recount_do_so_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), &FailingDisk::healthy());
    let first = process.budget.exclude(PATIENCE).unwrap().unwrap();
    assert!(process.budget.exclude(Duration::from_millis(1)).unwrap().is_none());
    std::thread::scope(|scope| {
        let (begin, begun) = std::sync::mpsc::channel();
        let second = scope.spawn({
            let process = &process;
            move || {
                begin.send(()).unwrap();
                process.recount().charged
            }
        });
        begun.recv().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        drop(first);
        assert_eq!(second.join().unwrap(), process.budget.used());
    });
}

/// Its locks would be on a file that nobody else finds.
#[test]
fn a_pair_whose_index_is_replaced_while_it_is_opened_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let process = Process::start(directory.path(), &disk);
    let name = process.create("a", 5).name().to_owned();
    let [_, index] = process.files.pair(&name);
    let mut is_replaced = false;
    disk.fail(move |operation, path| {
        if operation == Operation::Opened && is_index(path) && !is_replaced {
            is_replaced = true;
            let copy = path.with_extension("copy");
            std::fs::copy(path, &copy).unwrap();
            std::fs::rename(copy, path).unwrap();
        }
        None
    });
    let pair = pair::open_pair(&process.files, &name, None).unwrap();
    assert!(pair::exclude_live(&process.files, &index).unwrap().is_none(), "it is live");
    drop(pair);
    assert!(pair::exclude_live(&process.files, &index).unwrap().is_some());
}

/// A child of a fork may be reading what the index vouches for.
#[test]
fn of_what_is_deleted_the_index_is_emptied_before_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let process = Process::start(directory.path(), &disk);
    let name = process.create("a", 5).name().to_owned();
    let punched = Arc::new(crate::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&punched);
    disk.fail(move |operation, path| {
        if operation == Operation::Punch {
            seen.lock().push(is_index(path));
        }
        None
    });
    process.pairs.delete(&process.files, &process.budget, &name);
    assert_eq!(*punched.lock(), [true, false]);
}

#[test]
fn a_pair_that_is_wanted_once_nobody_can_work_on_it_is_not_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), &FailingDisk::healthy());
    let name = process.create("a", 5).name().to_owned();
    let Process { files, budget, .. } = &process;
    let paths = files.pair(&name);
    let asked = std::cell::Cell::new(false);
    let _section = budget.enter().unwrap();
    let deleted = super::pairs::delete(files, budget, &name, |pair| {
        asked.set(true);
        assert!(pair.is_some() && pair::exclude_live(files, &paths[1]).unwrap().is_none(), "nobody else has it");
        false
    });
    assert!(deleted.unwrap().is_none() && asked.get());
    assert!(paths.iter().all(|path| path.exists()));
}

/// Two who take the same block would both be charged for it.
#[test]
fn a_block_of_the_index_is_taken_by_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), &FailingDisk::healthy());
    let pair = process.create("a", 0);
    let charged = process.budget.used();
    let other = process.files.disk.open_lock(&process.files.pair(pair.name())[1]).unwrap();
    // That of the words, which is the one behind that of the stamps.
    let block = (1 << 49) + 1..(1 << 49) + 2;
    assert!(other.try_lock(block.clone(), Lock::Exclusive).unwrap());
    let store = || pair.store(&process.budget, &Left, 0, &[7; PAGE as usize]);
    assert_eq!((store(), process.budget.used()), (pair::Stored::NotAll, charged));
    other.unlock(block);
    assert_eq!((store(), process.budget.used()), (pair::Stored::All, charged + 2 * 4096 + PAGE + 64));
}

#[test]
fn what_is_set_aside_stays_while_somebody_works_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), &FailingDisk::healthy());
    let pair = process.create("a", 5);
    process.files.set_aside_pair(pair.name(), "it is to be so");
    let aside = || process.files.list(&process.files.aside()).unwrap().len();
    process.recount();
    assert_eq!(aside(), 2);
    drop(pair);
    process.recount();
    assert_eq!(aside(), 0);
}

#[test]
fn nothing_is_stored_in_a_pair_that_is_not_reconciled() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::healthy();
    let first = Process::start(directory.path(), &disk);
    let (pair, _named) = (first.create("a", 5), first.create("b", 5));
    disk.reboot([1, 2]);
    let process = Process::start(directory.path(), &disk);
    let store = || pair.store(&process.budget, &Left, 10 * PAGE, &[7; PAGE as usize]);
    assert_eq!(store(), pair::Stored::NotAll);
    pair.reconcile(&process.budget);
    assert_eq!(store(), pair::Stored::All);
}
