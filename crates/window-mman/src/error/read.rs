//! Reads by the descriptor.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::Name;
use super::file_state::FileState;
use super::file_state::ReopenError;

/// Why bytes could not be copied out of a file.
///
/// # Examples
///
/// ```
/// use window_mman::{MapManager, ReadError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let file = MapManager::new().open(&path)?;
/// assert!(matches!(file.bytes(11..12), Err(ReadError::StartsPastEnd { offset: 11, len: 10, .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The range ends before it starts.
    #[error("cannot read {range:?} of {}: the range ends before it starts", Name(.path.as_deref()))]
    Reversed {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
    },
    /// The read starts past the end of the file.
    #[error(
        "cannot read at {offset} of {}: it had {len} bytes when it was opened; \
         read at {len} or before, or open it again if it has grown",
        Name(.path.as_deref())
    )]
    StartsPastEnd {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// Where the read was to start, in bytes.
        offset: u64,
        /// The length of the file when it was opened, in bytes.
        len: u64,
    },
    /// An exact read goes past the end of the file.
    #[error(
        "cannot read {wanted} bytes at {offset} of {}: it had {len} bytes when it was opened; \
         ask for less, or open it again if it has grown",
        Name(.path.as_deref())
    )]
    EndsPastEnd {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// Where the read was to start, in bytes.
        offset: u64,
        /// How many bytes were to be read.
        wanted: u64,
        /// The length of the file when it was opened, in bytes.
        len: u64,
    },
    /// The file was made shorter after it was opened, and the bytes are no longer there.
    #[error(
        "cannot read {range:?} of {}: it had {opened_with} bytes when it was opened and now has \
         {now}; somebody truncated or replaced it, so open it again",
        Name(.path.as_deref())
    )]
    Truncated {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range to be read, in bytes.
        range: Range<u64>,
        /// The length of the file when it was opened, in bytes.
        opened_with: u64,
        /// The length of the file after the read that came up short, in bytes.
        now: u64,
    },
    /// The file ends before its length, which is the same as when it was opened.
    #[error(
        "cannot read {range:?} of {}: it gave only {given} of these bytes, though its length is {len}; if somebody has \
         truncated it and written it again, read again; if its length is not true, as in /sys, ask for no more than it has",
        Name(.path.as_deref())
    )]
    Short {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range to be read, in bytes.
        range: Range<u64>,
        /// How many bytes came, from the start of the range on.
        given: u64,
        /// The length of the file, in bytes, as the system tells it.
        len: u64,
    },
    /// The descriptor had been closed, and the file could not be opened again.
    #[error("cannot read {range:?} of {}: {source}", Name(.path.as_deref()))]
    Reopen {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range to be read, in bytes.
        range: Range<u64>,
        /// Why.
        source: ReopenError,
    },
    /// Another file has taken its place, and the old one is still open.
    #[error(
        "{path:?} is another file now: it was {was}, and is {now}; the old one can still be read here as long as \
         its descriptor is open, open it again to read the new one"
    )]
    Replaced {
        /// Where it was.
        path: PathBuf,
        /// What was opened.
        was: Box<FileState>,
        /// What is there now.
        now: Box<FileState>,
    },
    /// There is no memory for a copy of the range.
    #[error(
        "cannot read {range:?} of {}: no memory for a copy; read it in smaller pieces, or view it",
        Name(.path.as_deref())
    )]
    OutOfMemory {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range to be read, in bytes.
        range: Range<u64>,
    },
    /// The system failed to read; [`source`](std::error::Error::source) has its reason.
    #[error(
        "cannot read {range:?} of {}: the system failed ({source}); \
         if it happens again, look at the disk or the network behind it",
        Name(.path.as_deref())
    )]
    Io {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range to be read, in bytes.
        range: Range<u64>,
        /// What the system said.
        source: io::Error,
    },
}

impl ReadError {
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Reversed { .. } | Self::StartsPastEnd { .. } => io::ErrorKind::InvalidInput,
            Self::EndsPastEnd { .. } | Self::Truncated { .. } | Self::Short { .. } => io::ErrorKind::UnexpectedEof,
            Self::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            Self::Reopen { source, .. } => source.kind(),
            Self::Replaced { .. } => io::ErrorKind::StaleNetworkFileHandle,
            Self::Io { source, .. } => source.kind(),
        }
    }
}
