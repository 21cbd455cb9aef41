//! What a cache does with directories that it cannot or must not use, and with damaged files in its own.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, Freshness, OpenError, Origin, OriginError, ReadError};
use tempfile::TempDir;

const PAGE: u64 = 4096;

fn open(dir: &Path) -> Result<Cache, OpenError> {
    Cache::builder(dir).page_size(PAGE).open()
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

/// A directory with two objects of which all is held, and the one pair and head of the first.
struct Filled {
    directory: TempDir,
    bytes: Vec<u8>,
    origin: MemoryOrigin,
    other: MemoryOrigin,
    head: PathBuf,
    index: PathBuf,
    data: PathBuf,
}

fn filled() -> Filled {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(50_000, 1);
    let (origin, other) = (MemoryOrigin::new("a", bytes.clone()), MemoryOrigin::new("b", bytes.clone()));
    let one = |ending| files(&directory.path().join("pairs"), ending).pop().unwrap();
    let cache = open(directory.path()).unwrap();
    cache.file(origin.clone()).unwrap().bytes(0..50_000).unwrap();
    let (index, data) = (one(".index"), one(".data"));
    let head = files(&directory.path().join("heads"), "").pop().unwrap();
    cache.file(other.clone()).unwrap().bytes(0..50_000).unwrap();
    origin.take_reads();
    other.take_reads();
    Filled { directory, bytes, origin, other, head, index, data }
}

impl Filled {
    /// Reads both objects in a cache opened anew: right bytes, the other one untouched; what the first one fetched.
    fn read_all(&self) -> u64 {
        let cache = open(self.directory.path()).unwrap();
        let file = cache.file(self.origin.clone()).unwrap();
        assert!(file.bytes(0..50_000).unwrap() == self.bytes);
        assert!(cache.file(self.other.clone()).unwrap().bytes(0..50_000).unwrap() == self.bytes);
        assert_eq!((self.other.take_reads(), self.other.stats()), (vec![], 1), "the other object was touched");
        self.origin.take_reads().iter().map(|read| read.end - read.start).sum()
    }

    fn set_aside(&self) -> usize {
        fs::read_dir(self.directory.path().join("aside")).unwrap().count()
    }
}

#[test]
fn an_index_of_random_bytes_is_set_aside_and_the_read_goes_on() {
    for len in [0, 100, 4096, 8192 + 13 * 8, 100_000] {
        let filled = filled();
        fs::write(&filled.index, pattern(len, 2)).unwrap();
        assert_eq!(filled.read_all(), 50_000, "index of {len} random bytes");
        assert_eq!(filled.set_aside(), 2, "both files of the pair");
        // The next opening finds nothing wrong, and clears away what was.
        assert_eq!(filled.read_all(), 0);
        assert_eq!(filled.set_aside(), 0);
    }
}

/// Else what was damaged again and again would never be asked about.
#[test]
fn what_is_made_in_the_place_of_a_damaged_pair_was_confirmed_when_that_was() {
    let filled = filled();
    let checked = || open(filled.directory.path()).unwrap().entry("memory:a").unwrap().checked;
    let (before, asked) = (checked(), filled.origin.stats());
    fs::write(&filled.index, b"nonsense").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(filled.read_all(), 50_000);
    assert_eq!((checked(), filled.origin.stats()), (before, asked));
}

/// Also if it was made offline, where the origin is not asked even about what is doubted.
#[test]
fn what_is_made_in_the_place_of_a_damaged_pair_is_doubted_as_that_was() {
    let filled = filled();
    let cache = open(filled.directory.path()).unwrap();
    cache.evict("memory:a").unwrap();
    let file = cache.file(filled.origin.clone()).unwrap();
    filled.origin.set(pattern(50_000, 3), "\"2\"");
    assert!(matches!(file.bytes(0..10), Err(ReadError::Origin(OriginError::Changed { .. }))));
    drop((file, cache));
    let asked = filled.origin.stats();
    fs::write(&filled.index, b"nonsense").unwrap();
    let offline = Cache::builder(filled.directory.path()).page_size(PAGE).offline(true).open().unwrap();
    assert_eq!(offline.file(filled.origin.clone()).unwrap().held().num_bytes(), 0);
    assert_eq!(filled.set_aside(), 2, "the pair was damaged, and another one was made");
    drop(offline);
    let online = Cache::builder(filled.directory.path()).page_size(PAGE).freshness(Freshness::Immutable);
    let file = online.open().unwrap().file(filled.origin.clone()).unwrap();
    assert_eq!((file.bytes(0..10).unwrap().to_vec(), filled.origin.stats()), (pattern(10, 3), asked + 1));
}

#[test]
fn a_word_that_was_changed_costs_its_page() {
    let filled = filled();
    let mut index = fs::read(&filled.index).unwrap();
    for page in [3, 7] {
        index[16_384 + page * 8 + 5] ^= 0x10;
    }
    fs::write(&filled.index, index).unwrap();
    assert_eq!(filled.read_all(), 2 * PAGE);
    assert_eq!(filled.set_aside(), 0);
    assert_eq!(filled.read_all(), 0);
}

#[test]
fn a_flipped_bit_in_a_page_costs_that_page() {
    let filled = filled();
    let mut data = fs::read(&filled.data).unwrap();
    for page in [0, 5, 12] {
        data[page * PAGE as usize + 100] ^= 1;
    }
    fs::write(&filled.data, data).unwrap();
    assert_eq!(filled.read_all(), 2 * PAGE + 50_000 % PAGE);
    assert_eq!(filled.read_all(), 0);
}

#[test]
fn data_that_is_missing_truncated_or_something_else() {
    type Damage = fn(&Filled);
    let damages: [(&str, Damage); 6] = [
        ("missing", |filled| fs::remove_file(&filled.data).unwrap()),
        ("truncated", |filled| File::options().write(true).open(&filled.data).unwrap().set_len(20_000).unwrap()),
        ("longer", |filled| File::options().write(true).open(&filled.data).unwrap().set_len(50_001).unwrap()),
        ("a directory", |filled| {
            fs::remove_file(&filled.data).unwrap();
            fs::create_dir(&filled.data).unwrap();
        }),
        ("a symbolic link", |filled| {
            let elsewhere = filled.directory.path().join("pairs/elsewhere");
            fs::rename(&filled.data, &elsewhere).unwrap();
            symlink(elsewhere, &filled.data).unwrap();
        }),
        ("another inode", |filled| {
            let copy = filled.directory.path().join("pairs/copy");
            fs::copy(&filled.data, &copy).unwrap();
            fs::rename(copy, &filled.data).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let filled = filled();
        damage(&filled);
        assert_eq!(filled.read_all(), 50_000, "{what}");
        assert_eq!(filled.read_all(), 0, "{what}");
    }
}

#[test]
fn two_pairs_whose_data_files_were_swapped() {
    let filled = filled();
    let other = files(&filled.directory.path().join("pairs"), ".data").into_iter().find(|path| *path != filled.data);
    let (other, swap) = (other.unwrap(), filled.directory.path().join("swap"));
    fs::rename(&filled.data, &swap).unwrap();
    fs::rename(&other, &filled.data).unwrap();
    fs::rename(&swap, &other).unwrap();
    let cache = open(filled.directory.path()).unwrap();
    for origin in [&filled.origin, &filled.other] {
        assert!(cache.file(origin.clone()).unwrap().bytes(0..50_000).unwrap() == filled.bytes);
        assert_eq!(origin.take_reads(), [0..50_000]);
    }
}

#[test]
fn a_damaged_head_costs_a_look_at_the_origin_and_its_pair() {
    for bytes in [vec![], pattern(10, 3), pattern(3_000, 4), pattern(2 << 20, 5)] {
        let filled = filled();
        fs::write(&filled.head, &bytes).unwrap();
        assert_eq!(filled.read_all(), 50_000);
        assert_eq!(filled.origin.stats(), 2);
        assert_eq!(filled.read_all(), 0);
        let pairs = files(&filled.directory.path().join("pairs"), ".data");
        assert_eq!(pairs.len(), 2, "the pair that no head names any more was removed: {pairs:?}");
    }
    let filled = filled();
    fs::remove_file(&filled.head).unwrap();
    fs::create_dir(&filled.head).unwrap();
    assert_eq!(filled.read_all(), 50_000);
    assert_eq!(filled.read_all(), 0);
}

#[test]
fn a_head_of_another_key_is_not_believed() {
    let filled = filled();
    let heads = files(&filled.directory.path().join("heads"), "");
    let other = heads.iter().find(|path| **path != filled.head).unwrap();
    fs::copy(other, &filled.head).unwrap();
    assert_eq!(filled.read_all(), 50_000);
}

#[test]
fn what_a_process_left_behind_is_removed_by_the_next() {
    let filled = filled();
    let leftovers = ["pairs/.x.data.0123.svf-tmp", "heads/.y.4567.svf-tmp", ".CACHEDIR.TAG.89ab.svf-tmp", "aside/z"];
    for leftover in leftovers {
        fs::write(filled.directory.path().join(leftover), b"half written").unwrap();
    }
    let name = filled.data.file_stem().unwrap().to_str().unwrap();
    let (known, _) = name.split_once('-').unwrap();
    for orphan in [format!("{known}-0011223344556677-0011223344556677"), format!("{}-00-00", "f".repeat(32))] {
        for ending in ["data", "index"] {
            fs::write(filled.directory.path().join(format!("pairs/{orphan}.{ending}")), b"no head names it").unwrap();
        }
    }
    assert_eq!(filled.read_all(), 0);
    for leftover in leftovers {
        assert!(!filled.directory.path().join(leftover).exists(), "{leftover}");
    }
    assert_eq!(files(&filled.directory.path().join("pairs"), "").len(), 4);
}

#[test]
fn caches_are_opened_and_closed_by_many_threads_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern(20_000, 6);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let origin = MemoryOrigin::new("a", bytes.clone());
                    let file = open(directory.path()).unwrap().file(origin).unwrap();
                    assert!(file.bytes(0..20_000).unwrap() == bytes);
                }
            });
        }
    });
}

