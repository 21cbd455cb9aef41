//! What is read, by which requests, and what is said of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, PutOptions,
};
use page_cache::{Cache, CacheStatus, CachedStore};

use super::watched::{Answered, Asked, Mark, Watched};
use super::{PAGE, Setup, bytes, status};

fn ranged(range: GetRange) -> GetOptions {
    GetOptions::new().with_range(Some(range))
}

#[tokio::test]
async fn the_first_read_is_one_request_and_the_second_none() {
    let all = bytes(100_000);
    for (range, asked, wanted) in [
        (Some(GetRange::Bounded(5_000..5_010)), Asked::Range(4096..8192), 5_000..5_010),
        (Some(GetRange::Bounded(99_000..200_000)), Asked::Range(98_304..200_704), 99_000..100_000),
        (Some(GetRange::Offset(90_000)), Asked::Range(86_016..1_138_688), 90_000..100_000),
        (Some(GetRange::Suffix(8)), Asked::Suffix(8 + PAGE), 99_992..100_000),
        (None, Asked::Range(0..1 << 20), 0..100_000),
    ] {
        let setup = Setup::new();
        setup.put_behind("a", &all).await;
        let options = GetOptions::new().with_range(range.clone());
        let first = setup.store.get_opts(&"a".into(), options.clone()).await.unwrap();
        assert_eq!((status(&first), first.range.clone()), (CacheStatus::Miss, wanted.clone()), "{range:?}");
        let here = &all[wanted.start as usize..wanted.end as usize];
        assert!(first.bytes().await.unwrap() == here, "{range:?}");
        assert_eq!(setup.inner.take_asked(), [asked], "{range:?}");
        for store in [setup.store.clone(), setup.anew()] {
            let again = store.get_opts(&"a".into(), options.clone()).await.unwrap();
            assert_eq!((status(&again), again.range.clone()), (CacheStatus::Hit, wanted.clone()), "{range:?}");
            assert!(again.bytes().await.unwrap() == here, "{range:?}");
        }
        assert_eq!(setup.inner.take_asked(), [], "{range:?}");
    }
}

