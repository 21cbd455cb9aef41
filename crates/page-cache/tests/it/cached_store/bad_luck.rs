//! Stores that err, and directories that die.

use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt};
use page_cache::{Freshness, OnUnreachable};

use super::{Setup, bytes};

#[tokio::test]
async fn a_store_that_errs_on_every_second_call() {
    let setup = Setup::with(|builder| builder.freshness(Freshness::Always).on_unreachable(OnUnreachable::Fail));
    let all = bytes(3_000_000);
    setup.put_behind("a", &all).await;
    setup.inner.err_on_every(2);
    let (mut good, mut bad) = (0, 0);
    for round in 0..200u64 {
        let start = round * 7919 % 2_900_000;
        match setup.store.get_range(&"a".into(), start..start + 50_000).await {
            Ok(read) => {
                assert!(read == all[start as usize..start as usize + 50_000], "{start}");
                good += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("errs now and then"), "{error}");
                bad += 1;
            }
        }
    }
    assert!(good > 0 && bad > 0, "{good} {bad}");
    setup.inner.err_on_every(0);
    assert!(setup.store.get(&"a".into()).await.unwrap().bytes().await.unwrap() == all);
}

#[tokio::test]
async fn what_is_held_is_served_while_the_store_cannot_be_asked() {
    let setup = Setup::with(|builder| builder.freshness(Freshness::Always));
    let all = bytes(100_000);
    setup.put_behind("a", &all).await;
    setup.store.get_range(&"a".into(), 0..10_000).await.unwrap();
    setup.inner.err_on_every(1);
    for store in [setup.store.clone(), setup.anew()] {
        assert!(store.get_range(&"a".into(), 5..9_000).await.unwrap() == all[5..9_000]);
        assert_eq!(store.head(&"a".into()).await.unwrap().size, 100_000);
    }
    // What is not held, and what was asked of the store itself, is an error.
    assert!(setup.store.get_range(&"a".into(), 50_000..50_001).await.is_err());
    let etag = setup.store.head(&"a".into()).await.unwrap().e_tag;
    let unless = GetOptions::new().with_if_none_match(etag);
    assert!(matches!(setup.store.get_opts(&"a".into(), unless).await, Err(Error::Generic { .. })));

    let strict = Setup::with(|builder| builder.freshness(Freshness::Always).on_unreachable(OnUnreachable::Fail));
    strict.put_behind("a", &all).await;
    strict.store.get_range(&"a".into(), 0..10_000).await.unwrap();
    strict.inner.err_on_every(1);
    assert!(strict.store.get_range(&"a".into(), 5..9_000).await.is_err());
}

#[tokio::test]
async fn reads_go_on_when_the_directory_dies() {
    let setup = Setup::new();
    let all = bytes(1_000_000);
    for path in ["a", "b"] {
        setup.put_behind(path, &all).await;
    }
    setup.store.get_range(&"a".into(), 0..100_000).await.unwrap();
    setup.store.flush().await;
    std::fs::remove_dir_all(setup.directory.path()).unwrap();
    for path in ["a", "b", "a", "b"] {
        for start in [0, 50_000, 500_000] {
            let read = setup.store.get_range(&path.into(), start..start + 1000).await.unwrap();
            assert!(read == all[start as usize..start as usize + 1000], "{path} {start}");
        }
        assert!(setup.store.get(&path.into()).await.unwrap().bytes().await.unwrap() == all);
    }
}

#[tokio::test]
async fn a_limit_that_nothing_fits_in() {
    let setup = Setup::with(|builder| builder.max_bytes(1));
    let all = bytes(1_000_000);
    setup.put_behind("a", &all).await;
    for _ in 0..3 {
        assert!(setup.store.get(&"a".into()).await.unwrap().bytes().await.unwrap() == all);
    }
}
