//! What `cargo xtask crash --power` runs on file systems whose power it cuts: a writer, and a check of what is left. A
//! program without the test harness, which is told its part; untold it writes and checks, and no power is cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use page_cache::{Cache, CachedFile, FnOrigin, Stat, Validators};

const OBJECTS: u64 = 8;
const LEN: u64 = 3_000_000;
const PAGE: u64 = 4096;
/// Room for an eighth of all objects, so that pages come and go, and with them blocks of the indexes.
const MAX_BYTES: u64 = 3 << 20;
/// So much of the first object is to be kept, from its start, and of the second, while the power may be cut.
const KEPT: u64 = 1 << 20;
const SECOND: u64 = 1;

fn byte(object: u64, offset: u64) -> u8 {
    // No page of zeros, and no two alike.
    ((offset / PAGE + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ object << 40) >> (offset % 7 * 8)) as u8 | 1
}

fn bytes(object: u64, range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(|offset| byte(object, offset)).collect()
}

fn main() {
    let Some(part) = std::env::var_os("POWER_PART") else {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), 1);
        return check(directory.path());
    };
    let (dir, seed) = (std::env::var_os("CACHE").unwrap(), std::env::var("SEED").unwrap().parse::<u64>().unwrap());
    match part.to_str().unwrap() {
        "write" => write(dir.as_ref(), seed),
        "write on" => {
            let cache = open(dir.as_ref());
            keep(&cache, SECOND);
            // Outside of what loses its power: from here on that must be there.
            std::fs::write(std::env::var_os("KEPT").unwrap(), b"").unwrap();
            read_at_random(&cache, seed + 1_000, u64::MAX);
        }
        "check" => check(dir.as_ref()),
        other => panic!("{other} is no part"),
    }
}

fn open(dir: &Path) -> Cache {
    Cache::builder(dir).page_size(PAGE).max_bytes(MAX_BYTES).eager().open().unwrap()
}

fn file(cache: &Cache, object: u64) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let origin = FnOrigin::new(format!("object:{object}"), Stat { length: LEN, validators }, move |range| {
        Ok(bytes(object, range).into())
    });
    cache.file(origin).unwrap()
}

/// Fills a cache until something has been evicted from it.
fn write(dir: &Path, seed: u64) {
    let cache = open(dir);
    keep(&cache, 0);
    read_at_random(&cache, seed, 200);
    let stats = cache.stats();
    // While blocks of an index are given back nothing is stored.
    assert!(stats.origin_bytes > MAX_BYTES && stats.bypasses < 100, "{stats:?}");
}

/// Has the first extent of an object stored and kept.
fn keep(cache: &Cache, object: u64) {
    let kept = file(cache, object);
    assert!(kept.keep(0..KEPT).unwrap());
    // Where most is to be kept it may take more than one read until something else has gone.
    let start = std::time::Instant::now();
    while !kept.held().contains(0..KEPT) {
        assert!(start.elapsed() < Duration::from_secs(20), "there is room for it");
        kept.bytes(0..KEPT).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    // Only what was held by then is on the medium.
    assert!(kept.keep(0..KEPT).unwrap());
}

fn read_at_random(cache: &Cache, seed: u64, steps: u64) {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    for _ in 0..steps {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (object, start) = ((state >> 60) % OBJECTS, (state >> 20) % (LEN - 100_000));
        let end = start + 1 + (state >> 40) % 60_000;
        assert!(file(cache, object).bytes(start..end).unwrap() == bytes(object, start..end));
    }
}

/// What data files and indexes take is charged, and within the limit, without anybody having asked for a recount.
fn check_charged(dir: &Path, cache: &Cache, when: &str) {
    let files = ["pairs", "aside"].into_iter().flat_map(|below| dir.join(below).read_dir().unwrap());
    let allocated: u64 = files.map(|file| file.unwrap().metadata().unwrap().blocks() * 512).sum();
    let charged = cache.usage().charged;
    assert!(allocated <= charged && charged <= MAX_BYTES, "{when}: {allocated} bytes are taken, {charged} charged");
}

fn check(dir: &Path) {
    let cache = open(dir);
    check_charged(dir, &cache, "opened");
    let files: Vec<_> = (0..OBJECTS).map(|object| file(&cache, object)).collect();
    check_charged(dir, &cache, "each pair agrees with itself");
    let held: Vec<_> = files.iter().map(CachedFile::held).collect();
    // What was to be kept when the power was cut is, and nothing of it is missing or has to be fetched again.
    let second = std::env::var_os("KEPT").is_some_and(|kept| Path::new(&kept).exists());
    for (object, file) in [(0, &files[0]), (SECOND, &files[SECOND as usize])] {
        if object == 0 || second {
            assert_eq!(file.kept().unwrap().iter().collect::<Vec<_>>(), [0..KEPT], "object {object}");
            assert!(held[object as usize].contains(0..KEPT), "object {object}: {:?}", held[object as usize]);
            assert!(file.bytes(0..KEPT).unwrap() == bytes(object, 0..KEPT));
            assert_eq!(file.stats().origin_bytes, 0, "object {object}");
        }
    }
    for (object, (file, held)) in (0..).zip(files.iter().zip(&held)) {
        for range in held {
            assert!(file.bytes(range.clone()).unwrap() == bytes(object, range), "object {object}");
        }
    }
    check_charged(dir, &cache, "what was held is read");
    let settled = |when: &str| {
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        let fixed = cache.usage().fixed + found.pairs * (16 << 10);
        assert!(found.allocated <= found.charged, "{when}: {found:?}");
        assert!(found.charged <= found.allocated + 64 * found.pages + fixed, "{when}: {found:?}");
        found
    };
    // No block is taken that no word vouches for: what was damaged has been stored again in its place, and where a
    // block of the index was lost that took room, something has gone for it.
    let found = settled("what was held is read");
    assert_eq!(found.pages, files.iter().map(|file| file.held().num_bytes().div_ceil(PAGE)).sum::<u64>());
    assert!(found.pages <= held.iter().map(|held| held.num_bytes().div_ceil(PAGE)).sum::<u64>());
    for (object, file) in (0..).zip(&files) {
        assert!(file.bytes(0..LEN).unwrap() == bytes(object, 0..LEN), "object {object}");
        // And what was stored now is good too.
        assert!(file.verify().unwrap().damaged.is_empty());
        assert!(file.bytes(0..LEN).unwrap() == bytes(object, 0..LEN), "object {object}");
    }
    check_charged(dir, &cache, "filled again");
    settled("filled again");
    println!(
        "{} bytes held after the cut, {} pages corrupt, {} fetched",
        held.iter().map(svf_core::RangeSet::num_bytes).sum::<u64>(),
        cache.stats().corrupt_pages,
        cache.stats().origin_bytes
    );
}
