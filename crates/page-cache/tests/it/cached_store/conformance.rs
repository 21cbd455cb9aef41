//! What `object_store` asks of any store, in its own tests.
//!
//! Not applicable are those that need a `MultipartStore` (`multipart`, `multipart_with_opts`, `multipart_put_part_out_of_order`) or a
//! `PaginatedListStore` (`list_paginated`): interfaces beside `ObjectStore`, which the store below may have, and which are
//! reached through it.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::integration::*;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use page_cache::{Cache, CachedStore};
use tempfile::TempDir;

struct Over {
    store: CachedStore,
    _directory: TempDir,
}

fn over(inner: impl ObjectStore) -> Over {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(4096).open().unwrap();
    Over { store: CachedStore::new(Arc::new(inner), cache, "conformance"), _directory: directory }
}

#[tokio::test]
async fn in_memory() {
    let over = over(InMemory::new());
    let store = &over.store;
    put_get_delete_list(store).await;
    put_get_attributes(store).await;
    get_opts(store).await;
    list_uses_directories_correctly(store).await;
    list_with_delimiter(store).await;
    rename_and_copy(store).await;
    copy_if_not_exists(store).await;
    copy_rename_nonexistent_object(store).await;
    stream_get(store).await;
    put_opts(store, true).await;
    multipart_out_of_order(store).await;
    multipart_race_condition(store, true).await;
    list_with_offset_exclusivity(store).await;
    assert!(get_nonexistent_object(store, None).await.is_err());
}

#[tokio::test]
async fn a_local_file_system() {
    let root = tempfile::tempdir().unwrap();
    let over = over(LocalFileSystem::new_with_prefix(root.path()).unwrap());
    let store = &over.store;
    put_get_delete_list(store).await;
    get_opts(store).await;
    list_uses_directories_correctly(store).await;
    list_with_delimiter(store).await;
    rename_and_copy(store).await;
    copy_if_not_exists(store).await;
    copy_rename_nonexistent_object(store).await;
    stream_get(store).await;
    put_opts(store, false).await;
    list_with_offset_exclusivity(store).await;
    assert!(get_nonexistent_object(store, None).await.is_err());
}
