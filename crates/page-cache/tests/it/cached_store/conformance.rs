//! The suite of `object_store` over stores in this process; `cargo xtask interop` runs it over a server.

use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::suite;

/// Functions that these stores do not pass without a cache either, and why.
const FAIL_ALONE: &[(&str, &str)] = &[
    #[cfg(all(feature = "aws", feature = "http"))]
    ("response_extensions", "it is of stores that speak HTTP"),
];

#[tokio::test]
async fn in_memory() {
    suite::run(|| Arc::new(InMemory::new()), true, FAIL_ALONE).await;
}

#[tokio::test]
async fn a_local_file_system() {
    let root = tempfile::tempdir().unwrap();
    let make = || {
        let root = tempfile::tempdir_in(root.path()).unwrap().keep();
        Arc::new(LocalFileSystem::new_with_prefix(root).unwrap()) as _
    };
    suite::run(make, false, FAIL_ALONE).await;
}
