//! What is seen of changes, made through the store and behind its back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use page_cache::{CacheStatus, CachedStore, Freshness};

use super::watched::{Asked, Watched};
use super::{Setup, bytes, status};
use crate::memory_origin::pattern;

fn forever() -> Setup {
    Setup::with(|builder| builder.freshness(Freshness::Immutable))
}

async fn read(store: &CachedStore, path: &str) -> Vec<u8> {
    store.get(&path.into()).await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn what_is_written_through_it_is_seen_at_once() {
    // Nothing is looked at again by itself, so that only the writing can be the reason.
    let setup = forever();
    let (store, other) = (setup.store.clone(), setup.anew());
    let path = Path::from("a");
    let is = async |expected: &[u8]| {
        assert!(read(&store, "a").await == expected);
        // One that has opened it anew, as another process would.
        assert!(read(&setup.anew(), "a").await == expected);
    };
    store.put(&path, pattern(9_000, 1).into()).await.unwrap();
    is(&pattern(9_000, 1)).await;
    store.put(&path, pattern(9_000, 2).into()).await.unwrap();
    is(&pattern(9_000, 2)).await;

    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(pattern(9_000, 3).into()).await.unwrap();
    is(&pattern(9_000, 2)).await;
    upload.complete().await.unwrap();
    is(&pattern(9_000, 3)).await;

    store.put(&"b".into(), pattern(9_000, 4).into()).await.unwrap();
    store.copy(&"b".into(), &path).await.unwrap();
    is(&pattern(9_000, 4)).await;
    store.put(&"c".into(), pattern(9_000, 5).into()).await.unwrap();
    assert!(read(&store, "c").await == pattern(9_000, 5));
    store.rename(&"c".into(), &path).await.unwrap();
    is(&pattern(9_000, 5)).await;
    assert!(matches!(store.get(&"c".into()).await, Err(Error::NotFound { .. })));

    store.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    store.put(&path, pattern(9_000, 6).into()).await.unwrap();
    is(&pattern(9_000, 6)).await;
    let deleted: Vec<_> = store.delete_stream(stream::iter([Ok(path.clone()), Ok("b".into())]).boxed()).collect().await;
    assert_eq!(deleted.len(), 2);
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
    drop(other);
}

#[tokio::test]
async fn a_write_that_fails_may_have_been_done() {
    let setup = forever();
    setup.store.put(&"a".into(), bytes(5_000).into()).await.unwrap();
    read(&setup.store, "a").await;
    setup.inner.take_asked();
    let nothing = Path::from("nothing");
    assert!(setup.store.copy(&nothing, &"a".into()).await.is_err());
    read(&setup.store, "a").await;
    assert_eq!(setup.inner.take_asked(), [Asked::Head], "what is held is asked about, and not fetched again");
    read(&setup.store, "a").await;
    assert_eq!(setup.inner.take_asked(), []);
}

#[tokio::test]
async fn freshness_says_when_a_change_behind_it_is_seen() {
    for (freshness, sees) in [
        (Freshness::Always, true),
        (Freshness::Revalidate { max_age: Duration::ZERO }, true),
        (Freshness::Revalidate { max_age: Duration::from_secs(3600) }, false),
        (Freshness::Immutable, false),
    ] {
        let setup = Setup::with(|builder| builder.freshness(freshness));
        setup.put_behind("a", &pattern(9_000, 1)).await;
        assert!(read(&setup.store, "a").await == pattern(9_000, 1));
        setup.put_behind("a", &pattern(8_000, 2)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        setup.inner.take_asked();
        let expected = if sees { pattern(8_000, 2) } else { pattern(9_000, 1) };
        assert!(read(&setup.store, "a").await == expected, "{freshness:?}");
        let size = setup.store.head(&"a".into()).await.unwrap().size;
        assert_eq!(size, expected.len() as u64, "{freshness:?}");
        assert_eq!(setup.inner.take_asked().is_empty(), !sees, "{freshness:?}");
        let listed = setup.store.list(None).next().await.unwrap().unwrap();
        assert_eq!(listed.size, 8_000, "a list is always of now");
    }
}

#[tokio::test]
async fn conditions_are_of_the_object_as_it_is() {
    let setup = forever();
    let path = Path::from("a");
    setup.put_behind("a", &pattern(9_000, 1)).await;
    let first = setup.store.head(&path).await.unwrap();
    setup.inner.take_asked();
    let get = async |options: GetOptions| setup.store.get_opts(&path, options).await;
    let matching = || GetOptions::new().with_if_match(first.e_tag.clone());
    assert!(get(matching()).await.is_ok());
    setup.inner.take_asked();
    // Of what is held no request is needed to say that it is that version.
    assert_eq!(status(&get(matching()).await.unwrap()), CacheStatus::Hit);
    assert_eq!(setup.inner.take_asked(), []);
    // Whether it has changed only the store knows.
    let unless = GetOptions::new().with_if_none_match(first.e_tag.clone());
    assert!(matches!(get(unless.clone()).await, Err(Error::NotModified { .. })));
    let since: DateTime<Utc> = first.last_modified;
    assert!(matches!(get(GetOptions::new().with_if_modified_since(Some(since))).await, Err(Error::NotModified { .. })));
    assert_eq!(setup.inner.take_asked(), [Asked::Head, Asked::Head]);

    setup.put_behind("a", &pattern(9_000, 2)).await;
    assert!(get(unless).await.unwrap().bytes().await.unwrap() == pattern(9_000, 2));
    assert!(matches!(get(matching()).await, Err(Error::Precondition { .. })));
    let now = setup.inner.head(&path).await.unwrap();
    setup.put_behind("a", &pattern(9_000, 3)).await;
    let newest = setup.inner.head(&path).await.unwrap();
    // What is known does not match, so it is looked at again.
    let result = get(GetOptions::new().with_if_match(newest.e_tag.clone())).await.unwrap();
    assert_eq!(result.meta, newest);
    assert!(matches!(get(GetOptions::new().with_if_match(now.e_tag)).await, Err(Error::Precondition { .. })));
    assert!(get(GetOptions::new().with_if_unmodified_since(Some(newest.last_modified))).await.is_ok());
}

#[tokio::test]
async fn versions_are_never_mixed() {
    let setup = forever();
    let path = Path::from("a");
    setup.put_behind("a", &pattern(40 << 20, 1)).await;
    let mut body = setup.store.get(&path).await.unwrap().into_stream();
    let mut got = body.next().await.unwrap().unwrap().len();
    setup.put_behind("a", &pattern(40 << 20, 2)).await;
    // What was begun ends with an error, or had all of its bytes on the way already.
    let error = loop {
        match body.next().await {
            Some(Ok(part)) => {
                assert!(part == pattern(40 << 20, 1)[got..got + part.len()]);
                got += part.len();
            }
            Some(Err(error)) => break error,
            None => panic!("all of 40 MiB were on their way"),
        }
    };
    assert!(matches!(error, Error::Precondition { .. }), "{error}");
    // And whoever reads next has the new version, without being told.
    assert!(read(&setup.store, "a").await == pattern(40 << 20, 2));

    // A read that finds the change before it has given anything is of the new version.
    setup.put_behind("b", &pattern(100_000, 1)).await;
    setup.store.get_range(&"b".into(), 0..10).await.unwrap();
    setup.put_behind("b", &pattern(100_000, 2)).await;
    assert!(setup.store.get_range(&"b".into(), 90_000..90_100).await.unwrap() == pattern(100_000, 2)[90_000..90_100]);
    setup.put_behind("b", &pattern(100_000, 3)).await;
    let ranges = setup.store.get_ranges(&"b".into(), &[0..10, 50_000..50_010]).await.unwrap();
    assert!(ranges[0] == pattern(100_000, 3)[..10] && ranges[1] == pattern(100_000, 3)[50_000..50_010]);
}

#[tokio::test]
async fn a_write_beside_a_look_is_not_forgotten() {
    let setup = forever();
    for round in 0..40u64 {
        let path = Path::from(format!("a{round}"));
        setup.put_behind(path.as_ref(), &pattern(9_000, 1)).await;
        setup.inner.delay(Duration::from_millis(2));
        let (reader, writer) = (setup.store.clone(), setup.store.clone());
        let (at, to) = (path.clone(), path.clone());
        let reading = tokio::spawn(async move { reader.get(&at).await.unwrap().bytes().await });
        tokio::time::sleep(Duration::from_micros(round * 100)).await;
        writer.put(&to, pattern(9_000, 2).into()).await.unwrap();
        _ = reading.await.unwrap();
        setup.inner.delay(Duration::ZERO);
        // Who was looking while it was written must not have left the old one behind.
        assert!(read(&setup.store, path.as_ref()).await == pattern(9_000, 2), "{round}");
        assert!(read(&setup.anew(), path.as_ref()).await == pattern(9_000, 2), "{round}");
    }
}

/// Who is looking may do so for longer than a writer waits for him.
#[tokio::test]
async fn a_write_beside_a_very_slow_look_is_not_forgotten() {
    let setup = Setup::with(|b| b.freshness(Freshness::Immutable).patience(Duration::from_millis(200)));
    setup.put_behind("a", &pattern(9_000, 1)).await;
    setup.inner.answer_late();
    setup.inner.delay(Duration::from_secs(2));
    let reader = setup.store.clone();
    let reading = tokio::spawn(async move { read(&reader, "a").await });
    while setup.inner.take_asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Its time is taken by the look that is under way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    setup.inner.delay(Duration::ZERO);
    setup.store.put(&"a".into(), pattern(9_000, 2).into()).await.unwrap();
    assert!(!reading.is_finished(), "the writer has not waited for the look");
    assert!(reading.await.unwrap() == pattern(9_000, 1));
    setup.store.flush().await;
    assert!(read(&setup.restarted().await.store, "a").await == pattern(9_000, 2));
}

#[tokio::test]
async fn what_is_written_is_seen_by_other_processes() {
    let mut setup = Setup::new();
    let path = Path::from("a");
    for version in 0..6 {
        let now = pattern(9_000, version);
        match version % 3 {
            0 => drop(setup.store.put(&path, now.clone().into()).await.unwrap()),
            1 => {
                let mut upload = setup.store.put_multipart(&path).await.unwrap();
                upload.put_part(now.clone().into()).await.unwrap();
                upload.complete().await.unwrap();
            }
            _ => {
                setup.put_behind("b", &now).await;
                setup.store.rename(&"b".into(), &path).await.unwrap();
            }
        }
        setup = setup.restarted().await;
        assert!(read(&setup.store, "a").await == now, "{version}");
        // Held, and as good as fresh.
        setup = setup.restarted().await;
        setup.inner.take_asked();
        assert!(read(&setup.store, "a").await == now, "{version}");
        assert_eq!(setup.inner.take_asked(), []);
    }
    setup.store.delete(&path).await.unwrap();
    assert!(matches!(setup.restarted().await.store.get(&path).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn what_is_deleted_is_not_found_even_if_nobody_listens_to_the_end() {
    for listens in [true, false] {
        let setup = forever();
        let paths = ["a", "b"].map(Path::from);
        for path in &paths {
            setup.put_behind(path.as_ref(), &bytes(9_000)).await;
            read(&setup.store, path.as_ref()).await;
        }
        setup.inner.delay(Duration::from_millis(500));
        let (store, all) = (setup.store.clone(), paths.clone().map(Ok));
        let deleting = tokio::spawn(async move {
            let deleted = store.delete_stream(stream::iter(all).boxed());
            deleted.take(if listens { usize::MAX } else { 1 }).collect::<Vec<_>>().await
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        setup.inner.delay(Duration::ZERO);
        // Whoever asks now learns that they are there.
        for path in &paths {
            assert!(read(&setup.store, path.as_ref()).await == bytes(9_000));
        }
        assert!(!deleting.is_finished());
        assert_eq!(deleting.await.unwrap().len(), if listens { 2 } else { 1 });
        for path in &paths {
            let error = setup.store.get(path).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{path} {listens}: {error}");
        }
    }
}

#[tokio::test]
async fn offline_answers_from_what_is_held() {
    let setup = Setup::new();
    setup.put_behind("a", &bytes(9_000)).await;
    setup.store.get_range(&"a".into(), 0..10).await.unwrap();
    let directory = setup.directory.path();
    let cache = page_cache::Cache::builder(directory).page_size(4096).offline(true).open().unwrap();
    let store = CachedStore::new(Arc::new(setup.inner.clone()), cache, "tests");
    setup.inner.take_asked();
    assert!(store.get_range(&"a".into(), 100..200).await.unwrap() == bytes(9_000)[100..200]);
    let known = store.head(&"a".into()).await.unwrap();
    let unless = GetOptions::new().with_if_none_match(known.e_tag).with_range(Some(GetRange::Bounded(0..1)));
    assert!(matches!(store.get_opts(&"a".into(), unless).await, Err(Error::NotModified { .. })));
    assert!(store.get_range(&"a".into(), 8_000..8_100).await.is_err());
    assert!(store.get_range(&"unknown".into(), 0..1).await.is_err());
    assert_eq!(setup.inner.take_asked(), []);
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_keeps_nothing_it_did_not_say() {
    let setup = Setup::over(Watched::new(InMemory::new()), |builder| builder.freshness(Freshness::Always));
    setup.put_behind("a", &bytes(9_000)).await;
    setup.inner.err_on_every(1);
    assert!(setup.store.get(&"a".into()).await.is_err());
    setup.inner.err_on_every(0);
    assert!(read(&setup.store, "a").await == bytes(9_000));
}

#[tokio::test]
async fn who_gives_up_a_write_does_not_know_what_becomes_of_it() {
    let setup = forever();
    setup.store.put(&"a".into(), pattern(9_000, 1).into()).await.unwrap();
    assert!(read(&setup.store, "a").await == pattern(9_000, 1));
    setup.store.flush().await;
    setup.inner.delay(Duration::from_secs(60));
    let path = Path::from("a");
    let put = setup.store.put(&path, pattern(9_000, 2).into());
    assert!(tokio::time::timeout(Duration::from_millis(50), put).await.is_err());
    setup.inner.delay(Duration::ZERO);
    assert!(read(&setup.store, "a").await == pattern(9_000, 2));
    // And as another process would see it, as soon as that is written down.
    setup.store.invalidate(&"b".into()).await;
    assert!(read(&setup.anew(), "a").await == pattern(9_000, 2));
}

#[tokio::test]
async fn an_object_that_is_invalidated_is_asked_about() {
    let setup = forever();
    setup.put_behind("a", &pattern(9_000, 1)).await;
    read(&setup.store, "a").await;
    setup.store.flush().await;
    setup.inner.take_asked();
    setup.store.invalidate(&"a".into()).await;
    assert!(read(&setup.store, "a").await == pattern(9_000, 1));
    assert_eq!(setup.inner.take_asked(), [Asked::Head], "of what is held nothing is fetched again");
    setup.put_behind("a", &pattern(9_000, 2)).await;
    assert!(read(&setup.store, "a").await == pattern(9_000, 1), "nobody has said so");
    setup.store.invalidate(&"a".into()).await;
    assert!(read(&setup.anew(), "a").await == pattern(9_000, 2));
    assert!(read(&setup.store, "a").await == pattern(9_000, 2));
}

#[tokio::test]
async fn a_date_tells_versions_once_it_is_old_enough() {
    let setup = Setup::new();
    let day = |day: u32| DateTime::<Utc>::UNIX_EPOCH + chrono::Days::new(u64::from(10_000 + day));
    for version in 1..4 {
        setup.inner.give_date_only(day(version));
        let now = pattern(9_000, u64::from(version));
        setup.put_behind("a", &now).await;
        setup.store.invalidate(&"a".into()).await;
        assert!(read(&setup.store, "a").await == now);
        setup.store.flush().await;
        setup.inner.take_asked();
        for store in [setup.store.clone(), setup.anew()] {
            let result = store.get(&"a".into()).await.unwrap();
            assert_eq!((status(&result), result.meta.last_modified), (CacheStatus::Hit, day(version)));
            assert!(result.bytes().await.unwrap() == now);
        }
        assert_eq!(setup.inner.take_asked(), []);
    }
    // Within the same minute there may be another version of it.
    setup.inner.give_date_only(Utc::now());
    setup.put_behind("b", &bytes(9_000)).await;
    for _ in 0..2 {
        assert_eq!(status(&setup.store.get(&"b".into()).await.unwrap()), CacheStatus::Bypass);
    }
}

/// Whoever reads after a write through the same store has returned reads that version or a later one, and one only.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_beside_a_writer_never_go_back() {
    const VERSIONS: usize = 100;
    const LEN: usize = 40_000;
    let setup = forever();
    let versions: Arc<Vec<Vec<u8>>> = Arc::new((0..VERSIONS as u64).map(|version| pattern(LEN, version)).collect());
    let path = Path::from("a");
    setup.store.put(&path, versions[0].clone().into()).await.unwrap();
    setup.inner.delay(Duration::from_millis(1));
    let (begun, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..6u64)
        .map(|reader| {
            let (store, versions, path) = (setup.store.clone(), Arc::clone(&versions), path.clone());
            let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut good, mut step) = (0, reader);
                while done.load(Ordering::SeqCst) < VERSIONS - 1 {
                    step += 1;
                    let start = step * 7_919 % (LEN as u64 - 200);
                    let ranges = [start..start + 100, (start + 20_000) % (LEN as u64 - 200)..LEN as u64 - 50];
                    let oldest = done.load(Ordering::SeqCst);
                    let read = match step % 3 {
                        0 => store.get_ranges(&path, &ranges).await,
                        1 => store.get_range(&path, ranges[0].clone()).await.map(|read| vec![read]),
                        _ => store.get_range(&path, ranges[1].clone()).await.map(|read| vec![Bytes::new(), read]),
                    };
                    let newest = begun.load(Ordering::SeqCst);
                    let read = match read {
                        Ok(read) => read,
                        // It may change more often than is looked.
                        Err(Error::Precondition { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    let is_version = |version: usize| {
                        let part = |range: &Range<u64>| &versions[version][range.start as usize..range.end as usize];
                        read.iter().zip(&ranges).all(|(read, range)| read.is_empty() || read == part(range))
                    };
                    assert!((oldest..=newest).any(is_version), "none of {oldest}..={newest}");
                    good += 1;
                }
                good
            })
        })
        .collect();
    for version in 1..VERSIONS {
        begun.store(version, Ordering::SeqCst);
        setup.store.put(&path, versions[version].clone().into()).await.unwrap();
        done.store(version, Ordering::SeqCst);
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    setup.inner.delay(Duration::ZERO);
    assert!(read(&setup.store, "a").await == versions[VERSIONS - 1]);
    setup.store.flush().await;
    assert!(read(&setup.anew(), "a").await == versions[VERSIONS - 1]);
}