#[tokio::test]
async fn several_ranges_are_read_as_one_batch() {
    let setup = Setup::new();
    let all = bytes(5_000_000);
    setup.put_behind("a", &all).await;
    let ranges = [3_000_000..3_000_100, 10..20, 15..5_000, 4_999_999..5_000_000];
    for expected in [true, false] {
        let read = setup.store.get_ranges(&"a".into(), &ranges).await.unwrap();
        for (range, read) in ranges.iter().zip(&read) {
            assert!(read == &all[range.start as usize..range.end as usize], "{range:?}");
        }
        let asked = setup.inner.take_asked();
        assert_eq!(asked.len(), if expected { 3 } else { 0 }, "{asked:?}");
    }
    // All of it within a request's reach comes with the version.
    setup.put_behind("b", &all).await;
    setup.store.get_ranges(&"b".into(), &[100_000..100_010, 5..10, 200_000..200_001]).await.unwrap();
    assert_eq!(setup.inner.take_asked(), [Asked::Range(0..200_704)]);
    assert!(setup.store.get_ranges(&"b".into(), &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_long_object_is_read_in_pieces_and_only_as_far_as_somebody_reads() {
    let setup = Setup::with(|builder| builder.page_size(64 << 10));
    let all = bytes(64 << 20);
    setup.put_behind("a", &all).await;
    let result = setup.store.get(&"a".into()).await.unwrap();
    let mut body = result.into_stream();
    assert!(body.next().await.unwrap().unwrap() == all[..1 << 20]);
    // Who does not go on for a while has no more read for him than who has given up.
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(body);
    // What was on its way has been read by now.
    let mut before = setup.inner.take_bytes();
    assert!(before <= 20 << 20, "{before}");
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        match setup.inner.take_bytes() {
            0 => break,
            more => before += more,
        }
    }
    assert!((1 << 20..=20 << 20).contains(&before), "{before}");
    let read = setup.store.get(&"a".into()).await.unwrap().bytes().await.unwrap();
    assert!(read == all);
    assert_eq!(before + setup.inner.take_bytes(), 64 << 20, "no page is fetched twice");
    setup.inner.take_asked();
    assert!(setup.anew().get(&"a".into()).await.unwrap().bytes().await.unwrap() == all);
    assert_eq!(setup.inner.take_asked(), []);
}

#[tokio::test]
async fn metadata_and_attributes_are_as_the_store_gave_them() {
    let setup = Setup::new();
    let path = Path::from("a/b");
    let attributes: Attributes = [
        (Attribute::ContentType, "image/tiff"),
        (Attribute::CacheControl, "no-store"),
        (Attribute::Metadata("made-by".into()), "a scanner"),
    ]
    .into_iter()
    .collect();
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    setup.store.put_opts(&path, bytes(10_000).into(), options).await.unwrap();
    let expected = setup.inner.head(&path).await.unwrap();
    for store in [setup.store.clone(), setup.store.clone(), setup.anew()] {
        let result = store.get_opts(&path, ranged(GetRange::Bounded(1..5))).await.unwrap();
        assert_eq!((&result.meta, &result.attributes), (&expected, &attributes));
        assert_eq!(store.head(&path).await.unwrap(), expected);
        let head = store.get_opts(&path, GetOptions::new().with_head(true)).await.unwrap();
        assert_eq!((head.meta, head.attributes, head.range), (expected.clone(), attributes.clone(), 0..10_000));
    }
    setup.inner.take_asked();
    setup.anew().head(&path).await.unwrap();
    assert_eq!(setup.inner.take_asked(), [], "metadata are answered from what is known");
}

#[tokio::test]
async fn bad_ranges_are_errors_as_of_the_store_below() {
    let setup = Setup::new();
    setup.put_behind("a", &bytes(100)).await;
    setup.put_behind("empty", b"").await;
    for range in
        [GetRange::Bounded(100..101), GetRange::Offset(100), GetRange::Bounded(5..5), GetRange::Offset(1 << 60)]
    {
        for path in ["a", "empty"].map(Path::from) {
            let inner = setup.inner.get_opts(&path, ranged(range.clone())).await;
            let ours = setup.store.get_opts(&path, ranged(range.clone())).await;
            assert!(inner.is_err() && matches!(ours, Err(Error::Generic { .. })), "{path} {range:?}: {ours:?}");
        }
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
    let reversed = 7..5;
    assert!(setup.store.get_range(&"a".into(), reversed.clone()).await.is_err());
    assert!(setup.store.get_ranges(&"a".into(), &[0..1, reversed]).await.is_err());
    assert!(setup.store.get_ranges(&"a".into(), &[0..1, 100..101]).await.is_err());
    assert!(matches!(setup.store.get(&"none".into()).await, Err(Error::NotFound { .. })));
    assert!(matches!(setup.store.head(&"none".into()).await, Err(Error::NotFound { .. })));
    assert!(setup.store.get_ranges(&"none".into(), &[0..1]).await.is_err());
}

#[tokio::test]
async fn empty_objects_and_suffixes_longer_than_the_object() {
    let setup = Setup::new();
    setup.put_behind("empty", b"").await;
    setup.put_behind("short", b"abc").await;
    for _ in 0..2 {
        assert_eq!(setup.store.get(&"empty".into()).await.unwrap().bytes().await.unwrap(), "");
        assert_eq!(setup.store.head(&"empty".into()).await.unwrap().size, 0);
        let suffix = setup.store.get_opts(&"short".into(), ranged(GetRange::Suffix(100))).await.unwrap();
        assert_eq!(suffix.range, 0..3);
        assert_eq!(suffix.bytes().await.unwrap(), "abc");
    }
}

#[tokio::test]
async fn paths_with_every_character_and_of_every_length() {
    let setup = Setup::new();
    let all: Vec<char> = (1..=0x2ff).filter_map(char::from_u32).filter(|c| *c != '/').collect();
    // In keys of a length that stores allow.
    let odd = all.chunks(200).map(|chunk| Path::from(chunk.iter().collect::<String>()));
    let long = format!("{}/{}", "x".repeat(500), "y".repeat(523));
    let mut paths = vec![Path::from(long), Path::from("a//b/%2F/%25"), Path::from("a b/c?d#e&f=ü\u{1F5C4}")];
    paths.extend(odd);
    paths.extend(Path::parse("raw/%41?version=1"));
    for (number, path) in paths.iter().enumerate() {
        setup.store.put(path, bytes(5_000 + number).into()).await.unwrap();
    }
    for _ in 0..2 {
        for (number, path) in paths.iter().enumerate() {
            let read = setup.store.get(path).await.unwrap().bytes().await.unwrap();
            assert!(read == bytes(5_000 + number), "{path}");
        }
    }
    let keys: std::collections::BTreeSet<_> = paths.iter().map(|path| setup.store.key_of(path)).collect();
    assert_eq!(keys.len(), paths.len());
    let entries: std::collections::BTreeSet<_> =
        setup.store.cache().entries().into_iter().map(|entry| entry.key).collect();
    assert_eq!(entries, keys);
}

#[tokio::test]
async fn stores_with_equal_paths_and_lengths_are_kept_apart_by_their_namespaces() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).open().unwrap();
    let names = ["one", "two", "a/b", "a", "a%2Fb", ""];
    let mut stores = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let inner = InMemory::new();
        // Of equal lengths and ETags.
        inner.put(&"b/c".into(), vec![number as u8; 1000].into()).await.unwrap();
        inner.put(&"c".into(), vec![100 + number as u8; 1000].into()).await.unwrap();
        stores.push(CachedStore::new(Arc::new(inner), cache.clone(), *name));
    }
    for _ in 0..2 {
        for (number, store) in stores.iter().enumerate() {
            for (path, byte) in [("b/c", number as u8), ("c", 100 + number as u8)] {
                assert_eq!(store.get_range(&path.into(), 10..12).await.unwrap(), [byte; 2][..], "{path} {number}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_admitted_passes_and_is_not_kept() {
    let setup = Setup::new();
    let store = CachedStore::builder(Arc::new(setup.inner.clone()), setup.store.cache().clone(), "admission")
        .admit_prefix("data")
        .admit_sizes(10..=20_000)
        .admit(|meta| meta.location.extension() != Some("tmp"))
        .build();
    let cases = [
        ("data/a", 20_000, true),
        ("data/b", 20_001, false),
        ("data/c", 9, false),
        ("data/d.tmp", 100, false),
        ("other/a", 100, false),
    ];
    for (path, length, admitted) in cases {
        setup.put_behind(path, &bytes(length)).await;
        for again in [false, true] {
            setup.inner.take_asked();
            let result = store.get(&path.into()).await.unwrap();
            let expected = match (admitted, again) {
                (false, _) => CacheStatus::Bypass,
                (true, false) => CacheStatus::Miss,
                (true, true) => CacheStatus::Hit,
            };
            assert_eq!(status(&result), expected, "{path}");
            assert!(result.bytes().await.unwrap() == bytes(length), "{path}");
            let asked = setup.inner.take_asked();
            assert_eq!(asked.is_empty(), admitted && again, "{path} {asked:?}");
            let ranges = store.get_ranges(&path.into(), &[0..3, 5..9]).await.unwrap();
            assert!(ranges[1] == bytes(length)[5..9]);
        }
        assert_eq!(store.cache().entry(&store.key_of(&path.into())).is_some(), admitted, "{path}");
    }
}

#[tokio::test]
async fn objects_of_stores_without_validators_pass_and_are_right() {
    let setup = Setup::over(Watched::new(InMemory::new()).without_validators(), |builder| builder);
    for round in 0..3 {
        let now = super::super::memory_origin::pattern(50_000, round);
        setup.put_behind("a", &now).await;
        let result = setup.store.get(&"a".into()).await.unwrap();
        assert_eq!(status(&result), CacheStatus::Bypass);
        assert!(result.bytes().await.unwrap() == now);
        assert!(setup.store.get_range(&"a".into(), 40_000..40_100).await.unwrap() == now[40_000..40_100]);
        assert!(setup.store.get_ranges(&"a".into(), &[5..10]).await.unwrap()[0] == now[5..10]);
    }
    assert_eq!(setup.store.cache().entries(), []);
}

#[tokio::test]
async fn a_given_version_is_an_object_of_its_own() {
    let setup = Setup::new();
    setup.put_behind("a", &bytes(100)).await;
    let options = GetOptions::new().with_version(Some("v/1%".to_owned()));
    for _ in 0..2 {
        let result = setup.store.get_opts(&"a".into(), options.clone()).await.unwrap();
        assert!(result.bytes().await.unwrap() == bytes(100));
    }
    assert_eq!(setup.inner.take_asked().len(), 1);
    setup.store.get(&"a".into()).await.unwrap();
    assert_eq!(setup.inner.take_asked().len(), 1);
    setup.store.flush().await;
    assert_eq!(setup.store.cache().entries().len(), 2);
}

#[tokio::test]
async fn lists_come_from_the_store_below() {
    let setup = Setup::new();
    for path in ["a/1", "a/2", "b"] {
        setup.store.put(&path.into(), bytes(10).into()).await.unwrap();
    }
    for _ in 0..2 {
        let listed: Vec<_> = setup.store.list(Some(&"a".into())).collect().await;
        assert_eq!(listed.len(), 2);
        assert_eq!(setup.store.list_with_delimiter(None).await.unwrap().common_prefixes, ["a".into()]);
    }
    assert_eq!(setup.inner.take_lists(), 4);
}

#[tokio::test]
async fn extensions_go_to_the_store_below_and_come_from_there() {
    let setup = Setup::new();
    let all = bytes(5 << 20);
    setup.put_behind("a", &all).await;
    let marked = |range: GetRange, mark: u64| {
        let mut extensions = object_store::Extensions::new();
        extensions.insert(Mark(mark));
        ranged(range).with_extensions(extensions)
    };
    let answered = |result: &object_store::GetResult| result.extensions.get::<Answered>().cloned();
    // With the first read of an object, short or long, and with what passes.
    let first = setup.store.get_opts(&"a".into(), marked(GetRange::Offset(7), 1)).await.unwrap();
    assert_eq!((answered(&first), status(&first)), (Some(Answered(Mark(1))), CacheStatus::Miss));
    assert!(first.bytes().await.unwrap() == all[7..]);
    let held = setup.store.get_opts(&"a".into(), marked(GetRange::Bounded(5..9), 2)).await.unwrap();
    assert_eq!((answered(&held), status(&held)), (None, CacheStatus::Hit));
    let only = CachedStore::builder(Arc::new(setup.inner.clone()), setup.store.cache().clone(), "tests");
    let passed = only.admit_prefix("b").build();
    let passed = passed.get_opts(&"a".into(), marked(GetRange::Bounded(5..9), 3)).await.unwrap();
    assert_eq!((answered(&passed), status(&passed)), (Some(Answered(Mark(3))), CacheStatus::Bypass));
}

#[tokio::test]
async fn metadata_of_what_is_not_kept_are_asked_for() {
    let setup = Setup::new();
    let store = CachedStore::builder(Arc::new(setup.inner.clone()), setup.store.cache().clone(), "rule");
    let store = store.admit(|meta| meta.location.extension() != Some("json")).build();
    for length in [10, 20, 30] {
        setup.put_behind("manifest.json", &bytes(length)).await;
        assert_eq!(store.head(&"manifest.json".into()).await.unwrap().size, length as u64);
        assert!(store.get(&"manifest.json".into()).await.unwrap().bytes().await.unwrap() == bytes(length));
    }
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn it_shows_no_credentials_of_the_store_below() {
    let s3 = object_store::aws::AmazonS3Builder::new().with_bucket_name("bucket").with_region("here");
    let s3 = s3.with_access_key_id("somebody").with_secret_access_key("hush").with_token("quiet").build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).open().unwrap();
    let builder = CachedStore::builder(Arc::new(s3), cache, "bucket");
    let shown = format!("{builder:?}");
    let store = builder.build();
    let shown = format!("{shown} {store:?} {store}");
    assert!(shown.contains("bucket"), "{shown}");
    for secret in ["hush", "quiet", "somebody"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn an_upload_shows_nothing_of_the_store_below() {
    let setup = Setup::new();
    let upload = setup.store.put_multipart(&"a".into()).await.unwrap();
    let inner = setup.inner.put_multipart_opts(&"a".into(), Default::default()).await.unwrap();
    assert!(!format!("{upload:?}").contains(&format!("{inner:?}")), "{upload:?}");
}

#[tokio::test]
async fn what_it_shows_of_itself_has_no_secrets() {
    let inner = object_store::memory::InMemory::new();
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).open().unwrap();
    let store = CachedStore::new(Arc::new(inner), cache, "bucket of \"mine\"");
    let shown = store.to_string();
    assert!(shown.starts_with("CachedStore(InMemory") && shown.contains(r#""bucket of \"mine\"""#), "{shown}");
    assert!(format!("{store:?}").contains("InMemory"), "{store:?}");
    let payload = store.put(&"a".into(), bytes(10).into()).await;
    assert!(payload.is_ok());
    let GetResultPayload::Stream(_) = store.get(&"a".into()).await.unwrap().payload else { panic!("a stream") };
}
