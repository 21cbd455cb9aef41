//! The errors: one enum for each kind of operation, and one for all.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::sys::FileKind;

/// Any error of this crate.
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
}

/// Why a [`MapManager`](crate::MapManager) could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A window size of 0 was asked for.
    #[error("the window size is 0 bytes: ask for at least 1, or for none to have the default")]
    WindowIsEmpty,
    /// A window would be longer than a slice can be.
    #[error(
        "the window size of {requested} bytes is too large: \
         no slice is longer than {largest} bytes, and whole pages must fit in"
    )]
    WindowTooLarge {
        /// The size asked for, in bytes.
        requested: u64,
        /// What no window can exceed, in bytes.
        largest: u64,
    },
}

/// Why a file could not be opened.
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

/// Why bytes could not be copied out of a file.
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

/// Why a range of a file could not be viewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The range ends before it starts.
    #[error("cannot view {range:?} of {}: the range ends before it starts", Name(.path.as_deref()))]
    Reversed {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
    },
    /// The range starts past the end of the file.
    #[error(
        "cannot view {range:?} of {}: it had {len} bytes when it was opened; \
         start at {len} or before, or open it again if it has grown",
        Name(.path.as_deref())
    )]
    StartsPastEnd {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// The length of the file when it was opened, in bytes.
        len: u64,
    },
    /// The range is longer than memory can be.
    #[error(
        "cannot view {range:?} of {}: no slice of this system is that long; \
         view it in smaller pieces",
        Name(.path.as_deref())
    )]
    TooLong {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
    },
    /// The file was made shorter after it was opened, so it may not be mapped any more.
    #[error(
        "cannot view {range:?} of {}: it had {opened_with} bytes when it was opened and now has \
         {now}; somebody truncated it, so it is not stable: open it again, or read it by copies",
        Name(.path.as_deref())
    )]
    Truncated {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// The length of the file when it was opened, in bytes.
        opened_with: u64,
        /// The length of the file now, in bytes.
        now: u64,
    },
    /// The system failed to map; [`source`](std::error::Error::source) has its reason.
    #[error(
        "cannot view {range:?} of {}: the system failed to map it ({source}); {}",
        Name(.path.as_deref()), why_not_map(.source)
    )]
    Map {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// What the system said.
        source: io::Error,
    },
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

fn why_not_open(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("no permission ({source}); it and its directories must be readable for you")
        }
        _ => format!("{source}; check the path and what it is stored on"),
    }
}

fn why_not_map(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::OutOfMemory => {
            "drop views that are not needed, or raise the limits of the system \
             (on Linux vm.max_map_count, or the address space: ulimit -v)"
        }
        _ => "its file system may not support mappings: read it by copies instead",
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

impl OpenError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::NotRegular { kind: FileKind::Directory, .. } => io::ErrorKind::IsADirectory,
            Self::NotRegular { .. } => io::ErrorKind::InvalidInput,
            Self::NotReadable => io::ErrorKind::PermissionDenied,
        }
    }
}

impl ReadError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Reversed { .. } | Self::StartsPastEnd { .. } => io::ErrorKind::InvalidInput,
            Self::EndsPastEnd { .. } | Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            Self::Io { source, .. } => source.kind(),
        }
    }
}

impl ViewError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Reversed { .. } | Self::StartsPastEnd { .. } | Self::TooLong { .. } => io::ErrorKind::InvalidInput,
            Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::Map { source, .. } => source.kind(),
        }
    }
}
