//! What is fetched ahead of who reads on, and that nothing is for anybody else: exact requests, by pages.

use std::ops::Range;
use std::time::{Duration, Instant};

use page_cache::{Advice, Cache, CachedFile, FnOrigin, LocalFile, ReadError, RetryPolicy, Stat, Validators, WhenFull};
use tempfile::TempDir;

use crate::memory_origin::{MemoryOrigin, pattern};

const PAGE: u64 = 4096;

struct Scene {
    file: CachedFile,
    origin: MemoryOrigin,
    bytes: Vec<u8>,
    _directory: TempDir,
}

fn scene_within(pages: u64, max_bytes: u64, when_full: WhenFull) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let bytes = pattern((pages * PAGE) as usize, 8);
    let origin = MemoryOrigin::new("ahead", bytes.clone());
    let cache = Cache::builder(directory.path())
        .page_size(PAGE)
        .max_bytes(max_bytes)
        .when_full(when_full)
        .retry(RetryPolicy::never());
    let file = cache.open().unwrap().file(origin.clone()).unwrap();
    Scene { file, origin, bytes, _directory: directory }
}

fn scene(pages: u64) -> Scene {
    scene_within(pages, 1 << 30, WhenFull::Evict)
}

impl Scene {
    /// Reads a part of a page.
    fn read(&self, page: u64) {
        self.read_at(page * PAGE + 10, 100);
    }

    fn read_at(&self, start: u64, len: u64) {
        let range = start..start + len;
        assert!(
            self.file.bytes(range.clone()).unwrap() == self.bytes[start as usize..(start + len) as usize],
            "{range:?}"
        );
    }

    /// The requests since the last call, in pages.
    fn requests(&self) -> Vec<Range<u64>> {
        self.origin.take_reads().into_iter().map(|read| read.start / PAGE..read.end.div_ceil(PAGE)).collect()
    }
}

#[test]
fn who_reads_on_is_fetched_for_ahead_more_and_more() {
    let scene = scene(64);
    (0..64).for_each(|page| scene.read(page));
    assert_eq!(scene.requests(), [0..1, 1..2, 2..3, 3..5, 5..8, 8..13, 13..22, 22..39, 39..64]);
    let stats = scene.file.stats();
    assert_eq!((stats.misses, stats.hits, stats.requests, stats.origin_bytes), (9, 55, 9, 64 * PAGE));
    // Again, without any.
    (0..64).for_each(|page| scene.read(page));
    assert_eq!(scene.requests(), []);
}

#[test]
fn reads_of_any_size_that_touch_are_one_reader() {
    let scene = scene(4096);
    let (mut at, mut requests) = (0, 0);
    // 2.5 pages each, so that every other one ends within a page.
    while at < 4000 * PAGE {
        scene.read_at(at, 10_240);
        at += 10_240;
        requests += scene.requests().len();
    }
    assert!(requests <= 15, "{requests}");
    assert!(scene.file.stats().origin_bytes <= 4096 * PAGE);
}

#[test]
fn nothing_is_fetched_ahead_of_who_does_not_read_on() {
    let forwards: Vec<u64> = (0..200).map(|step| step * 2).collect();
    let strided = (0..200).map(|step| step * 7 % 1000).collect();
    let backwards = (0..200).rev().collect();
    let scattered: Vec<u64> = (0..500).map(|step| step * 389 % 1000).collect();
    let pieces = (0..100).flat_map(|step| (0..3).map(move |page| step * 389 % 700 * 4 + page)).collect();
    let all: [(&str, Vec<u64>); 5] = [
        ("every other page", forwards),
        ("every seventh page", strided),
        ("backwards", backwards),
        ("scattered", scattered),
        ("three pages here and there", pieces),
    ];
    for (name, pages) in all {
        let scene = scene(3000);
        for &page in &pages {
            scene.read(page);
            assert_eq!(scene.requests(), [page..page + 1], "{name}");
        }
    }
}

