//! The first read of an object: one round trip, one version, and stored behind the answer.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use object_store::memory::InMemory;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use page_cache::{Cache, CacheStatus, CachedStore, Freshness, OnUnreachable, Timeouts};

use super::watched::{Asked, Watched};
use super::{PAGE, Setup, bytes, status};
use crate::memory_origin::pattern;

const MIB: u64 = 1 << 20;

/// Ranges that are too far from each other for one request.
fn far(count: u64) -> Vec<Range<u64>> {
    (0..count).map(|part| part * 2 * MIB + 100..part * 2 * MIB + 200).collect()
}

fn is(read: &[bytes::Bytes], ranges: &[Range<u64>], all: &[u8]) -> bool {
    read.len() == ranges.len()
        && read.iter().zip(ranges).all(|(read, range)| read == &all[range.start as usize..range.end as usize])
}

#[tokio::test]
async fn far_ranges_are_asked_for_at_once() {
    let setup = Setup::new();
    let all = bytes(20 << 20);
    setup.put_behind("a", &all).await;
    setup.inner.delay(Duration::from_millis(30));
    let ranges = far(7);
    assert!(is(&setup.store.get_ranges(&"a".into(), &ranges).await.unwrap(), &ranges, &all));
    let (mut asked, at_once) = (setup.inner.take_asked(), setup.inner.take_most_at_once());
    asked.sort_by_key(|asked| match asked {
        Asked::Range(range) => range.start,
        other => panic!("{other:?}"),
    });
    let pages: Vec<_> = ranges.iter().map(|range| Asked::Range(range.start - 100..range.start - 100 + PAGE)).collect();
    assert_eq!((asked, at_once), (pages, 7));
    setup.store.flush().await;
    assert!(is(&setup.anew().get_ranges(&"a".into(), &ranges).await.unwrap(), &ranges, &all));
    assert_eq!(setup.inner.take_asked(), [], "all of it was kept");
    let stats = setup.store.cache().stats();
    assert_eq!((stats.requests, stats.origin_bytes), (7, 7 * PAGE));
}

#[tokio::test]
async fn no_more_requests_are_sent_at_once_than_may_be() {
    let setup = Setup::with(|builder| builder.max_in_flight(3));
    let all = bytes(40 << 20);
    setup.put_behind("a", &all).await;
    setup.inner.delay(Duration::from_millis(5));
    let ranges = far(20);
    assert!(is(&setup.store.get_ranges(&"a".into(), &ranges).await.unwrap(), &ranges, &all));
    // One for the look, and beside it as many as may be.
    assert!(setup.inner.take_most_at_once() <= 4);
    assert_eq!(setup.inner.take_asked().len(), 20, "nothing is fetched twice");
}

#[tokio::test]
async fn an_object_that_is_replaced_between_the_requests_is_not_mixed() {
    let ranges = far(5);
    for call in 0..6 {
        for (old, new) in [(10 << 20, 10 << 20), (10 << 20, 9 << 20)] {
            let setup = Setup::with(|builder| builder.freshness(Freshness::Immutable));
            let (old, new) = (pattern(old, 1), pattern(new, 2));
            setup.put_behind("a", &old).await;
            setup.inner.replace_after(call, "a", new.clone());
            let read = setup.store.get_ranges(&"a".into(), &ranges).await.unwrap();
            let is_replaced = call < 5;
            assert!(is(&read, &ranges, if is_replaced { &new } else { &old }), "{call}");
            // And what was kept of it is of that version.
            setup.store.flush().await;
            let kept = setup.anew();
            let read = kept.get_ranges(&"a".into(), &ranges).await.unwrap();
            assert!(is(&read, &ranges, if is_replaced { &new } else { &old }), "{call}");
        }
    }
}

#[tokio::test]
async fn without_validators_nothing_is_put_together() {
    let ranges = far(3);
    for call in 0..4 {
        let setup = Setup::over(Watched::new(InMemory::new()).without_validators(), |builder| builder);
        let (old, new) = (pattern(10 << 20, 1), pattern(10 << 20, 2));
        setup.put_behind("a", &old).await;
        setup.inner.replace_after(call, "a", new.clone());
        let read = setup.store.get_ranges(&"a".into(), &ranges).await.unwrap();
        // The store below answers them all together, after the looks.
        assert!(is(&read, &ranges, if call < 3 { &new } else { &old }), "{call}");
    }
}

