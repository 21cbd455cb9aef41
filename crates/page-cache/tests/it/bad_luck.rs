//! A control file that is not one, files that shrink while they are read, and a system that has nothing more to give.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::accounting::{allocated, charged, check_budget};
use crate::child;
use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, OpenError, Origin, OriginError, ReadError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const PAGE: u64 = 4096;
const LEN: usize = 100_000;

fn open(dir: &Path) -> Result<Cache, OpenError> {
    Cache::builder(dir).page_size(PAGE).open()
}

fn origin(key: &str) -> MemoryOrigin {
    MemoryOrigin::new(key, pattern(LEN, 1))
}

fn pair(dir: &Path, ending: &str) -> PathBuf {
    let mut paths = dir.join("pairs").read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.extension().unwrap() == ending).unwrap()
}

#[test]
fn a_control_file_of_anything_is_made_anew_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    open(dir).unwrap().file(origin("a")).unwrap().bytes(0..50_000).unwrap();
    let control = dir.join("control");
    let good = fs::read(&control).unwrap();
    assert_eq!((good.len(), &good[..12]), (4096, &b"SVF CTRL\x02\0\0\0"[..]));
    let charged = open(dir).unwrap().usage().charged;
    let flipped = (0..128).map(|bit| {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let random = [0, 1, 15, 100, 4095, 4097, 100_000].map(|len| pattern(len, 2));
    let zeros = [vec![0; 4096], [&good[..], &[0]].concat(), good[..4095].to_vec()];
    for bytes in flipped.chain(random).chain(zeros) {
        fs::write(&control, &bytes).unwrap();
        let cache = open(dir).unwrap();
        assert_eq!(cache.usage().charged, charged, "it was counted");
        assert_eq!(fs::read(&control).unwrap()[..16], good[..16]);
        let origin = origin("a");
        assert!(cache.file(origin.clone()).unwrap().bytes(0..50_000).unwrap() == pattern(LEN, 1)[..50_000]);
        assert_eq!(origin.take_reads(), [], "nothing that is held was lost");
    }
    // What is behind the header is numbers that change, so a flipped bit there is not seen; it costs room, or a
    // recount.
    for bit in 64 * 8..120 * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&control, &bytes).unwrap();
        let file = open(dir).unwrap().file(origin("a")).unwrap();
        assert!(file.bytes(0..LEN as u64).unwrap() == pattern(LEN, 1));
    }
}

#[test]
fn a_directory_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let control = directory.path().join("control");
    let mut bytes = fs::read(&control).unwrap();
    bytes[8] = 77;
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[..12]) as u32;
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&control, &bytes).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::OtherFormat { found: 77, .. }), "{error}");
    assert!(error.to_string().contains("another directory"), "{error}");
    assert_eq!(fs::read(&control).unwrap(), bytes, "it is as it was");
}

#[test]
fn a_control_that_is_something_else_is_refused() {
    for make in [
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| {
            std::os::unix::fs::symlink("/dev/null", path).unwrap();
        },
    ] {
        let directory = tempfile::tempdir().unwrap();
        drop(open(directory.path()).unwrap());
        let control = directory.path().join("control");
        fs::remove_file(&control).unwrap();
        make(&control);
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    }
}

#[test]
fn an_index_of_another_format_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    open(dir).unwrap().file(origin("a")).unwrap().bytes(0..LEN as u64).unwrap();
    let index = pair(dir, "index");
    let mut bytes = fs::read(&index).unwrap();
    bytes[8] = 3;
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[..112]) as u32;
    bytes[112..116].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&index, &bytes).unwrap();
    let origin = origin("a");
    assert!(open(dir).unwrap().file(origin.clone()).unwrap().bytes(0..LEN as u64).unwrap() == pattern(LEN, 1));
    assert_eq!(origin.take_reads(), [0..LEN as u64]);
}