#[test]
fn a_path_below_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let precious = directory.path().join("precious");
    fs::write(&precious, b"data").unwrap();
    for tag in [None, Some("Signature: 8a477f597d28d172789f06886806bc55\n# Somebody else's cache.\n")] {
        if let Some(tag) = tag {
            fs::write(directory.path().join("CACHEDIR.TAG"), tag).unwrap();
        }
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, OpenError::NotACache { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    assert_eq!(fs::read(&precious).unwrap(), b"data");
}

#[test]
fn dot_files_of_others_are_never_touched() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(".ssh")).unwrap();
    fs::write(directory.path().join(".ssh/id"), b"precious").unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotACache { .. }), "{error}");

    // Also not where a cache is already.
    let filled = filled();
    for below in ["", "heads", "pairs"] {
        let trash = filled.directory.path().join(below).join(".Trash-0");
        fs::create_dir(&trash).unwrap();
        fs::write(trash.join("file"), b"precious").unwrap();
    }
    assert_eq!(filled.read_all(), 0);
    for below in ["", "heads", "pairs"] {
        assert_eq!(fs::read(filled.directory.path().join(below).join(".Trash-0/file")).unwrap(), b"precious");
    }
}

#[test]
fn a_fifo_in_the_place_of_a_file_keeps_nobody_waiting() {
    let filled = filled();
    for path in [&filled.head, &filled.index, &filled.data] {
        fs::remove_file(path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }
    assert_eq!(filled.read_all(), 50_000);
    assert_eq!(filled.read_all(), 0);
}

#[test]
fn a_tag_that_a_power_cut_left_empty() {
    let filled = filled();
    fs::write(filled.directory.path().join("CACHEDIR.TAG"), b"").unwrap();
    assert_eq!(filled.read_all(), 0);
    assert!(fs::read(filled.directory.path().join("CACHEDIR.TAG")).unwrap().starts_with(b"Signature: 8a477f59"));
}

#[test]
fn a_generation_counter_that_is_damaged_costs_the_pair_once() {
    let filled = filled();
    let mut index = fs::read(&filled.index).unwrap();
    index[4096..4104].fill(0xFF);
    fs::write(&filled.index, index).unwrap();
    assert_eq!(filled.read_all(), 50_000);
    assert_eq!(filled.read_all(), 0);
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o777, 0o770, 0o722] {
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, OpenError::WritableByOthers { .. }), "{error}");
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    open(directory.path()).unwrap();
}

