//! A directory of format 2 as it was written once: it must be readable for as long as the format has this number, by
//! this crate and by whoever has only `docs/on-disk-format.md`.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::memory_origin::{MemoryOrigin, pattern};
use crc_fast::{CrcAlgorithm, checksum};
use page_cache::{Cache, Origin};
use svf_core::RangeSet;

const LEN: usize = 100_000;
const PAGE: usize = 4096;
const HELD: [std::ops::Range<u64>; 3] = [0..4096, 40_960..53_248, 98_304..100_000];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/format-2")
}

fn origin() -> MemoryOrigin {
    MemoryOrigin::new("fixture", pattern(LEN, 42))
}

/// A copy of the fixture. An index names the inode of its data file, which a copy cannot keep.
fn copied() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for below in ["", "heads", "pairs"] {
        let to = directory.path().join(below);
        fs::create_dir_all(&to).unwrap();
        for entry in fixture().join(below).read_dir().unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let [data, index] = ["data", "index"].map(|ending| one(&directory.path().join("pairs"), ending));
    let file = File::options().read(true).write(true).open(index).unwrap();
    file.write_all_at(&data.metadata().unwrap().ino().to_le_bytes(), 40).unwrap();
    let mut header = [0; 112];
    file.read_exact_at(&mut header, 0).unwrap();
    file.write_all_at(&crc32c(&header).to_le_bytes(), 112).unwrap();
    directory
}

fn one(directory: &Path, ending: &str) -> PathBuf {
    let mut paths = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
}

fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[test]
fn the_fixture_is_read() {
    let directory = copied();
    let cache = Cache::builder(directory.path()).offline(true).open().unwrap();
    let entry = cache.entries().pop().unwrap();
    assert_eq!((entry.key.as_str(), entry.page_size, entry.stat.length), ("memory:fixture", 4096, LEN as u64));
    assert_eq!(entry.held, HELD.into_iter().collect::<RangeSet>());
    let file = cache.file(origin()).unwrap();
    for range in HELD {
        let expected = &pattern(LEN, 42)[range.start as usize..range.end as usize];
        assert_eq!(file.bytes(range).unwrap(), expected);
    }
    assert!(file.bytes(0..5_000).is_err(), "it is not held");
    drop((file, cache));
    let cache = Cache::builder(directory.path()).open().unwrap();
    assert!(cache.file(origin()).unwrap().bytes(0..LEN as u64).unwrap() == pattern(LEN, 42));
}

/// Another reader, by the document alone.
#[test]
fn the_fixture_is_what_the_document_says() {
    let directory = copied();
    let read = |path: &Path| fs::read(path).unwrap();
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let small = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());

    let control = read(&directory.path().join("control"));
    assert_eq!((&control[..8], small(&control, 8), control.len()), (&b"SVF CTRL"[..], 2, 4096));
    assert_eq!(small(&control, 12), crc32c(&control[..12]));
    assert!(number(&control, 88) > 0 && number(&control, 88) <= number(&control, 80));

    let head = read(&one(&directory.path().join("heads"), ""));
    assert_eq!((&head[..8], small(&head, 8), small(&head, 12)), (&b"SVF HEAD"[..], 1, crc32c(&head[16..])));
    let head: serde_json::Value = serde_json::from_slice(&head[16..]).unwrap();
    assert_eq!((&head["key"], &head["stat"]["length"]), (&"memory:fixture".into(), &LEN.into()));
    let pair = head["pair"].as_str().unwrap();
    let pairs = directory.path().join("pairs");
    let (data, index) = (read(&pairs.join(format!("{pair}.data"))), read(&pairs.join(format!("{pair}.index"))));

    assert_eq!((&index[..8], small(&index, 8), small(&index, 112)), (&b"SVFINDEX"[..], 2, crc32c(&index[..112])));
    let (page_size, length, nonce) = (number(&index, 16), number(&index, 24), number(&index, 32));
    assert_eq!((page_size, length, data.len()), (PAGE as u64, LEN as u64, LEN));
    let round = |bytes: u64| bytes.next_multiple_of(4096);
    let recency = round(2 * length.div_ceil(page_size.max(1 << 20)));
    let words = round(8 * length.div_ceil(page_size));
    let map = round(((recency + words) / 4096).div_ceil(8)).max(4096);
    let table = 8192 + map + recency;
    assert_eq!(index.len() as u64, table + words);
    let mut held = RangeSet::new();
    for page in 0..length.div_ceil(page_size) {
        let block = (recency / 4096) + page / 512;
        let word = number(&index, (table + 8 * page) as usize);
        if index[8192 + block as usize / 8] >> (block % 8) & 1 == 0 || word >> 30 & 3 != 2 {
            continue;
        }
        assert!((word & 0x3FFF_FFFF) < number(&index, 4096), "generations come from the counter");
        let bytes = page * page_size..((page + 1) * page_size).min(length);
        let page_bytes = &data[bytes.start as usize..bytes.end as usize];
        let seeded = [&nonce.to_le_bytes(), &page.to_le_bytes(), page_bytes].concat();
        assert_eq!((word >> 32) as u32, crc32c(&seeded), "page {page}");
        assert_eq!(page_bytes, &pattern(LEN, 42)[bytes.start as usize..bytes.end as usize]);
        held.insert(bytes);
    }
    assert_eq!(held, HELD.into_iter().collect::<RangeSet>());
}

/// How the fixture was made: with FIXTURE set it is made anew. Only a new format needs a new one, beside the old one.
#[test]
fn the_fixture_is_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let dir = if std::env::var_os("FIXTURE").is_some() { fixture() } else { directory.path().to_owned() };
    let cache = Cache::builder(dir).page_size(PAGE as u64).open().unwrap();
    let file = cache.file(origin()).unwrap();
    file.read_ranges(&HELD).unwrap();
    assert_eq!(file.held(), HELD.into_iter().collect::<RangeSet>());
    assert_eq!(file.key(), origin().key());
}
