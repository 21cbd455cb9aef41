//! The crate's promises, through its public interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod accounting;
#[cfg(feature = "object_store")]
mod any_store;
#[cfg(feature = "tokio")]
mod async_reader;
mod bad_bound;
mod bad_luck;
mod bound;
#[cfg(feature = "http")]
mod broken_off;
mod cached_file;
#[cfg(feature = "object_store")]
mod cached_store;
mod child;
#[cfg(all(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
mod cloud;
mod coming_from_pfio;
mod descriptors;
mod directory;
#[cfg(feature = "http")]
mod faults;
mod fetching;
mod fixture;
mod full_disk;
#[cfg(feature = "http")]
mod http;
mod in_place;
mod keeping;
mod killed;
mod limits;
mod log;
mod memory_origin;
mod model;
mod mount;
#[cfg(all(feature = "http", any(feature = "parquet", feature = "async-tiff")))]
mod parsers;
mod prefetch;
mod processes;
mod random;
mod read_ahead;
mod reader;
mod retry;
#[cfg(all(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
mod secrets;
#[cfg(feature = "http")]
mod single_flight;
mod superseded;
#[cfg(feature = "http")]
mod traces;
mod transfer;
