//! What can go wrong: bytes that are not held, writes that cannot be, fetches that fail.

use std::ops::Range;
use std::sync::Arc;

/// Bytes were asked for that are not held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bytes {}..{} of the read of {}..{} are not held; write them first, as need() lists them",
    first.start, first.end, requested.start, requested.end
)]
#[non_exhaustive]
pub struct Missing {
    /// The range that was asked for.
    pub requested: Range<u64>,
    /// The first range in it that is not held; there may be others behind it.
    pub first: Range<u64>,
}

/// A write was refused, and changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A byte that is held differs from the byte written over it.
    #[error(
        "the byte at offset {offset} is held as {held:#04x} and was written as {written:#04x}: two versions of the \
         file are mixed; clear the map, or choose OnOverlap::Keep or OnOverlap::Replace"
    )]
    Conflict {
        /// The first offset at which they differ.
        offset: u64,
        /// The byte that is held there.
        held: u8,
        /// The byte that was to be written there.
        written: u8,
    },
    /// The write would reach beyond offset 2^64 - 2, the last one that a half-open range of `u64` can name.
    #[error("{len} bytes at offset {offset} end beyond 2^64 - 1; check the offset, no file is that long")]
    OffsetOverflow {
        /// Where the write was to start.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
}

/// A read that fetches what is missing could not be answered. What else was fetched is kept, and the next call tries
/// again.
///
/// It is cloned for everybody who waited for the same fetch.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadThroughError {
    /// The fetch failed, here or in the thread that was waited for. The source can be downcast to the error that it
    /// returned.
    #[error("bytes {}..{} could not be fetched", range.start, range.end)]
    Fetch {
        /// What was asked for.
        range: Range<u64>,
        /// What `fetch` returned.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The fetch returned more or fewer bytes than it was asked for. None of them are kept.
    #[error(
        "{received} bytes came for {}..{}, which has {}; if the file ends there, state its length by \
         NeedOptions::end_of_file or in the version",
        range.start, range.end, range.end - range.start
    )]
    Length {
        /// What was asked for.
        range: Range<u64>,
        /// How many bytes came.
        received: u64,
    },
    /// What was fetched cannot be held. A conflict means that the file has changed since other bytes of it came.
    #[error("the bytes that were fetched were refused")]
    Write(#[from] WriteError),
    /// The range starts at or behind the end of the file.
    #[error("bytes {}..{} start behind the end of the file, at {end_of_file}", requested.start, requested.end)]
    PastEnd {
        /// What was asked for.
        requested: Range<u64>,
        /// The length of the file in bytes.
        end_of_file: u64,
    },
    /// The thread that fetched these bytes for others panicked.
    #[error("the thread that fetched bytes {}..{} panicked; read them again", range.start, range.end)]
    Panicked {
        /// What it was asked for.
        range: Range<u64>,
    },
    /// A `fetch` reads what can be fetched only once it has returned itself.
    #[error(
        "bytes {}..{} are being fetched by a thread that waits for this fetch; do not read a range through a file \
         from the fetch of that range", range.start, range.end
    )]
    Deadlock {
        /// What is being fetched.
        range: Range<u64>,
    },
    /// The file was reset while it was read.
    #[error("the file was reset to another version while it was read; read again")]
    Changed,
}

/// No file of this id is in the file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no file {id:?} is in the file system; open() makes one")]
#[non_exhaustive]
pub struct UnknownFile {
    /// The id that was asked for.
    pub id: String,
}

/// A file could not be put into a file system, which is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// Another file has this id.
    #[error("a file {id:?} is in the file system already; remove it first, or use the one that is there")]
    Exists {
        /// The id of both.
        id: String,
    },
    /// The file is in a file system already, this or another one, and its bytes count there.
    #[error("the file {id:?} belongs to a file system already; remove it there first")]
    Taken {
        /// The id of the file.
        id: String,
    },
}

/// Any error of this crate.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// See [`Missing`].
    #[error(transparent)]
    Missing(#[from] Missing),
    /// See [`WriteError`].
    #[error(transparent)]
    Write(#[from] WriteError),
    /// See [`ReadThroughError`].
    #[error(transparent)]
    ReadThrough(#[from] ReadThroughError),
    /// See [`UnknownFile`].
    #[error(transparent)]
    UnknownFile(#[from] UnknownFile),
    /// See [`InsertError`].
    #[error(transparent)]
    Insert(#[from] InsertError),
}
