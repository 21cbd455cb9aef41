//! What a power cut leaves of an index, and making it agree again: under a disk that fails at any step of that.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory_origin::{MemoryOrigin, pattern};
use super::{full, open};
use crate::cache::Cache;
use crate::cached_file::CachedFile;
use crate::sync::Mutex;
use crate::sys::failing::{FailingDisk, Operation};
use crate::sys::{BootId, Disk, DiskFile, LocalDisk, Lock};

/// So many pages of 4096 bytes that their words take two blocks.
const LEN: u64 = 4_000_000;
/// The places in an index for that: the counter, the map, and the two blocks of words.
const COUNTER: u64 = 4096;
const MAP: u64 = 8192;
const TABLE: [Range<u64>; 2] = [16_384..20_480, 20_480..24_576];
/// What a directory and a pair that is not reconciled are charged beyond what their files take.
/// Without the block of extents that the file system may have taken for each of the two files already.
const FIXED: u64 = 65_536 + 16_384 - 2 * 4096;
const BOOT: BootId = [1, 2];

/// A directory in which something is stored in both blocks, on a disk that was started anew and not yet looked at.
struct Restarted {
    directory: tempfile::TempDir,
    disk: FailingDisk,
    origin: MemoryOrigin,
    bytes: Vec<u8>,
}

impl Restarted {
    fn new(damage: impl Fn(&File)) -> Self {
        let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::healthy());
        let bytes = pattern(LEN as usize, 12);
        let origin = MemoryOrigin::new("a", bytes.clone());
        let file = open(directory.path(), &disk).unwrap().file(origin.clone()).unwrap();
        file.bytes(0..500_000).unwrap();
        file.bytes(3_000_000..3_500_000).unwrap();
        drop(file);
        let restarted = Self { directory, disk, origin, bytes };
        damage(&restarted.index());
        restarted.disk.reboot(BOOT);
        restarted
    }

    fn path(&self, ending: &str) -> PathBuf {
        let mut paths = self.directory.path().join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
    }

    fn index(&self) -> File {
        File::options().read(true).write(true).open(self.path(".index")).unwrap()
    }

    /// Opens the file, on a disk that fails at one operation and is looked at before each; and once more, on one that
    /// is well. How many operations the first opening took.
    fn reconcile(&self, failing: usize, look: impl Fn(Operation, &Path) + Send + 'static) -> usize {
        // What nobody has open is closed, so that the second opening is of all files.
        let cache = Cache::builder(self.directory.path()).max_open_entries(0).disk(self.disk.clone()).open().unwrap();
        let count = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&count);
        self.disk.fail(move |operation, path| {
            look(operation, path);
            let mut count = counter.lock();
            *count += 1;
            (*count == failing + 1).then(full)
        });
        cache.file(self.origin.clone()).unwrap();
        self.disk.fail(|_, _| None);
        let file = cache.file(self.origin.clone()).unwrap();
        let id = [4104, 4112].map(|offset| word(&self.index(), offset));
        assert_eq!(id, BOOT, "it was reconciled");
        let held = file.held();
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        assert_eq!(found.pages, held.num_bytes() / 4096, "failing: {failing}");
        // What a pair takes that is not reconciled is counted with its blocks of extents, which come and go when the
        // system writes it out.
        assert!(found.charged_before.abs_diff(found.charged) <= 2 * 4096, "failing: {failing}, {found:?}");
        let marked = u64::from(word(&self.index(), MAP).count_ones());
        let vouched_for = held.num_bytes() + (3 + marked) * 4096;
        assert!((vouched_for..=vouched_for + 2 * 4096).contains(&found.allocated), "failing: {failing}, {found:?}");
        assert!(file.bytes(0..LEN).unwrap() == self.bytes);
        assert!(file.held().contains(0..LEN), "all that is lost can be stored again");
        *count.lock()
    }
}

fn word(file: &File, offset: u64) -> u64 {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, offset).unwrap();
    u64::from_le_bytes(word)
}

/// What is charged, without a look through the cache.
fn charged(directory: &Path) -> u64 {
    word(&File::open(directory.join("control")).unwrap(), 88)
}

fn allocated(directory: &Path) -> u64 {
    let files = directory.join("pairs").read_dir().unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().blocks() * 512).sum()
}