#[tokio::test]
async fn however_many_read_it_first_it_is_fetched_once() {
    let setup = Setup::new();
    let all = bytes(300_000);
    setup.put_behind("a", &all).await;
    setup.inner.delay(Duration::from_millis(10));
    let stores: Vec<_> =
        (0..16).map(|number| if number % 2 == 0 { setup.store.clone() } else { setup.anew() }).collect();
    let path = "a".into();
    let reads = stores.iter().enumerate().map(|(number, store)| {
        let start = 8192 + number as u64 * 100;
        let (all, path) = (&all, &path);
        async move {
            let read = store.get_range(path, start..start + 100).await.unwrap();
            assert!(read == all[start as usize..start as usize + 100]);
        }
    });
    join_all(reads).await;
    assert_eq!(setup.inner.take_asked(), [Asked::Range(8192..12_288)]);
}

#[tokio::test]
async fn many_who_always_ask_do_not_wait_for_each_other_one_by_one() {
    const TASKS: u64 = 32;
    let setup = Setup::with(|builder| builder.freshness(Freshness::Always));
    let all = bytes(40_000);
    setup.put_behind("a", &all).await;
    setup.store.get(&"a".into()).await.unwrap();
    setup.store.flush().await;
    setup.inner.take_asked();
    setup.inner.delay(Duration::from_millis(200));
    let path = "a".into();
    for asks in [false, true] {
        let reads = (0..TASKS).map(|number| {
            let (start, tag) = (number * 1_000, asks.then_some("\"another\""));
            let range = GetRange::Bounded(start..start + 100);
            let options = GetOptions::new().with_range(Some(range)).with_if_none_match(tag);
            let (all, path, store) = (&all, &path, &setup.store);
            async move {
                let read = store.get_opts(path, options).await.unwrap().bytes().await.unwrap();
                assert!(read == all[start as usize..start as usize + 100]);
            }
        });
        join_all(reads).await;
        let asked = setup.inner.take_asked();
        // One, and another one for those who came after it was sent; more on a machine that starts threads slowly.
        assert!((1..=TASKS as usize / 4).contains(&asked.len()), "{asked:?}");
    }
}

#[tokio::test]
async fn a_long_read_goes_on_where_the_first_answer_ends() {
    let setup = Setup::new();
    let all = bytes(20 << 20);
    setup.put_behind("a", &all).await;
    let result = setup.store.get(&"a".into()).await.unwrap();
    assert_eq!((status(&result), result.meta.size), (CacheStatus::Miss, 20 << 20));
    assert!(result.bytes().await.unwrap() == all);
    assert_eq!(setup.inner.take_bytes(), 20 << 20, "nothing is fetched twice");
    let asked = setup.inner.take_asked();
    assert_eq!(asked[0], Asked::Range(0..MIB));
    // The others are under way several at once.
    assert!(asked[1..3].contains(&Asked::Range(MIB..3 * MIB)), "{asked:?}");
    assert!(setup.anew().get(&"a".into()).await.unwrap().bytes().await.unwrap() == all);
    assert_eq!(setup.inner.take_asked(), []);
}

#[tokio::test]
async fn what_is_partly_held_and_old_is_asked_for_as_far_as_it_is_missing() {
    let setup = Setup::with(|builder| builder.freshness(Freshness::Always));
    let all = bytes(10 << 20);
    setup.put_behind("a", &all).await;
    let ranges = far(4);
    setup.store.get_ranges(&"a".into(), &ranges[..3]).await.unwrap();
    setup.store.flush().await;
    setup.inner.take_asked();
    assert!(is(&setup.store.get_ranges(&"a".into(), &ranges).await.unwrap(), &ranges, &all));
    assert_eq!(setup.inner.take_asked(), [Asked::Range(6 * MIB..6 * MIB + PAGE)]);
}

#[tokio::test]
async fn a_store_that_never_answers_is_an_error() {
    let timeouts = Timeouts::default().with_total(Duration::from_millis(200));
    let slow = |setup: &Setup, namespace: &str| {
        let inner = Arc::new(setup.inner.clone());
        CachedStore::builder(inner, setup.store.cache().clone(), namespace).timeouts(timeouts).build()
    };
    let setup = Setup::with(|builder| builder.freshness(Freshness::Always).retry(page_cache::RetryPolicy::never()));
    setup.put_behind("a", &bytes(100_000)).await;
    let known = slow(&setup, "known");
    known.get_range(&"a".into(), 0..10).await.unwrap();
    known.flush().await;

    setup.inner.be_silent(true);
    let unknown = slow(&setup, "unknown");
    let begun = Instant::now();
    let path = "a".into();
    for error in [
        unknown.head(&path).await.unwrap_err(),
        unknown.get_range(&path, 0..10).await.unwrap_err(),
        unknown.get_ranges(&path, &[0..10, 50_000..50_010]).await.unwrap_err(),
        known.get_range(&path, 50_000..50_010).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Generic { .. }) && error.to_string().contains("200ms"), "{error}");
    }
    // Of what is held nothing is missing.
    known.get_range(&path, 0..10).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    setup.inner.be_silent(false);
    unknown.get_range(&path, 0..10).await.unwrap();
}