/// A bit of the map or of the words, the counter or the boot id: right bytes all the same.
#[test]
fn a_flipped_bit_anywhere_in_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let bytes = pattern(LEN, 1);
    open(dir).unwrap().file(origin("a")).unwrap().bytes(0..LEN as u64).unwrap();
    let good = fs::read(pair(dir, "index")).unwrap();
    let places = [0..116, 4096..4120, 8192..8200, 16_384..16_384 + 25 * 8];
    for place in places.into_iter().flatten().step_by(3) {
        let index = pair(dir, "index");
        let mut flipped = fs::read(&index).unwrap();
        flipped[place] ^= 1 << (place % 8);
        assert_eq!(flipped.len(), good.len());
        fs::write(&index, &flipped).unwrap();
        let file = open(dir).unwrap().file(origin("a")).unwrap();
        assert!(file.bytes(0..LEN as u64).unwrap() == bytes, "byte {place}");
        assert!(file.held().contains(0..LEN as u64), "byte {place}: it is stored again");
        drop(file);
        open(dir).unwrap().recount(std::time::Duration::from_secs(10)).unwrap().unwrap();
    }
}

/// An error of the copy, and no signal; and then the pages are fetched again.
#[test]
fn data_that_is_truncated_while_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let origin = origin("a");
    let file = open(directory.path()).unwrap().file(origin.clone()).unwrap();
    let bytes = pattern(LEN, 1);
    assert!(file.bytes(0..LEN as u64).unwrap() == bytes);
    for len in [40_960, 0] {
        assert!(file.bytes(0..LEN as u64).unwrap() == bytes);
        File::options().write(true).open(pair(directory.path(), "data")).unwrap().set_len(len).unwrap();
        origin.take_reads();
        assert!(file.bytes(0..LEN as u64).unwrap() == bytes);
        assert_eq!(origin.take_reads(), [len..LEN as u64]);
    }
}

/// Behind the cut the system shows zeros up to the end of the block; of no more than those may a copy consist.
#[test]
fn data_that_is_truncated_inside_a_block_reads_as_zeros_to_the_end_of_that_block_at_most() {
    for cut in [50_000, 99_000] {
        let directory = tempfile::tempdir().unwrap();
        let file = open(directory.path()).unwrap().file(origin("a")).unwrap();
        let bytes = pattern(LEN, 1);
        assert!(file.bytes(0..LEN as u64).unwrap() == bytes);
        File::options().write(true).open(pair(directory.path(), "data")).unwrap().set_len(cut).unwrap();
        let read = file.bytes(0..LEN as u64).unwrap();
        let block_end = LEN.min(cut.next_multiple_of(4096) as usize);
        assert!(read[..cut as usize] == bytes[..cut as usize] && read[block_end..] == bytes[block_end..], "{cut}");
        let behind = &read[cut as usize..block_end];
        assert!(behind.iter().all(|&byte| byte == 0) || *behind == bytes[cut as usize..block_end], "{cut}");
        // Who opens it anew finds out.
        drop(file);
        assert!(open(directory.path()).unwrap().file(origin("a")).unwrap().bytes(0..LEN as u64).unwrap() == bytes);
    }
}

/// Zeros in a hole before what was stored would be taken for the bytes that this process has checked there.
#[test]
fn data_that_was_truncated_is_not_made_longer_by_what_is_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let file = open(directory.path()).unwrap().file(origin("a")).unwrap();
    let bytes = pattern(LEN, 1);
    assert!(file.bytes(0..LEN as u64).unwrap() == bytes);
    let data = pair(directory.path(), "data");
    File::options().write(true).open(&data).unwrap().set_len(40_960).unwrap();
    for start in [90_000, 50_000, 0] {
        assert!(file.bytes(start..start + 10_000).unwrap() == bytes[start as usize..start as usize + 10_000]);
    }
    assert_eq!(data.metadata().unwrap().len(), 40_960);
    // Who opens it anew finds out, and begins again.
    drop(file);
    let file = open(directory.path()).unwrap().file(origin("a")).unwrap();
    for _ in 0..2 {
        assert!(file.bytes(0..LEN as u64).unwrap() == bytes);
    }
    assert!(file.held().contains(0..LEN as u64) && file.stats().hits == 1);
}

