//! The crate's promises, through its public interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod accounting;
mod bad_bound;
mod bad_luck;
mod bound;
mod cached_file;
mod child;
mod coming_from_pfio;
mod descriptors;
mod directory;
mod fetching;
mod fixture;
mod full_disk;
#[cfg(feature = "http")]
mod http;
mod killed;
mod log;
mod memory_origin;
mod model;
mod mount;
mod prefetch;
mod processes;
mod random;
mod read_ahead;
mod reader;
#[cfg(feature = "http")]
mod single_flight;
mod superseded;
#[cfg(feature = "http")]
mod traces;
mod transfer;
