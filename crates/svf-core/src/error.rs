//! What can go wrong: bytes that are not held, and writes that cannot be.

use std::ops::Range;

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

/// Any error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// See [`Missing`].
    #[error(transparent)]
    Missing(#[from] Missing),
    /// See [`WriteError`].
    #[error(transparent)]
    Write(#[from] WriteError),
}