#[test]
fn no_descriptors_no_mappings_no_address_space() {
    if child::is_child() {
        return read_though_exhausted();
    }
    for lack in ["descriptors", "address space"] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = child::command(no_descriptors_no_mappings_no_address_space);
        let output = child.env("DIR", directory.path()).env("LACK", lack).output().unwrap();
        assert!(output.status.success(), "{lack}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn read_though_exhausted() {
    let (dir, lack) = (std::env::var_os("DIR").unwrap(), std::env::var("LACK").unwrap());
    let bytes = pattern(LEN, 1);
    let cache = Cache::builder(Path::new(&dir)).page_size(PAGE).max_open_entries(0).open().unwrap();
    let held = cache.file(origin("held")).unwrap();
    held.bytes(0..50_000).unwrap();
    cache.file(origin("closed")).unwrap().bytes(0..50_000).unwrap();
    // Objects so long that little else is left for mapping them.
    let long = |key: &str| {
        let stat =
            page_cache::Stat { length: 1 << 40, validators: MemoryOrigin::new(key, vec![]).stat().unwrap().validators };
        page_cache::FnOrigin::new(key.to_owned(), stat, |range| Ok(vec![9; (range.end - range.start) as usize].into()))
    };
    let (resource, limit) = match lack.as_str() {
        "descriptors" => (Resource::Nofile, fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1),
        _ => {
            let pages = fs::read_to_string("/proc/self/statm").unwrap();
            (Resource::As, pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096 + (48 << 20))
        }
    };
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(limit), maximum: before.maximum }).unwrap();
    for _ in 0..2 {
        assert!(held.bytes(0..LEN as u64).unwrap() == bytes);
        for key in ["closed", "new"] {
            assert!(cache.file(origin(key)).unwrap().bytes(0..LEN as u64).unwrap() == bytes, "{key}");
        }
        let file = cache.file(long("long")).unwrap();
        assert_eq!(file.bytes(1 << 39..(1 << 39) + 10).unwrap(), [9; 10][..]);
    }
    setrlimit(resource, before).unwrap();
    assert!(cache.file(origin("closed")).unwrap().bytes(0..LEN as u64).unwrap() == bytes);
}

/// A cache that holds all of an object of which the third page is damaged on the disk.
fn with_a_damaged_page(dir: &Path) -> MemoryOrigin {
    let origin = origin("a");
    open(dir).unwrap().file(origin.clone()).unwrap().bytes(0..LEN as u64).unwrap();
    let data = File::options().write(true).open(pair(dir, "data")).unwrap();
    data.write_all_at(&[0; 10], 2 * 4096).unwrap();
    origin.take_reads();
    origin
}

#[test]
fn a_damaged_page_is_counted_once_a_read_however_many_ranges_want_it() {
    let directory = tempfile::tempdir().unwrap();
    let origin = with_a_damaged_page(directory.path());
    let file = open(directory.path()).unwrap().file(origin.clone()).unwrap();
    file.read_ranges(&[8192..8200, 8300..8400, 9000..9001]).unwrap();
    assert_eq!((file.stats().corrupt_pages, origin.take_reads()), (1, vec![8192..12_288]));
    assert!(file.held().contains(8192..12_288));
}

#[test]
fn offline_damage_is_counted_and_told_and_no_longer_held() {
    let directory = tempfile::tempdir().unwrap();
    let origin = with_a_damaged_page(directory.path());
    let cache = Cache::builder(directory.path()).offline(true).open().unwrap();
    let file = cache.file(origin.clone()).unwrap();
    let error = file.bytes(8192..8200).unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { range, .. } if *range == (8192..12_288)), "{error}");
    assert!(!file.held().contains(8192..8193), "what is damaged is not held");
    let error = file.bytes(8192..8200).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Offline { .. })), "{error}");
    assert_eq!((file.stats().corrupt_pages, file.stats().bypasses), (1, 0), "nothing was fetched past the cache");
    assert_eq!(origin.take_reads(), []);
}