/// At each step what is taken is charged; whichever step fails, and after it is begun anew.
fn is_charged_at_every_step(damage: impl Fn(&File)) {
    let (mut failing, mut steps) = (0, 1);
    while failing < steps {
        let restarted = Restarted::new(&damage);
        let directory = restarted.directory.path().to_owned();
        steps = restarted.reconcile(failing, move |operation, _| {
            let (charged, allocated) = (charged(&directory), allocated(&directory));
            assert!(charged >= allocated + FIXED, "{charged} for {allocated} before {operation:?}");
        });
        failing += 1;
    }
    assert!(failing > 10, "only {failing} operations were seen");
}

#[test]
fn what_a_lost_block_of_words_takes_is_charged_at_every_step() {
    is_charged_at_every_step(|index| DiskFile::punch(index, TABLE[0].clone()).unwrap());
}

/// A mark that is stored into a hole would be a signal on a disk that is full.
#[test]
fn a_map_that_was_lost_is_charged_and_allocated_before_it_is_stored_to() {
    is_charged_at_every_step(|index| DiskFile::punch(index, MAP..MAP + 4096).unwrap());
}

#[test]
fn the_counter_is_raised_above_every_word_before_the_first_goes() {
    for marks in [0b000u8, 0b010, 0b100, 0b110] {
        let restarted = Restarted::new(|index| {
            index.write_all_at(&[marks], MAP).unwrap();
            index.write_all_at(&1u64.to_le_bytes(), COUNTER).unwrap();
            // One that speaks of nothing, and will be withdrawn.
            index.write_all_at(&word(index, TABLE[0].start).to_le_bytes(), TABLE[0].start + 300 * 8).unwrap();
        });
        let index = restarted.index();
        let words = (TABLE[0].start..TABLE[1].end).step_by(8).map(|offset| word(&index, offset));
        let last = words.map(|word| word & 0x3FFF_FFFF).max().unwrap();
        assert!(last > 200);
        restarted.reconcile(usize::MAX - 1, move |operation, _| {
            if operation == Operation::Punch {
                assert!(word(&index, COUNTER) > last, "marks {marks:b}");
            }
        });
    }
}

/// Reads the same handle again and again until something of what was read is stored.
fn is_stored_at_last(restarted: &Restarted, file: &CachedFile) {
    let start = Instant::now();
    while !file.held().contains(1_000_000..1_100_000) {
        assert!(start.elapsed() < Duration::from_secs(30), "nothing is ever stored");
        assert!(file.bytes(1_000_000..1_100_000).unwrap() == restarted.bytes[1_000_000..1_100_000]);
    }
}

#[test]
fn a_handle_whose_pages_were_locked_at_its_opening_stores_later() {
    let restarted = Restarted::new(|_| ());
    let cache = open(restarted.directory.path(), &restarted.disk).unwrap();
    let other = LocalDisk.open_lock(&restarted.path(".index")).unwrap();
    let page = (1 << 48) + 1_050_000 / 4096;
    assert!(other.try_lock(page..page + 1, Lock::Exclusive).unwrap());
    let file = cache.file(restarted.origin.clone()).unwrap();
    let held = file.held();
    for _ in 0..3 {
        assert!(file.bytes(1_000_000..1_100_000).unwrap() == restarted.bytes[1_000_000..1_100_000]);
    }
    // Where nothing can be stored there is nothing to wait for.
    assert_eq!((file.held(), file.stats().waits), (held, 0));
    drop(other);
    is_stored_at_last(&restarted, &file);
}

#[test]
fn a_handle_whose_disk_failed_at_its_opening_stores_later() {
    let restarted = Restarted::new(|_| ());
    let cache = open(restarted.directory.path(), &restarted.disk).unwrap();
    restarted.disk.fail(|operation, _| (operation == Operation::Punch).then(full));
    let file = cache.file(restarted.origin.clone()).unwrap();
    assert_ne!(word(&restarted.index(), 4104), BOOT[0]);
    restarted.disk.fail(|_, _| None);
    is_stored_at_last(&restarted, &file);
}

/// A limit that was kept when the directory was counted is kept when its pairs are made to agree with themselves.
#[test]
fn a_pair_is_never_charged_more_once_it_is_reconciled() {
    let restarted = Restarted::new(|_| {});
    let cache = open(restarted.directory.path(), &restarted.disk).unwrap();
    let before = cache.usage().charged;
    let file = cache.file(restarted.origin.clone()).unwrap();
    assert_eq!(word(&restarted.index(), 4104), BOOT[0], "it is reconciled");
    let after = cache.usage().charged;
    assert!(file.held().num_bytes() > 900_000 && after <= before, "{before} bytes were charged, and then {after}");
    let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found.charged, after);
}

