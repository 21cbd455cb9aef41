//! Files that cannot be opened.

use std::io;
use std::path::PathBuf;

use super::Name;
use crate::source::no_descriptors_left;
use crate::sys::FileKind;

/// Why a file could not be opened.
///
/// # Examples
///
/// ```
/// use window_mman::{MapManager, OpenError};
///
/// let refused = MapManager::new().open("no such file");
/// assert!(matches!(refused, Err(OpenError::Io { path: Some(_), .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system refused; [`source`](std::error::Error::source) has its reason.
    #[error("cannot open {}: {}", Name(.path.as_deref()), why_not_open(.source))]
    Io {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a regular file.
    #[error("cannot open {}: it is {kind}; {}", Name(.path.as_deref()), .kind.remedy())]
    NotRegular {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// What it is instead.
        kind: FileKind,
    },
    /// The [`File`](std::fs::File) was opened for writing only.
    #[error("the file handed over was not opened for reading: open it with `read(true)`")]
    NotReadable,
}

fn why_not_open(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("no permission ({source}); it and its directories must be readable for you")
        }
        _ if no_descriptors_left(source) => {
            format!("{source}; lower `max_open_files`, or raise the limit of the system (ulimit -n)")
        }
        _ => format!("{source}; check the path and what it is stored on"),
    }
}

impl OpenError {
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::NotRegular { kind: FileKind::Directory, .. } => io::ErrorKind::IsADirectory,
            Self::NotRegular { .. } => io::ErrorKind::InvalidInput,
            Self::NotReadable => io::ErrorKind::PermissionDenied,
        }
    }
}
