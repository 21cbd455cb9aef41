//! How the command ends when it cannot do what it was asked: one line, and a code that scripts can rely on.

use std::io::{self, Write};
use std::process::ExitCode;

use svf::page_cache::{MaintenanceError, OpenError, OriginError, PrefetchError, ReadError, TransferError};

use crate::printable::printable;

/// Documented in `svf --help`, and in the README.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the output could not be written, or a local file could not be read
  2  wrong usage: an unknown option, a range that is malformed or reversed, a
     URL that is none
  3  the file has no such bytes: the range starts at or behind its end
  4  the object does not exist, or access was denied
  5  the server cannot be reached, or answers with an error that may pass
  6  the server's answers cannot be used: it ignores ranges, or the object
     changed while it was read
  7  the cache directory cannot be used
  8  the cache takes more than was asked for, since the rest is kept or in use;
     or it has no room for what is to be held
  9  something that is held was damaged; it is held no more, and is fetched
     again by who reads it";

/// Why the command ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{source_name} is {len} bytes long, so the range {range} starts behind its end; ask for an earlier one")]
    NoSuchBytes { source_name: String, len: u64, range: String },
    #[error("{source_name} is empty, so it has no bytes to ask for; leave the range out")]
    Empty { source_name: String },
    #[error(transparent)]
    Stack(#[from] svf::Error),
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    #[error("{0}")]
    Origin(#[from] loopback_origin::Error),
    #[error("{0}")]
    Unreadable(String),
    #[error(
        "{dir} takes {left} still, and {wanted} were asked for: the rest is to be kept, or others are using it; close \
         them, or release it"
    )]
    InUse { dir: String, left: String, wanted: String },
    #[error("nothing is held of {url}; get pieces of it with svf fetch first")]
    NothingHeld { url: String },
    #[error("{files} of the files that are held had damaged pages, which are fetched again when they are read")]
    Damaged { files: usize },
    #[error(transparent)]
    Prefetch(#[from] PrefetchError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error("{message}")]
    Read { message: String, code: u8 },
}

impl Failure {
    /// An I/O error of something that the message has to name.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }

    /// What is wrong with the arguments, on one line: clap says it on several.
    pub(crate) fn usage_of(error: &clap::Error) -> Self {
        let message = error.to_string();
        let what = message.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let words = what.split_whitespace().collect::<Vec<_>>().join(" ");
        // Without any argument clap prints the help, which begins with what the command is for.
        let what = if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            "a subcommand is missing".to_owned()
        } else {
            words
        };
        // What may have been meant, if clap has an idea.
        let tip = message.lines().find_map(|line| line.trim().strip_prefix("tip: "));
        let tip = tip.map_or(String::new(), |tip| format!("; {tip}"));
        Self::Usage(format!("{what}{tip}; see svf --help"))
    }

    /// What a parser's I/O error means: the stack's own error, if it came from there.
    pub(crate) fn of_parser(error: &io::Error, what: impl FnOnce() -> String) -> Self {
        let mut cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<ReadError>() {
                return Self::Read { message: error.to_string(), code: code_of_read(error) };
            }
            cause = error.source();
        }
        Self::Unreadable(what())
    }

    /// Prints the one line, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        // A reader that has seen enough, as `head` has, is no failure to talk about.
        if let Self::Io { error, .. } = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        let line = format!("svf: {}\n", printable(&self.to_string().replace('\n', " ")));
        // Where nobody can be told there is only the code left to tell.
        _ = io::stderr().lock().write_all(line.as_bytes());
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Io { .. }
            | Self::NothingHeld { .. }
            | Self::Transfer(_)
            | Self::Maintenance(_)
            | Self::Origin(_)
            | Self::Unreadable(_) => 1,
            Self::Usage(_) => 2,
            Self::NoSuchBytes { .. } | Self::Empty { .. } => 3,
            Self::InUse { .. } => 8,
            Self::Damaged { .. } => 9,
            Self::Prefetch(PrefetchError::Read(error)) => code_of_read(error),
            Self::Prefetch(_) => 8,
            Self::Read { code, .. } => *code,
            Self::Stack(error) => match error {
                svf::Error::UnsupportedScheme { .. } => 2,
                svf::Error::Cache(OpenError::PageSize { .. }) => 2,
                svf::Error::Cache(_) | svf::Error::NoCacheDir => 7,
                svf::Error::Origin(error) => code_of(error),
                svf::Error::Read(error) => code_of_read(error),
                _ => 1,
            },
        }
    }
}

fn code_of_read(error: &ReadError) -> u8 {
    match error {
        ReadError::Origin(error) => code_of(error),
        ReadError::PastEnd { .. } | ReadError::TooShort { .. } => 3,
        ReadError::Reversed { .. } => 2,
        _ => 1,
    }
}

fn code_of(error: &OriginError) -> u8 {
    match error {
        OriginError::InvalidUrl { .. } | OriginError::UnsupportedScheme { .. } => 2,
        OriginError::NotFound { .. } | OriginError::Denied { .. } => 4,
        OriginError::RangesIgnored { .. } | OriginError::InvalidResponse { .. } | OriginError::Changed { .. } => 6,
        OriginError::Unreachable { .. }
        | OriginError::Incomplete { .. }
        | OriginError::Status { .. }
        | OriginError::Store { .. } => 5,
        _ => 1,
    }
}