#[tokio::test]
async fn what_a_slow_store_says_too_late_counts_for_the_next() {
    let setup = Setup::with(|builder| builder.freshness(Freshness::Always));
    setup.put_behind("a", &pattern(9_000, 1)).await;
    setup.store.get(&"a".into()).await.unwrap();
    setup.store.flush().await;
    setup.put_behind("a", &pattern(9_000, 2)).await;
    // For longer than an opening waits that has something to serve.
    setup.inner.delay(Duration::from_secs(4));
    let read = async || setup.store.get_range(&"a".into(), 0..9_000).await.unwrap();
    assert!(read().await == pattern(9_000, 1));
    setup.inner.take_asked();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What is held is doubted, so that its answer is waited for.
    assert!(read().await == pattern(9_000, 2));
}

#[tokio::test]
async fn a_range_behind_what_is_known_is_looked_at_again() {
    let setup = Setup::with(|builder| builder.freshness(Freshness::Immutable));
    setup.put_behind("a", &pattern(9_000, 1)).await;
    setup.store.get_range(&"a".into(), 0..9_000).await.unwrap();
    let grown = pattern(20_000, 1);
    setup.put_behind("a", &grown).await;
    assert!(setup.store.get_range(&"a".into(), 15_000..15_100).await.unwrap() == grown[15_000..15_100]);
    setup.put_behind("a", &pattern(50_000, 1)).await;
    let read = setup.store.get_ranges(&"a".into(), &[0..10, 40_000..40_010]).await.unwrap();
    assert!(is(&read, &[0..10, 40_000..40_010], &pattern(50_000, 1)));
    assert!(setup.store.get_range(&"a".into(), 50_000..50_001).await.is_err());
}

#[tokio::test]
async fn suffixes_of_an_unknown_object() {
    for (length, suffix, expected) in
        [(100_000, 0, 100_000..100_000), (100_000, 1, 99_999..100_000), (100, 1 << 40, 0..100), (0, 5, 0..0)]
    {
        let setup = Setup::new();
        let all = bytes(length);
        setup.put_behind("a", &all).await;
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(suffix)));
        for store in [setup.store.clone(), setup.store.clone(), setup.anew()] {
            let result = store.get_opts(&"a".into(), options.clone()).await.unwrap();
            assert_eq!(result.range, expected, "{suffix} of {length}");
            assert!(result.bytes().await.unwrap() == all[expected.start as usize..expected.end as usize]);
        }
    }
}

#[tokio::test]
async fn what_is_answered_is_stored_once_it_is_flushed() {
    let setup = Setup::new();
    let count = 100;
    for number in 0..count {
        setup.put_behind(&format!("{number}"), &pattern(30_000, number)).await;
    }
    let reads = (0..count).map(|number| {
        let store = setup.store.clone();
        async move {
            let read = store.get_range(&format!("{number}").into(), 0..30_000).await.unwrap();
            assert!(read == pattern(30_000, number));
        }
    });
    join_all(reads).await;
    setup.store.flush().await;
    let entries = setup.store.cache().entries();
    assert_eq!(entries.len(), count as usize);
    assert!(entries.iter().all(|entry| entry.held.num_bytes() == 30_000));
    // Also where nothing was under way.
    setup.anew().flush().await;
}

#[tokio::test]
async fn metadata_that_were_asked_for_are_no_hit() {
    let setup = Setup::new();
    setup.put_behind("a", &bytes(10)).await;
    let head = || GetOptions::new().with_head(true);
    for expected in [CacheStatus::Miss, CacheStatus::Hit] {
        assert_eq!(status(&setup.store.get_opts(&"a".into(), head()).await.unwrap()), expected);
        setup.store.flush().await;
    }
    assert_eq!(setup.inner.take_asked(), [Asked::Head]);
}

#[tokio::test]
async fn offline_nothing_passes() {
    let setup = Setup::new();
    setup.put_behind("other", &bytes(10)).await;
    let cache = Cache::builder(setup.directory.path()).page_size(PAGE).offline(true);
    let cache = cache.on_unreachable(OnUnreachable::Fail).open().unwrap();
    let store = CachedStore::builder(Arc::new(setup.inner.clone()), cache, "tests").admit_prefix("data").build();
    assert!(store.get(&"other".into()).await.is_err());
    assert!(store.get_ranges(&"other".into(), &[0..1]).await.is_err());
    assert!(store.head(&"other".into()).await.is_err());
    assert_eq!(setup.inner.take_asked(), []);
}
