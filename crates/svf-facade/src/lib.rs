//! Read pieces of huge remote files as if they were local, in one line.
//!
//! A parser of TIFF, HDF5, Parquet, ZIP or any other format with a directory needs a few of a file's bytes, now here,
//! now there. [`open`] gives it the whole file as `Read + Seek`: what it reads is fetched, no more than the pages
//! around it, and kept on local disk, where the next run finds it without a request.
//!
//! ```
//! # #[cfg(feature = "http")]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = loopback_origin::Origin::builder()
//! #     .serve_bytes("/huge.bin", vec![7u8; 1 << 20])
//! #     .start()?;
//! # let (url, directory) = (server.url("/huge.bin"), tempfile::tempdir()?);
//! # let dir = directory.path().join("cache");
//! use std::io::{Read, Seek, SeekFrom};
//!
//! let stack = svf::Stack::builder().cache_dir(dir).build(); // or, with the default directory, just svf::open(&url)?
//! let mut file = stack.open(&url)?;
//! file.seek(SeekFrom::End(-100))?;
//! let mut end = Vec::new();
//! file.read_to_end(&mut end)?;
//! assert_eq!(end, [7; 100]);
//! # Ok(())
//! # }
//! # #[cfg(feature = "http")]
//! # example().unwrap();
//! ```
//!
//! # The layers
//!
//! Each can be used alone, and is re-exported here:
//!
//! * [`svf_core`]: which bytes of a file are held in memory, and which are still needed.
//! * [`window_mman`]: windows of mapped memory over huge local files.
//! * [`page_cache`]: a persistent cache on local disk for pieces of remote files.
//!
//! # Features
//!
//! * `http` (default): `http://` and `https://` URLs.
//! * `aws`, `gcp`, `azure`: objects behind `s3://`, `gs://` and `az://` (`abfs://`, `abfss://`) URLs, with credentials
//!   from the environment or, through [`page_cache::UrlOrigin`], by options.
//! * `object_store`, `tokio`, `parquet`, `async-tiff`: those of [`page_cache`]: stores of `object_store` as origins, a
//!   store that reads through a cache, and readers of a file for asynchronous code.
//! * `serde`: that of [`svf_core`].

#![forbid(unsafe_code)]

mod error;
mod file;
mod stack;

pub use page_cache;
pub use svf_core;
pub use window_mman;

pub use error::Error;
pub use file::File;
pub use stack::{Stack, StackBuilder, default_cache_dir, is_local};

/// What most programs need: `use svf::prelude::*;`.
pub mod prelude {
    pub use crate::{File, Stack};
    pub use page_cache::{Cache, CachedFile, Freshness, Origin, RetryPolicy};
    pub use std::io::{BufRead, Read, Seek, SeekFrom};
    pub use svf_core::{BlockMap, NeedOptions, RangeSet};
    pub use window_mman::MapManager;
}

/// Opens a URL or the path of a local file with the defaults of [`Stack`].
///
/// Which URLs, is a matter of the features; `file://` is the path in another form.
///
/// A remote file is read through the cache in [`default_cache_dir`]; a local file is read where it is. Blocks for
/// at most one request without data, and for none if the file was opened less than a minute ago.
///
/// # Errors
///
/// [`Error`], in one line that says what cannot be opened, why, and what to do.
pub fn open(source: impl AsRef<str>) -> Result<File, Error> {
    Stack::builder().build().open(source)
}

/// Compiles the code of the README.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Compiles the code of the page on object stores.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../../docs/cached-store.md")]
struct CachedStorePage;

/// Compiles the code of the guide.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
