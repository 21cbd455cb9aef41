//! How the command ends when it cannot do what it was asked: one line, and a code that scripts can rely on.

use std::io;
use std::process::ExitCode;

use svf::page_cache::{OpenError, OriginError, ReadError};

/// Documented in `svf --help`, and in the README.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the output could not be written, or a local file could not be read
  2  wrong usage: an unknown option, a range that is malformed or reversed, a URL that is none
  3  the file has no such bytes: the range starts at or behind its end
  4  the object does not exist, or access was denied
  5  the server cannot be reached, or answers with an error that may pass
  6  the server's answers cannot be used: it ignores ranges, or the object changed while it was read
  7  the cache directory cannot be used";

/// Why the command ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{source_name} is {len} bytes long, so the range {range} starts behind its end; ask for an earlier one")]
    NoSuchBytes { source_name: String, len: u64, range: String },
    #[error(transparent)]
    Stack(#[from] svf::Error),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    #[error("{0}")]
    Origin(#[from] loopback_origin::Error),
    #[error("{0}")]
    Unreadable(String),
}

impl Failure {
    /// An I/O error of something that the message has to name.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }

    /// Prints the one line, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        // A reader that has seen enough, as `head` has, is no failure to talk about.
        if let Self::Io { error, .. } = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        eprintln!("svf: {}", self.to_string().replace('\n', " "));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Origin(_) | Self::Unreadable(_) => 1,
            Self::Usage(_) => 2,
            Self::NoSuchBytes { .. } => 3,
            Self::Stack(error) => match error {
                svf::Error::UnsupportedScheme { .. } => 2,
                svf::Error::Cache(OpenError::PageSize { .. }) => 2,
                svf::Error::Cache(_) | svf::Error::NoCacheDir => 7,
                svf::Error::Origin(error) | svf::Error::Read(ReadError::Origin(error)) => code_of(error),
                svf::Error::Read(ReadError::PastEnd { .. } | ReadError::TooShort { .. }) => 3,
                svf::Error::Read(ReadError::Reversed { .. }) => 2,
                _ => 1,
            },
        }
    }
}

fn code_of(error: &OriginError) -> u8 {
    match error {
        OriginError::InvalidUrl { .. } => 2,
        OriginError::NotFound { .. } | OriginError::Denied { .. } => 4,
        OriginError::RangesIgnored { .. } | OriginError::InvalidResponse { .. } | OriginError::Changed { .. } => 6,
        OriginError::Unreachable { .. } | OriginError::Status { .. } => 5,
        _ => 1,
    }
}
