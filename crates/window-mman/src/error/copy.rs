//! Copies out of mappings.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::Name;
use super::file_state::ReopenError;

/// Why bytes could not be copied out of a mapping.
///
/// # Examples
///
/// ```
/// use window_mman::{CopyError, MapManager};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let view = MapManager::new().open(&path)?.copy_view(2..10)?;
/// let beyond = view.try_copy_to(5, &mut [0; 4]);
/// assert!(matches!(beyond, Err(CopyError::OutOfBounds { range, .. }) if range == (7..11)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The file no longer has these bytes, or the disk does not give them: the access raised SIGBUS, or would have.
    #[error(
        "cannot copy {range:?} of {}: the file was cut short, or the disk behind it failed; \
         open it again, and if that happens once more, look at the disk",
        Name(.path.as_deref())
    )]
    Fault {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The bytes that were to be copied.
        range: Range<u64>,
    },
    /// The range is not all in the mapping.
    #[error("cannot copy {range:?}: what is mapped is {within:?}; ask for bytes inside of it")]
    OutOfBounds {
        /// The bytes that were to be copied.
        range: Range<u64>,
        /// What is mapped.
        within: Range<u64>,
    },
    /// A word does not lie at a multiple of its size.
    #[error("cannot load a word of {size} bytes at {offset}: only multiples of its size are loaded at once")]
    Misaligned {
        /// Where the word was to be loaded.
        offset: u64,
        /// The size of the word in bytes.
        size: usize,
    },
    /// The descriptor had been closed, and the file could not be opened again. Only where copies are made by reading.
    #[error("cannot copy {range:?} of {}: {source}", Name(.path.as_deref()))]
    Reopen {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The bytes that were to be copied.
        range: Range<u64>,
        /// Why.
        source: ReopenError,
    },
    /// The system failed to read; [`source`](std::error::Error::source) has its reason.
    #[error(
        "cannot copy {range:?} of {}: the system failed ({source}); \
         if it happens again, look at the disk or the network behind it",
        Name(.path.as_deref())
    )]
    Io {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The bytes that were to be copied.
        range: Range<u64>,
        /// What the system said.
        source: io::Error,
    },
}

impl CopyError {
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Fault { .. } => io::ErrorKind::UnexpectedEof,
            Self::OutOfBounds { .. } | Self::Misaligned { .. } => io::ErrorKind::InvalidInput,
            Self::Reopen { source, .. } => source.kind(),
            Self::Io { source, .. } => source.kind(),
        }
    }
}