/// A directory of so many objects, before a start of the system; which threads look at an index afterwards is noted.
fn restarted_with(objects: u64, directory: &Path) -> (FailingDisk, Arc<Mutex<HashSet<Option<String>>>>) {
    let disk = FailingDisk::healthy();
    let cache = Cache::builder(directory).disk(disk.clone()).max_open_entries(0).open().unwrap();
    for object in 0..objects {
        let file = cache.file(MemoryOrigin::new(&object.to_string(), pattern(5_000, object))).unwrap();
        file.bytes(0..5_000).unwrap();
    }
    drop(cache);
    disk.reboot([7, 8]);
    let counters: Arc<Mutex<HashSet<_>>> = Arc::default();
    let noted = Arc::clone(&counters);
    disk.fail(move |operation, path| {
        if operation == Operation::Open && path.to_string_lossy().ends_with(".index") {
            noted.lock().insert(std::thread::current().name().map(str::to_owned));
        }
        None
    });
    (disk, counters)
}

/// Whether all has been counted since the system was started.
fn is_counted(directory: &Path) -> bool {
    word(&File::open(directory.join("control")).unwrap(), 64) == 7
}

#[test]
fn who_opens_a_large_directory_after_a_restart_does_not_wait_for_the_count() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, counters) = restarted_with(700, directory.path());
    let cache = Cache::builder(directory.path()).disk(disk).open().unwrap();
    let start = Instant::now();
    while !is_counted(directory.path()) {
        assert!(start.elapsed() < Duration::from_secs(60), "it is never counted");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(*counters.lock(), [Some("page-cache".to_owned())].into());
    let file = cache.file(MemoryOrigin::new("new", pattern(5_000, 1))).unwrap();
    file.bytes(0..5_000).unwrap();
    assert!(file.held().contains(0..5_000));
}

#[test]
fn who_cannot_wait_for_the_thread_has_a_large_directory_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, _) = restarted_with(700, directory.path());
    let cache = Cache::builder(directory.path()).disk(disk).open().unwrap();
    assert!(cache.ensure_counted(Duration::from_secs(60)).unwrap() && is_counted(directory.path()));
    let file = cache.file(MemoryOrigin::new("new", pattern(5_000, 1))).unwrap();
    file.bytes(0..5_000).unwrap();
    assert!(file.held().contains(0..5_000));
}

/// What is left to tidy up in a large directory is left to the thread, so that opening it costs as much as a small one.
#[test]
fn who_opens_a_large_directory_does_not_list_it() {
    let directory = tempfile::tempdir().unwrap();
    let open = |disk: &FailingDisk| Cache::builder(directory.path()).disk(disk.clone()).open().unwrap();
    let (disk, _) = restarted_with(700, directory.path());
    assert!(open(&disk).ensure_counted(Duration::from_secs(60)).unwrap());
    let left = directory.path().join("pairs/.left.0123456789abcdef.svf-tmp");
    std::fs::write(&left, b"what a dead process left").unwrap();

    let listers: Arc<Mutex<HashSet<_>>> = Arc::default();
    let noted = Arc::clone(&listers);
    disk.fail(move |operation, _| {
        if operation == Operation::ReadDir {
            noted.lock().insert(std::thread::current().name().map(str::to_owned));
        }
        None
    });
    let start = Instant::now();
    while left.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody tidies up");
        // The thread may still have had the directory open at the first time.
        let _cache = open(&disk);
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(*listers.lock(), [Some("page-cache".to_owned())].into());
}

#[test]
fn who_opens_a_small_directory_after_a_restart_finds_it_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, _) = restarted_with(20, directory.path());
    let _cache = Cache::builder(directory.path()).disk(disk).open().unwrap();
    assert!(is_counted(directory.path()));
}

#[test]
fn a_smaller_limit_holds_when_a_large_directory_is_open_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, _) = restarted_with(700, directory.path());
    let limit = 1 << 20;
    let cache = Cache::builder(directory.path()).disk(disk).max_bytes(limit).open().unwrap();
    assert!(is_counted(directory.path()));
    assert!(cache.usage().charged <= limit, "{:?}", cache.usage());
    assert!(allocated(directory.path()) <= limit);
}