/// Whether this process may give files away, as only root may.
fn may_chown(path: &Path) -> bool {
    chown(path, Some(12_345), None).is_ok()
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("theirs");
    fs::create_dir(&path).unwrap();
    // Without root there is a directory of another user all the same: the file system's own root.
    let (path, owner) = if may_chown(&path) { (path, 12_345) } else { (PathBuf::from("/"), 0) };
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { owner: of, .. } if of == owner), "{error}");
    assert!(!path.join("CACHEDIR.TAG").exists());
}

#[test]
fn page_sizes_that_cannot_be() {
    let directory = tempfile::tempdir().unwrap();
    for page_size in [0, 1, 2048, 4097, 12_288, 128 << 20, u64::MAX] {
        let error = Cache::builder(directory.path()).page_size(page_size).open().unwrap_err();
        assert!(matches!(error, OpenError::PageSize { .. }), "{error}");
        assert!(error.to_string().contains(&page_size.to_string()), "{error}");
    }
    for page_size in [4 << 10, 64 << 20] {
        Cache::builder(directory.path()).page_size(page_size).open().unwrap();
    }
}

#[test]
fn files_are_private_and_named_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("deep/er/cache");
    let cache = open(&dir).unwrap();
    let origin = MemoryOrigin::new("secret", pattern(10, 7));
    cache.file(origin.clone()).unwrap().bytes(0..1).unwrap();
    assert_eq!(cache.entry(origin.key()).unwrap().key, "memory:secret");
    let mut pending = vec![dir];
    while let Some(path) = pending.pop() {
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
        assert!(!path.to_string_lossy().contains("secret"));
        if metadata.is_dir() {
            pending.extend(files(&path, ""));
        }
    }
}
