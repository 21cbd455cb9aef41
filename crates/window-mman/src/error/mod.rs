//! The errors: one enum for each kind of operation, and one for all.

mod build;
mod copy;
mod file_state;
mod open;
mod read;
mod view;

use std::fmt;
use std::io;
use std::path::Path;

pub use self::build::BuildError;
pub use self::copy::CopyError;
pub use self::file_state::{FileState, ReopenError};
pub use self::open::OpenError;
pub use self::read::ReadError;
pub use self::view::{Holding, ViewError};

/// Any error of this crate.
///
/// # Examples
///
/// ```
/// use window_mman::{Error, MapManager};
///
/// let error: Error = MapManager::new().open("no such file").unwrap_err().into();
/// assert!(error.to_string().contains("no such file"));
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::NotFound);
/// ```
#[doc(alias = "MemoryManagerError")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A manager could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Bytes could not be copied out of a file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A range of a file could not be viewed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Bytes could not be copied out of a mapping.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

/// A file in a message: its path in quotes, control characters escaped.
pub(crate) struct Name<'a>(pub(crate) Option<&'a Path>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{path:?}"),
            None => f.write_str("a file opened without a path"),
        }
    }
}

impl From<Error> for io::Error {
    /// Keeps the whole error as the inner one, under the kind that fits best.
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Build(_) => io::ErrorKind::InvalidInput,
            Error::Open(error) => error.kind(),
            Error::Read(error) => error.kind(),
            Error::View(error) => error.kind(),
            Error::Copy(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        Error::from(error).into()
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Error::from(error).into()
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        Error::from(error).into()
    }
}

impl From<ViewError> for io::Error {
    fn from(error: ViewError) -> Self {
        Error::from(error).into()
    }
}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> Self {
        Error::from(error).into()
    }
}
