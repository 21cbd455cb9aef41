//! What was opened, and what is there instead.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::source::DescriptorError;
use crate::sys::Identity;

/// A file at one moment, as far as it can be told from others.
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
/// # let other = directory.path().join("other");
/// # std::fs::write(&other, b"x")?;
/// std::fs::rename(&other, &path)?;
/// let Err(ReadError::Replaced { was, now, .. }) = file.refresh() else { panic!("it was replaced") };
/// assert_eq!((was.len, now.len), (10, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileState {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last written to, where the system tells.
    pub modified: Option<SystemTime>,
}

impl FileState {
    pub(crate) fn of(identity: &Identity) -> Self {
        let (id, len, modified) = (identity.id, identity.len, identity.modified);
        Self { device: id.device, inode: id.inode, len, modified }
    }

    pub(crate) fn of_metadata(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (device, inode) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let (device, inode) = (0, 0);
        Self { device, inode, len: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, inode, len, modified } = self;
        write!(f, "inode {inode} of device {device:#x} with {len} bytes")?;
        let since = modified.and_then(|modified| modified.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map_or(Ok(()), |since| write!(f, " of {}.{:09} s", since.as_secs(), since.subsec_nanos()))
    }
}

/// Why a file whose descriptor was closed, to keep to `max_open_files`, could not be opened again.
///
/// # Examples
///
/// ```
/// use window_mman::{MapManager, ReadError, ReopenError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let manager = MapManager::builder().max_open_files(1).build()?;
/// let file = manager.open(&path)?;
/// # let other = directory.path().join("other");
/// # std::fs::write(&other, b"x")?;
/// let _other = manager.open(&other)?; // closes the first one's descriptor
/// std::fs::rename(&other, &path)?;
/// let refused = file.bytes(0..5);
/// assert!(matches!(refused, Err(ReadError::Reopen { source: ReopenError::Replaced { .. }, .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReopenError {
    /// Another file is at its path now.
    #[error(
        "{path:?} is another file now: it was {was}, and is {now}; open it again to read the new one, and \
         raise `max_open_files` or hand files over open if old ones are to stay readable"
    )]
    Replaced {
        /// Where it was.
        path: PathBuf,
        /// What was opened.
        was: Box<FileState>,
        /// What is there now.
        now: Box<FileState>,
    },
    /// The system refused; [`source`](std::error::Error::source) has its reason.
    #[error(
        "{path:?} cannot be opened again ({source}): if it was moved or deleted, raise `max_open_files` or hand \
         files over open; if there are no descriptors left, lower it, or raise the limit of the system (ulimit -n)"
    )]
    Io {
        /// Where it was.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that was handed over open has been given back.
    #[error("the file was handed over open, and has been closed: keep its `MappedFile`")]
    Closed,
    /// The process was forked while another thread was at work on the file.
    #[error("the file is in use by a thread that a fork has left behind: open it again in this process")]
    LeftBehind,
}

impl ReopenError {
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Replaced { .. } => io::ErrorKind::StaleNetworkFileHandle,
            Self::Closed | Self::LeftBehind => io::ErrorKind::Other,
        }
    }
}

impl From<DescriptorError> for ReopenError {
    fn from(error: DescriptorError) -> Self {
        match error {
            DescriptorError::Reopen(error) => error,
            DescriptorError::Inherited => Self::LeftBehind,
        }
    }
}
