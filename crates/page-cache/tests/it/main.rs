//! The crate's promises, through its public interface.

mod cached_file;
mod directory;
#[cfg(feature = "http")]
mod http;
mod memory_origin;
mod reader;
