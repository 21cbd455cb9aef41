//! What `cargo xtask crash --power` runs on file systems whose power it cuts: a writer, and a check of what is left.
//! Without it nothing here is run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::path::PathBuf;
use std::time::Duration;

use page_cache::{Cache, CachedFile, FnOrigin, Stat, Validators};

const OBJECTS: u64 = 8;
const LEN: u64 = 3_000_000;
const PAGE: u64 = 4096;

fn byte(object: u64, offset: u64) -> u8 {
    // No page of zeros, and no two alike.
    ((offset / PAGE + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ object << 40) >> (offset % 7 * 8)) as u8 | 1
}

fn bytes(object: u64, range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(|offset| byte(object, offset)).collect()
}

fn open() -> Option<(Cache, u64)> {
    let cache = std::env::var_os("CACHE").map(PathBuf::from)?;
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    Some((Cache::builder(cache).page_size(PAGE).max_bytes(40 << 20).open().unwrap(), seed))
}

fn file(cache: &Cache, object: u64) -> CachedFile {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let origin = FnOrigin::new(format!("object:{object}"), Stat { length: LEN, validators }, move |range| {
        Ok(bytes(object, range).into())
    });
    cache.file(origin).unwrap()
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

#[test]
#[ignore = "cargo xtask crash --power runs it"]
fn write() {
    let Some((cache, seed)) = open() else { return };
    read_at_random(&cache, seed, 60);
}

#[test]
#[ignore = "cargo xtask crash --power runs it"]
fn write_on() {
    let Some((cache, seed)) = open() else { return };
    read_at_random(&cache, seed + 1_000, u64::MAX);
}

#[test]
#[ignore = "cargo xtask crash --power runs it"]
fn check() {
    let Some((cache, _)) = open() else { return };
    let files: Vec<_> = (0..OBJECTS).map(|object| file(&cache, object)).collect();
    let held: u64 = files.iter().map(|file| file.held().num_bytes()).sum();
    let settled = |when: &str| {
        let found = cache.recount(Duration::from_secs(10)).unwrap().unwrap();
        let fixed = (64 << 10) + found.pairs * (16 << 10);
        assert!(found.allocated <= found.charged, "{when}: {found:?}");
        assert!(found.charged <= found.allocated + 64 * found.pages + fixed, "{when}: {found:?}");
        found
    };
    // Opening has made each pair agree with itself: no block is taken that no word vouches for.
    let found = settled("reconciled");
    assert_eq!(found.pages, files.iter().map(|file| file.held().num_bytes().div_ceil(PAGE)).sum::<u64>());
    for (object, file) in (0..).zip(&files) {
        assert!(file.bytes(0..LEN).unwrap() == bytes(object, 0..LEN), "object {object}");
        // And what was stored now is good too.
        assert!(file.verify().unwrap().damaged.is_empty());
        assert!(file.bytes(0..LEN).unwrap() == bytes(object, 0..LEN), "object {object}");
    }
    settled("filled again");
    println!(
        "{held} bytes held after the cut, {} pages corrupt, {} fetched",
        cache.stats().corrupt_pages,
        cache.stats().origin_bytes
    );
}