#[test]
fn a_jump_ends_it_and_the_next_run_begins_small() {
    let scene = scene(1000);
    (0..20).for_each(|page| scene.read(page));
    assert_eq!(scene.requests().last(), Some(&(13..22)));
    (500..505).for_each(|page| scene.read(page));
    assert_eq!(scene.requests(), [500..501, 501..502, 502..503, 503..505]);
    // What it was before is gone on with, too.
    scene.read(21);
    scene.read(22);
    assert_eq!(scene.requests(), [22..39]);
}

#[test]
fn several_readers_in_one_file_are_told_from_each_other() {
    let scene = scene(1000);
    for page in 0..64 {
        for reader in 0..8 {
            scene.read(reader * 100 + page);
        }
    }
    let requests = scene.requests();
    for reader in 0..8 {
        let start = reader * 100;
        let own: Vec<_> = requests.iter().filter(|request| (start..start + 100).contains(&request.start)).collect();
        assert_eq!(own.len(), 9, "{own:?}");
    }
}

#[test]
fn what_is_held_is_not_fetched_again() {
    let scene = scene(64);
    [9, 30].into_iter().for_each(|page| scene.read(page));
    (0..64).for_each(|page| scene.read(page));
    let mut requests = scene.requests();
    requests.sort_by_key(|request| request.start);
    assert!(requests.windows(2).all(|pair| pair[0].end <= pair[1].start), "{requests:?}");
    assert_eq!(scene.file.stats().origin_bytes, 64 * PAGE);
}

#[test]
fn a_request_is_bounded_by_its_greatest_length_and_a_part_of_the_limit() {
    let bounds = [(17 << 8, 1 << 30, (8 << 20) / PAGE), (1000, 8 << 20, (8 << 20) / 64 / PAGE + 1), (50, 128 << 10, 1)];
    for (pages, limit, longest) in bounds {
        let scene = scene_within(pages, limit, WhenFull::Evict);
        (0..pages).for_each(|page| scene.read(page));
        let requests = scene.requests();
        let most = requests.iter().map(|request| request.end - request.start).max();
        assert_eq!(most, Some(longest), "{limit}");
        assert_eq!(requests.iter().map(|request| request.end - request.start).sum::<u64>(), pages, "{limit}");
    }
}

/// What cannot be stored is fetched again when it is read, so that it costs twice as much as it need.
#[test]
fn next_to_nothing_is_fetched_ahead_where_it_cannot_be_stored() {
    let pages = 2000;
    let scene = scene_within(pages, 400 * PAGE, WhenFull::Stop);
    (0..pages).for_each(|page| scene.read(page));
    let fetched: u64 = scene.requests().iter().map(|request| request.end - request.start).sum();
    assert!(fetched <= pages + pages / 8, "{fetched} pages for {pages}");
}

#[test]
fn after_a_failure_a_read_is_fetched_for_alone() {
    let scene = scene(100);
    (0..13).for_each(|page| scene.read(page));
    scene.requests();
    scene.origin.fail(true);
    assert!(matches!(scene.file.bytes(13 * PAGE..13 * PAGE + 1), Err(ReadError::Origin(_))));
    assert_eq!(scene.requests(), [13..22, 13..14]);
    scene.origin.fail(false);
    scene.read(13);
    assert_eq!(scene.requests(), [13..14]);
}

/// What nobody has asked for is no reason for a read to fail.
#[test]
fn what_cannot_be_read_ahead_costs_no_read() {
    let directory = tempfile::tempdir().unwrap();
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let origin = FnOrigin::new("bad", Stat { length: 100 * PAGE, validators }, |range: Range<u64>| {
        if range.end > 30 * PAGE {
            return Err(std::io::Error::other("a bad sector"));
        }
        Ok(vec![7; (range.end - range.start) as usize].into())
    });
    let file = Cache::builder(directory.path()).page_size(PAGE).open().unwrap().file(origin).unwrap();
    for page in 0..30 {
        assert_eq!(file.bytes(page * PAGE..page * PAGE + 2).unwrap(), [7, 7][..], "{page}");
    }
    assert!(file.bytes(30 * PAGE..30 * PAGE + 2).is_err());
}

