//! A file known in pieces: which byte ranges of it do I hold, and which do I still need?
//!
//! A program that parses a huge file on a server wants a few of its bytes, now here, now there. This crate keeps
//! the pieces that have arrived, in memory, keyed by their offset in the file, and says what is missing for the
//! next read. It does no I/O and has no unsafe code: who fetches the bytes, and how, is the caller's business.
//!
//! ```text
//!  the file       0         14        20        32          40
//!                 |          |ABCDEF..|         |           |
//!  a BlockMap                 ^ one chunk of a write, or several that touch: one block
//!
//!  need(8..32)        [8, 14)          [20, 32)          what to ask the server for
//!  plan(align 16) [0, 16)          [16, 32)              the same as requests worth sending
//! ```
//!
//! * [`RangeSet`]: a set of byte ranges; ranges that touch or overlap are one range.
//! * [`BlockMap`]: the same with the bytes themselves; blocks that touch or overlap are one block, whatever the
//!   order in which they were written.
//! * [`SparseVirtualFile`]: a `BlockMap` for many threads, with a version and counters. Its
//!   [`read_through`](SparseVirtualFile::read_through) fetches what is missing, each byte once however many threads
//!   want it.
//! * [`SparseVirtualFileSystem`]: many of them by id, with a limit on all together (feature `dashmap`, on by default).
//! * [`NeedOptions`]: turns missing ranges into requests worth sending: greedy, aligned, joined over small gaps,
//!   clipped at the end of the file, split into pieces.
//!
//! All ranges are half-open `Range<u64>` in bytes. A range whose start lies at or behind its end is empty: it needs
//! nothing, and is contained everywhere. No function panics, whatever the offsets; the byte at offset 2^64 - 1 is
//! the only one that no half-open range can name, and writing it is an error.
//!
//! # Examples
//!
//! ```
//! use svf_core::{BlockMap, NeedOptions};
//!
//! let mut map = BlockMap::new();
//! map.write(14, b"ABCDEF")?;
//! assert_eq!(map.read(16..18)?, "CD");
//!
//! // To read 8..32 two pieces are missing.
//! let missing: Vec<_> = map.need(8..32).collect();
//! assert_eq!(missing, [8..14, 20..32]);
//!
//! // As requests on a grid of 16 bytes; the file ends at 40.
//! let requests = NeedOptions::new().align(16).end_of_file(40).plan(missing);
//! assert_eq!(requests, [0..32]);
//! # Ok::<(), svf_core::Error>(())
//! ```
//!
//! # Features
//!
//! * `dashmap` (default): [`SparseVirtualFileSystem`].
//! * `serde`: everything that holds data or says how can be serialized, and is checked when it is read again.

#![forbid(unsafe_code)]

mod block_map;
mod chunks;
mod error;
mod gaps;
mod need_options;
mod range_set;
#[cfg(feature = "serde")]
mod serialized;
mod sparse_virtual_file;
#[cfg(feature = "dashmap")]
mod sparse_virtual_file_system;
mod stats;
mod striped;
mod sync;
mod version;

pub use block_map::{BlockMap, BlockMapOptions, Blocks, Need, OnOverlap, Written};
pub use chunks::Chunks;
pub use error::{Error, InsertError, Missing, ReadThroughError, UnknownFile, WriteError};
pub use need_options::NeedOptions;
pub use range_set::{Gaps, IntoRanges, RangeSet, Ranges};
pub use sparse_virtual_file::{SparseVirtualFile, SparseVirtualFileOptions};
#[cfg(feature = "dashmap")]
pub use sparse_virtual_file_system::{SparseVirtualFileSystem, SparseVirtualFileSystemOptions};
pub use stats::Stats;
pub use version::Version;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
