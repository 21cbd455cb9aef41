//! What `object_store` asks of any store, in its own tests: each of its functions passes through a cache, wherever the
//! store below passes it alone.
//!
//! Not applicable are those that need a `MultipartStore` (`multipart`, `multipart_with_opts`,
//! `multipart_put_part_out_of_order`) or a `PaginatedListStore` (`list_paginated`): interfaces beside `ObjectStore`,
//! which the store below may have, and which are reached through it.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use object_store::integration::*;
use object_store::{Error, ObjectStore};
use page_cache::{Cache, CachedStore};

type Function = Box<dyn Fn(Arc<dyn ObjectStore>) -> LocalBoxFuture<'static, ()>>;

/// A function of the suite, by its name.
macro_rules! function {
    ($name:ident $(, $argument:expr)*) => {
        (
            stringify!($name),
            Box::new(move |store: Arc<dyn ObjectStore>| async move { $name(&*store $(, $argument)*).await }.boxed_local())
                as Function,
        )
    };
}

/// All functions for a store which can update objects on condition, or cannot.
fn functions(updates: bool) -> Vec<(&'static str, Function)> {
    vec![
        function!(put_get_delete_list),
        function!(put_get_attributes),
        function!(get_opts),
        function!(put_opts, updates),
        function!(stream_get),
        function!(list_uses_directories_correctly),
        function!(list_with_delimiter),
        function!(list_with_offset_exclusivity),
        function!(rename_and_copy),
        function!(copy_if_not_exists),
        function!(copy_rename_nonexistent_object),
        function!(multipart_race_condition, true),
        function!(multipart_out_of_order),
        function!(nothing_is_not_found),
        #[cfg(all(feature = "aws", feature = "http"))]
        function!(response_extensions, true),
    ]
}

async fn nothing_is_not_found(store: &dyn ObjectStore) {
    let error = get_nonexistent_object(store, None).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

/// Runs all functions, each over a store that `make` makes for it, once alone and once through a cache. Those that fail
/// alone must be these; each has its reason.
pub(crate) async fn run(make: impl Fn() -> Arc<dyn ObjectStore>, updates: bool, fail_alone: &[(&str, &str)]) {
    let mut failed = BTreeSet::new();
    for (name, function) in functions(updates) {
        let passes = async |store| AssertUnwindSafe(function(store)).catch_unwind().await.is_ok();
        if !passes(make()).await {
            failed.insert(name);
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).page_size(4096).open().unwrap();
        let cached: Arc<dyn ObjectStore> = Arc::new(CachedStore::new(make(), cache, "suite"));
        assert!(passes(cached).await, "{name} fails through a cache only");
        println!("{name}: passed");
    }
    let expected: BTreeSet<_> = fail_alone.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, expected, "these fail over the store alone");
}