#[test]
fn who_stores_nothing_takes_damage_away_too() {
    let directory = tempfile::tempdir().unwrap();
    let origin = with_a_damaged_page(directory.path());
    let file = open(directory.path()).unwrap().file(origin.clone()).unwrap().without_storing();
    file.bytes(8192..8200).unwrap();
    assert_eq!((file.stats().corrupt_pages, file.stats().bypasses), (1, 1));
    assert!(!file.held().contains(8192..8193));
}

/// Flips the bit of the map that stands for a block of the index.
fn flip_mark(dir: &Path, block: u32) {
    let index = File::options().read(true).write(true).open(pair(dir, "index")).unwrap();
    let mut marks = [0];
    index.read_exact_at(&mut marks, 8192).unwrap();
    index.write_all_at(&[marks[0] ^ 1 << block], 8192).unwrap();
}

#[test]
fn a_block_of_words_whose_mark_is_wrong_is_charged_before_it_is_stored_to() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let bytes = pattern(8 << 20, 1);
    let origin = MemoryOrigin::new("a", bytes.clone());
    open(dir).unwrap().file(origin.clone()).unwrap().bytes(0..4096).unwrap();
    // The words of the third and fourth megabyte; the first block is that of the stamps.
    flip_mark(dir, 2);
    let cache = open(dir).unwrap();
    let file = cache.file(origin).unwrap();
    let before = (charged(dir), allocated(dir));
    for _ in 0..2 {
        assert!(file.bytes(3 << 20..(3 << 20) + 4096).unwrap() == bytes[3 << 20..(3 << 20) + 4096]);
    }
    assert_eq!((charged(dir), allocated(dir)), (before.0 + 2 * 4096 + 64, before.1 + 2 * 4096));
    check_budget(&cache);
}

#[test]
fn data_whose_words_lost_their_mark_stays_charged() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let bytes = pattern(8 << 20, 1);
    let origin = MemoryOrigin::new("a", bytes.clone());
    open(dir).unwrap().file(origin.clone()).unwrap().bytes(0..8 << 20).unwrap();
    flip_mark(dir, 2);
    let cache = open(dir).unwrap();
    check_budget(&cache);
    let file = cache.file(origin.clone()).unwrap();
    origin.take_reads();
    assert!(file.bytes(0..8 << 20).unwrap() == bytes);
    assert_eq!(origin.take_reads(), [], "nothing of it was lost");
    check_budget(&cache);
}

/// The system kills a process that writes beyond its limit (`ulimit -f`), or makes a file longer than that.
#[test]
fn files_that_may_not_be_as_long_as_the_object() {
    const LIMIT: u64 = 10 << 20;
    let bytes = pattern(20 << 20, 1);
    if child::is_child() {
        let cache = open(Path::new(&std::env::var_os("DIR").unwrap())).unwrap();
        let before = cache.usage().charged;
        let hard = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), maximum: hard }).unwrap();
        for (key, held) in [("made before", LIMIT), ("new", 0)] {
            let file = cache.file(MemoryOrigin::new(key, bytes.clone())).unwrap();
            for range in [15 << 20..16 << 20, 1 << 20..2 << 20, 0..20 << 20] {
                assert!(file.bytes(range.clone()).unwrap() == bytes[range.start as usize..range.end as usize]);
            }
            assert!(file.held().num_bytes() <= held && !file.held().contains(LIMIT..LIMIT + 1));
            assert_eq!(file.held().contains(1 << 20..2 << 20), held > 0);
        }
        let file = cache.file(MemoryOrigin::new("made before", bytes.clone())).unwrap();
        // Of the index: one for the stamps, and those for the words of all that may be stored.
        let blocks = 6 * 4096;
        let pages = file.held().num_bytes() / PAGE;
        assert!(cache.usage().charged <= before + pages * (PAGE + 64) + blocks, "what is not stored is not charged");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).unwrap().file(MemoryOrigin::new("made before", bytes)).unwrap();
    let mut child = child::command(files_that_may_not_be_as_long_as_the_object);
    let output = child.env("DIR", directory.path()).output().unwrap();
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}
