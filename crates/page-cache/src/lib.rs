//! A persistent cache on local disk for pieces of huge remote files.
//!
//! A program reads ranges of a remote file through a [`CachedFile`]. What was read once is in a directory on local
//! disk, in pages, each with its checksum; the next read of it, today or tomorrow, sends no request. Missing pages
//! are fetched by as few requests as their places allow, and no page is fetched twice at once.
//!
//! ```text
//!   your parser ── Read + Seek, bytes(range), read_at ──► CachedFile
//!                                                          │      │
//!                                            held pages ◄──┘      └──► missing pages
//!                                     DIR/pairs/*.data, *.index        Origin: http(s), S3, local file, your own
//! ```
//!
//! * [`Cache`]: a directory and how it is used. [`CachedFile`]: one version of one object. [`Reader`]: a position in
//!   it.
//! * [`Origin`]: where the bytes come from: a [`UrlOrigin`] (`http`, `s3`, `gs`, `az` and others by features), a
//!   [`LocalFile`], with feature `object_store` an `ObjectStoreOrigin` over any store of that crate, or your own.
//!
//! # What it promises
//!
//! * Never a byte of another version: a file is pinned to the validators (ETag, date) that the object had when it
//!   was opened; every request is conditional on them and every response is checked.
//! * Never a damaged byte: a page that does not agree with its checksum is fetched again.
//! * Never more of the disk than its limit, all objects and processes together: what was used the longest ago and the
//!   least often goes for what is new ([`CacheBuilder::max_bytes`], [`CachedFile::keep`]).
//! * Once open, the cache is never why a read fails: what cannot be stored is read from the origin.
//!
//! # Features
//!
//! All are off by default, and additive.
//!
//! * `http`: origins behind `http://` and `https://` URLs. It brings an HTTP client and a runtime, as do
//! * `aws`, `gcp`, `azure`: objects in S3, Google Cloud Storage and Azure: see [`UrlOrigin`].
//! * `object_store`: origins over any store of that crate, which is re-exported. It brings a runtime.
//! * `tokio`: a reader of a file that is tokio's `AsyncRead`, `AsyncBufRead` and `AsyncSeek`.
//! * `parquet`, `async-tiff`: readers of a file for the asynchronous parsers of these crates.
//!
//! It runs on Linux: it relies on that system's sparse files and locks.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "http")]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use page_cache::{Cache, HttpOrigin};
//!
//! # let server = loopback_origin::Origin::builder()
//! #     .serve_bytes("/wheel.zip", vec![7u8; 100_000])
//! #     .start()?;
//! # let (url, directory) = (server.url("/wheel.zip"), tempfile::tempdir()?);
//! # let dir = directory.path().join("cache");
//! let cache = Cache::builder(dir).open()?;
//! let file = cache.file(HttpOrigin::new(&url)?)?;
//! let end = file.bytes(file.len() - 22..file.len())?;
//! assert_eq!(end.len(), 22);
//! # Ok(())
//! # }
//! # #[cfg(feature = "http")]
//! # example().unwrap();
//! ```

#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("page-cache relies on Linux: its sparse files, its locks and its /proc; use svf-core elsewhere");

#[cfg(test)]
extern crate self as page_cache;

mod admission;
#[cfg(feature = "tokio")]
mod async_reader;
#[cfg(feature = "object_store")]
mod asynchronous;
mod cache;
mod cache_builder;
mod cached_file;
#[cfg(feature = "object_store")]
mod cached_store;
mod checksum;
mod directory;
mod error;
mod fetch;
mod flights;
mod freshness;
mod in_flight;
mod maintenance;
mod opening;
mod origin;
mod pages;
#[cfg(feature = "parquet")]
mod parquet_reader;
mod prefetch;
mod reader;
mod retention;
#[cfg(feature = "object_store")]
mod runtime;
mod stats;
mod sync;
mod sys;
#[cfg(test)]
mod tests;
#[cfg(feature = "async-tiff")]
mod tiff_reader;
mod transfer;

pub use admission::Admission;
#[cfg(feature = "tokio")]
pub use async_reader::AsyncReader;
pub use cache::Cache;
pub use cache_builder::CacheBuilder;
pub use cached_file::CachedFile;
#[cfg(feature = "object_store")]
pub use cached_store::{CacheStatus, CachedStore, CachedStoreBuilder};
pub use directory::{Recount, Verification, WhenFull};
pub use error::{Error, MaintenanceError, OpenError, PrefetchError, ReadError, TransferError};
pub use fetch::retry::RetryPolicy;
pub use fetch::{Advice, Progress};
pub use freshness::{Freshness, OnUnreachable, Unvalidated};
pub use maintenance::{Entry, Usage};
#[cfg(feature = "object_store")]
pub use object_store;
#[cfg(feature = "http")]
pub use origin::HttpOrigin;
pub use origin::{FnOrigin, LocalFile, Origin, OriginError, SeekOrigin, Stat, UrlOrigin, Validators};
#[cfg(feature = "object_store")]
pub use origin::{ObjectStoreOrigin, Timeouts};
#[cfg(feature = "parquet")]
pub use parquet_reader::ParquetReader;
pub use prefetch::Prefetched;
pub use reader::Reader;
pub use stats::Stats;
#[cfg(feature = "async-tiff")]
pub use tiff_reader::TiffReader;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
