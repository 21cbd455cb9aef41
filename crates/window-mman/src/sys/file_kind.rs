//! What is at a path, if it is not a regular file.

use std::fmt;
use std::fs::FileType;

/// What somebody tried to open, where it is not a regular file.
///
/// # Examples
///
/// ```
/// use window_mman::{FileKind, MapManager, OpenError};
///
/// let refused = MapManager::new().open(std::env::temp_dir());
/// assert!(matches!(refused, Err(OpenError::NotRegular { kind: FileKind::Directory, .. })));
/// assert_eq!(FileKind::Directory.to_string(), "a directory");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A FIFO, also called a named pipe; or a pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device, such as a terminal or `/dev/zero`.
    CharacterDevice,
    /// A block device, such as a disk.
    BlockDevice,
    /// Something else that this crate has no name for.
    Other,
}

impl FileKind {
    /// The kind of what is not a regular file; `None` for what is.
    pub(crate) fn of(file_type: FileType) -> Option<Self> {
        if file_type.is_file() {
            return None;
        }
        if file_type.is_dir() {
            return Some(Self::Directory);
        }
        Some(Self::special(file_type))
    }

    #[cfg(unix)]
    fn special(file_type: FileType) -> Self {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            Self::Fifo
        } else if file_type.is_socket() {
            Self::Socket
        } else if file_type.is_char_device() {
            Self::CharacterDevice
        } else if file_type.is_block_device() {
            Self::BlockDevice
        } else {
            Self::Other
        }
    }

    #[cfg(not(unix))]
    fn special(_: FileType) -> Self {
        Self::Other
    }

    /// What to do instead of opening it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Directory => "open a file inside of it",
            Self::Fifo | Self::Socket => {
                "it has no offsets to read at: write what comes out of it to a file and open that"
            }
            Self::CharacterDevice | Self::BlockDevice | Self::Other => {
                "only regular files have a length and can be shared as windows: \
                 copy the part you need to a file and open that"
            }
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Fifo => "a FIFO or pipe",
            Self::Socket => "a socket",
            Self::CharacterDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Other => "a special file",
        })
    }
}
