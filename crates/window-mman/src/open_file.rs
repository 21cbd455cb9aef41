//! A regular file that is open: its descriptor, which file it is, and what was remembered of it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Name, OpenError};
use crate::sys::{self, FileId};

/// An open regular file that can be read.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) id: FileId,
    /// The length when it was opened, in bytes.
    pub(crate) len: u64,
    /// As it was given; none for a [`File`] that was handed over.
    pub(crate) path: Option<Arc<Path>>,
}

impl OpenFile {
    /// Opens the file at `path`. What is not a regular file is refused without being opened.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: Some(path.to_path_buf()), source };
        if let Some(kind) = sys::kind_at(path).map_err(failed)? {
            return Err(OpenError::NotRegular { path: Some(path.to_path_buf()), kind });
        }
        let file = sys::open(path).map_err(failed)?;
        Self::remember(file, Some(path.into()))
    }

    /// Takes over a file that somebody else has opened.
    pub(crate) fn adopt(file: File) -> Result<Self, OpenError> {
        let readable = sys::can_read(&file).map_err(|source| OpenError::Io { path: None, source })?;
        // The kind first: "it is a FIFO" says more than "it cannot be read".
        let open = Self::remember(file, None)?;
        if readable { Ok(open) } else { Err(OpenError::NotReadable) }
    }

    fn remember(file: File, path: Option<Arc<Path>>) -> Result<Self, OpenError> {
        let owned = || path.as_deref().map(Path::to_path_buf);
        let identity = sys::identify(&file).map_err(|source: io::Error| OpenError::Io { path: owned(), source })?;
        if let Some(kind) = identity.special {
            return Err(OpenError::NotRegular { path: owned(), kind });
        }
        Ok(Self { file, id: identity.id, len: identity.len, path })
    }

    /// The path for an error.
    pub(crate) fn path_buf(&self) -> Option<PathBuf> {
        self.path.as_deref().map(Path::to_path_buf)
    }

    /// The name for a message.
    pub(crate) fn name(&self) -> Name<'_> {
        Name(self.path.as_deref())
    }
}