#[test]
fn advice_is_taken() {
    let scene = scene(4096);
    let bytes = |pages: Range<u64>| pages.start * PAGE..pages.end * PAGE;
    scene.file.advise(bytes(0..1000), Advice::Random);
    (0..10).for_each(|page| scene.read(page));
    assert_eq!(scene.requests().len(), 10);
    scene.file.advise(bytes(1000..2000), Advice::Sequential);
    scene.read(1000);
    assert_eq!(scene.requests(), [1000..2000]);
    scene.file.advise(0..u64::MAX, Advice::Normal);
    (10..14).for_each(|page| scene.read(page));
    assert_eq!(scene.requests().last(), Some(&(13..15)));
    // What lies within the range as a whole goes, and nothing else.
    scene.file.advise(1000 * PAGE + 1..1010 * PAGE + 1, Advice::DontNeed);
    let held = scene.file.held();
    assert_eq!(held.gaps(bytes(1000..1020)).collect::<Vec<_>>(), [bytes(1001..1010)]);
    scene.read(1005);
    assert_eq!(scene.requests(), [1005..1006]);
}

#[test]
fn what_is_to_be_kept_stays_though_it_is_not_needed() {
    let scene = scene(1024);
    scene.read_at(0, 4 << 20);
    assert!(scene.file.keep(0..1 << 20).unwrap());
    scene.file.advise(0..2 << 20, Advice::DontNeed);
    assert_eq!(scene.file.held().iter().collect::<Vec<_>>(), [0..1 << 20, 2 << 20..4 << 20]);
}

#[test]
fn what_will_be_needed_is_fetched_meanwhile() {
    let scene = scene(4096);
    scene.read(5);
    let (first, second) = (0..100 * PAGE, 3000 * PAGE..4000 * PAGE);
    scene.file.advise(first.clone(), Advice::WillNeed);
    scene.file.advise(second.clone(), Advice::WillNeed);
    let start = Instant::now();
    while !scene.file.held().contains(first.clone()) || !scene.file.held().contains(second.clone()) {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", scene.file.held());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(scene.file.stats().origin_bytes, 1100 * PAGE);
    scene.requests();
    scene.read(50);
    scene.read(3500);
    assert_eq!(scene.requests(), []);
}

#[test]
fn advice_ends_where_its_range_does() {
    let scene = scene(200);
    scene.file.advise(0..10 * PAGE - 5, Advice::Sequential);
    scene.file.advise(40 * PAGE..50 * PAGE, Advice::Random);
    scene.read(0);
    assert_eq!(scene.requests(), [0..10]);
    // Nobody has said how what is between them is read.
    (20..40).for_each(|page| scene.read(page));
    assert_eq!(scene.requests(), [20..21, 21..22, 22..23, 23..25, 25..28, 28..33, 33..40]);
}

#[test]
fn what_will_be_needed_may_be_more_than_the_limit() {
    let scene = scene_within(4096, 8 << 20, WhenFull::Evict);
    scene.file.advise(0..u64::MAX, Advice::WillNeed);
    let start = Instant::now();
    while scene.file.held().num_bytes() < 4 << 20 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", scene.file.held());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The thread that fetches what will be needed does not keep a file open.
#[test]
fn the_last_handle_ends_what_would_be_needed() {
    let scene = scene(16 << 8);
    scene.origin.delay(Duration::from_millis(5));
    scene.file.advise(0..u64::MAX, Advice::WillNeed);
    drop(scene.file);
    // All that was begun ends, and then the origin has no other owner.
    let start = Instant::now();
    while scene.origin.owners() > 1 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A longer request of a file on this machine brings nothing sooner.
#[test]
fn nothing_is_fetched_ahead_of_what_is_near() {
    let directory = tempfile::tempdir().unwrap();
    let (path, bytes) = (directory.path().join("file"), pattern(64 * PAGE as usize, 8));
    std::fs::write(&path, &bytes).unwrap();
    let cache = Cache::builder(directory.path().join("cache")).page_size(PAGE).open().unwrap();
    let file = cache.file(LocalFile::new(&path).unwrap()).unwrap();
    for page in 0..32 {
        let range = page * PAGE + 10..page * PAGE + 110;
        assert!(file.bytes(range.clone()).unwrap() == bytes[range.start as usize..range.end as usize]);
    }
    assert_eq!((file.stats().requests, file.held().num_bytes()), (32, 32 * PAGE));
}
