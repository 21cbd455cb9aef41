//! What is taken out of a cache and into another: whatever the sizes of their pages, and whatever stands in its place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::memory_origin::{MemoryOrigin, pattern};
use page_cache::{Cache, CachedFile, TransferError};
use svf_core::RangeSet;

const LEN: u64 = (20 << 20) + 12_345;

fn open(dir: &Path, name: &str, page_size: u64, origin: &MemoryOrigin) -> CachedFile {
    let cache = Cache::builder(dir.join(name)).page_size(page_size).open().unwrap();
    cache.file(origin.clone()).unwrap()
}

/// The whole pages of a size that lie in what is held.
fn whole_pages(held: &RangeSet, page_size: u64) -> RangeSet {
    let page = |start: u64| start..(start + page_size).min(LEN);
    (0..LEN.div_ceil(page_size))
        .map(|number| page(number * page_size))
        .filter(|page| held.contains(page.clone()))
        .collect()
}

#[test]
fn every_whole_page_arrives_whatever_the_sizes_of_pages() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let bytes = pattern(LEN as usize, 1);
    let origin = MemoryOrigin::new("a", bytes.clone());
    let sizes = [4 << 10, 64 << 10, 16 << 20, 64 << 20];
    for (from, holes) in [(4 << 10, true), (64 << 10, true), (1 << 20, true), (16 << 20, false), (64 << 20, false)] {
        let source = open(dir, &format!("from-{from}-{holes}"), from, &origin);
        if holes {
            // Runs that begin and end anywhere, and one that is longer than what an import keeps in memory.
            for range in [70_000..80_000, (1 << 20) - 5..(3 << 20) + 5, (9 << 20)..LEN] {
                source.bytes(range).unwrap();
            }
        } else {
            source.bytes(0..LEN).unwrap();
        }
        let out = dir.join(format!("out-{from}"));
        let held = source.export(&out).unwrap();
        assert_eq!(held, source.held());
        for to in sizes {
            let target = open(dir, &format!("from-{from}-to-{to}"), to, &origin);
            let stored = target.import(&out).unwrap();
            assert_eq!(stored, whole_pages(&held, to), "pages of {from} into pages of {to}");
            assert_eq!(target.held(), stored);
            origin.take_reads();
            for range in &stored {
                assert!(target.bytes(range.clone()).unwrap() == bytes[range.start as usize..range.end as usize]);
            }
            assert_eq!(origin.take_reads(), []);
        }
    }
}

#[test]
fn what_is_exported_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(10_000, 2));
    let file = open(directory.path(), "cache", 4096, &origin);
    file.bytes(0..10_000).unwrap();
    file.export(directory.path().join("out")).unwrap();
    for name in ["out", "out.svf-pages"] {
        let mode = directory.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn what_is_no_list_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let origin = MemoryOrigin::new("a", pattern(10_000, 3));
    let file = open(directory.path(), "cache", 4096, &origin);
    file.bytes(0..10_000).unwrap();
    let out = directory.path().join("out");
    file.export(&out).unwrap();
    let list: PathBuf = directory.path().join("out.svf-pages");
    let good = fs::read(&list).unwrap();
    let refused = |why: &str| {
        let error = file.import(&out).unwrap_err();
        assert!(matches!(&error, TransferError::NotExported { path, .. } if *path == list), "{why}: {error}");
        assert!(error.to_string().contains(why), "{why}: {error}");
    };

    // As much as no memory holds; it takes no room on the disk.
    fs::File::options().write(true).open(&list).unwrap().set_len(1 << 43).unwrap();
    refused("8796093022208 bytes long");

    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    refused("not a regular file");
    fs::remove_dir(&list).unwrap();
    assert!(Command::new("mkfifo").arg(&list).status().unwrap().success());
    refused("not a regular file");

    // The data too: nobody is kept waiting.
    fs::remove_file(&list).unwrap();
    fs::write(&list, &good).unwrap();
    fs::remove_file(&out).unwrap();
    assert!(Command::new("mkfifo").arg(&out).status().unwrap().success());
    let error = file.import(&out).unwrap_err();
    assert!(matches!(&error, TransferError::Io { path, .. } if *path == out), "{error}");
}
