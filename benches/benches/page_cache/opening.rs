//! Opening a directory, an object, and one more handle.

use std::cell::LazyCell;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use page_cache::{Cache, FnOrigin, Freshness, Origin, Stat, Validators};
use svf_benches::{is_first_round, is_quick};

use super::cache;

/// An object of sevens.
fn sevens(key: String, length: u64) -> impl Origin + use<> {
    let validators = Validators { version: Some("1".into()), ..Validators::default() };
    let bytes = |range: Range<u64>| Ok(vec![7; (range.end - range.start) as usize].into());
    FnOrigin::new(key, Stat { length, validators }, bytes)
}

/// A cache in which nothing stays open that nobody has a handle of.
fn without_open_entries(directory: &Path) -> Cache {
    let builder = Cache::builder(directory).freshness(Freshness::Immutable);
    builder.max_open_entries(0).max_bytes(1 << 40).open().unwrap()
}

/// Opening an object of 1 TiB that is known, and one more handle beside many, of more objects than are kept open
/// without one.
pub(super) fn opening(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let cache = without_open_entries(&directory.path().join("long"));
    let open = || cache.file(sevens("long".into(), 1 << 40)).unwrap();
    assert_eq!(open().bytes(1 << 39..(1 << 39) + 3).unwrap(), [7; 3][..]);
    let mut group = criterion.benchmark_group("page-cache/open");
    group.bench_function(BenchmarkId::new("entry", "1TiB"), |bencher| bencher.iter(open));
    let mut out = [0; 64];
    group.bench_function(BenchmarkId::new("entry-and-first-touch", "1TiB"), |bencher| {
        bencher.iter(|| open().read_exact_at(black_box(&mut out), 1 << 39).unwrap());
    });
    for handles in [1_000, 10_000] {
        let beside = self::cache(&directory.path().join("beside"));
        let open = |number: usize| beside.file(sevens(format!("object:{}", number % 100), 1_000_000)).unwrap();
        // Only what is asked for is made ready.
        let held = LazyCell::new(|| (0..handles).map(open).collect::<Vec<_>>());
        group.bench_function(BenchmarkId::new("handle-beside", handles), |bencher| {
            assert!(held.iter().all(|file| file.page_size().is_some()), "all are stored");
            bencher.iter(|| open(handles));
        });
    }
}

/// A directory of so many objects: opening it, opening one of them, and counting all of them.
pub(super) fn opening_among_objects(criterion: &mut Criterion) {
    for objects in [10, if is_quick() { 1_000 } else { 100_000 }] {
        if objects > 1_000 && !is_first_round() {
            continue;
        }
        let object = |number: usize| sevens(format!("object:{number}"), 1_000_000);
        let directory = LazyCell::new(|| {
            let directory = tempfile::tempdir().unwrap();
            let cache = without_open_entries(directory.path());
            (0..objects).for_each(|number| drop(cache.file(object(number)).unwrap()));
            directory
        });
        let mut group = criterion.benchmark_group("page-cache/open");
        group.sample_size(10).bench_function(BenchmarkId::new("directory", objects), |bencher| {
            // Without its end, which waits until the thread of the directory sees that it is over.
            let open = |_| {
                let start = Instant::now();
                let _cache = without_open_entries(directory.path());
                start.elapsed()
            };
            bencher.iter_custom(|times| (0..times).map(open).sum());
        });
        group.bench_function(BenchmarkId::new("entry-among", objects), |bencher| {
            let (cache, mut number) = (without_open_entries(directory.path()), 0);
            bencher.iter(|| {
                number = (number + 7_919) % objects;
                let file = cache.file(object(number)).unwrap();
                assert!(file.page_size().is_some(), "it is stored");
            });
        });
        group.bench_function(BenchmarkId::new("recount", objects), |bencher| {
            let cache = without_open_entries(directory.path());
            bencher.iter(|| {
                let found = cache.recount(Duration::from_secs(1)).unwrap().unwrap();
                assert_eq!(found.pairs, objects as u64);
            });
        });
    }
}
