//! Any error of the stack.

use std::io;

/// Why something cannot be opened or read; from whichever layer, in its own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cache directory cannot be used.
    #[error(transparent)]
    Cache(#[from] page_cache::OpenError),
    /// The origin of a remote file does not answer with it.
    #[error(transparent)]
    Origin(#[from] page_cache::OriginError),
    /// A read of a remote file.
    #[error(transparent)]
    Read(#[from] page_cache::ReadError),
    /// A local file.
    #[error(transparent)]
    Local(#[from] window_mman::Error),
    /// The URL's scheme is none that this build can read.
    #[error("{scheme}:// URLs cannot be read by this build; {remedy}")]
    UnsupportedScheme {
        /// The scheme, without `://`.
        scheme: String,
        /// What can.
        remedy: &'static str,
    },
    /// There is no place for the cache.
    #[error("there is no default cache directory, since neither XDG_CACHE_HOME nor HOME is set; give one")]
    NoCacheDir,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Cache(error) => page_cache::Error::from(error).into(),
            Error::Origin(error) => page_cache::Error::from(error).into(),
            Error::Read(error) => error.into(),
            Error::Local(error) => error.into(),
            Error::UnsupportedScheme { .. } => Self::new(io::ErrorKind::Unsupported, error),
            Error::NoCacheDir => Self::new(io::ErrorKind::NotFound, error),
        }
    }
}
