//! The errors: one enum for each kind of operation, and one for all.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::source::{DescriptorError, no_descriptors_left};
use crate::sys::{FileKind, Identity};

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

/// Why a [`MapManager`](crate::MapManager) could not be built.
///
/// # Examples
///
/// ```
/// use window_mman::{BuildError, MapManager};
///
/// let refused = MapManager::builder().max_mapped_bytes(1).build();
/// assert!(matches!(refused, Err(BuildError::LimitBelowWindow { limit: 1, .. })));
/// ```
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
    /// Not one window could be mapped.
    #[error(
        "the limit of {limit} mapped bytes is less than one window of {window_size}: \
         raise `max_mapped_bytes`, or ask for a smaller `window_size`"
    )]
    LimitBelowWindow {
        /// The limit asked for, in bytes.
        limit: u64,
        /// The window size, rounded up to whole pages, in bytes.
        window_size: u64,
    },
    /// Not one region could be mapped, or not one file opened.
    #[error("`{limit}` is 0: ask for at least 1, or for none to have the default")]
    LimitIsZero {
        /// The name of the limit.
        limit: &'static str,
    },
}

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
    fn kind(&self) -> io::ErrorKind {
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

/// What is held of a file.
///
/// # Examples
///
/// ```
/// use window_mman::{LimitPolicy, MapManager, ViewError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let builder = MapManager::builder().max_regions(1).when_limit_is_held(LimitPolicy::Error);
/// let manager = builder.build()?;
/// let held = manager.open(&path)?.copy_view(0..10)?;
/// # let other = directory.path().join("other");
/// # std::fs::write(&other, b"x")?;
/// let refused = manager.open(&other)?.copy_view(0..1);
/// let Err(ViewError::LimitReached { held: holdings, .. }) = refused else { panic!("there is one region") };
/// assert_eq!((holdings[0].bytes, holdings[0].holders), (10, 1));
/// # drop(held);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holding {
    /// The file, if its name is known.
    pub path: Option<PathBuf>,
    /// How many of its regions somebody holds.
    pub regions: usize,
    /// The bytes of these regions.
    pub bytes: u64,
    /// How many views and cursors hold them.
    pub holders: u64,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, regions, bytes, holders } = self;
        let name = Name(path.as_deref());
        write!(f, "{bytes} bytes in {regions} regions of {name} by {holders} views and cursors")
    }
}

/// The first few, and how many more there are.
struct Holdings<'a>(&'a [Holding]);

impl fmt::Display for Holdings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (position, holding) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{holding}", if position == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, ", and of {more} more files"),
        }
    }
}

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

/// Why bytes could not be copied out of a file.
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
/// assert!(matches!(file.bytes(11..12), Err(ReadError::StartsPastEnd { offset: 11, len: 10, .. })));
/// # Ok(())
/// # }
/// ```
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
    /// The descriptor had been closed, and the file could not be opened again.
    #[error("cannot read {range:?} of {}: {source}", Name(.path.as_deref()))]
    Reopen {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range to be read, in bytes.
        range: Range<u64>,
        /// Why.
        source: ReopenError,
    },
    /// Another file has taken its place.
    #[error(
        "{path:?} is another file now: it was {was}, and is {now}; the old one can still be read here, \
         open it again to read the new one"
    )]
    Replaced {
        /// Where it was.
        path: PathBuf,
        /// What was opened.
        was: Box<FileState>,
        /// What is there now.
        now: Box<FileState>,
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
///
/// # Examples
///
/// ```
/// use window_mman::{MapManager, ViewError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let file = MapManager::new().open(&path)?;
/// assert!(matches!(file.copy_view(11..12), Err(ViewError::StartsPastEnd { len: 10, .. })));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "RegionCollectionError")]
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
    /// The descriptor had been closed, and the file could not be opened again.
    #[error("cannot view {range:?} of {}: {source}", Name(.path.as_deref()))]
    Reopen {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// Why.
        source: ReopenError,
    },
    /// The limits are reached by what is held, and the manager was told to keep to them.
    #[error(
        "cannot view {range:?} of {}: {wanted} more bytes would exceed the limits of {max_mapped_bytes} bytes and \
         {max_regions} regions, and what is mapped is held: {}; drop views and cursors, raise the limits, or let \
         them be exceeded (LimitPolicy::Exceed)",
        Name(.path.as_deref()), Holdings(.held)
    )]
    LimitReached {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// How many bytes would have been mapped for it.
        wanted: u64,
        /// The limit in bytes.
        max_mapped_bytes: u64,
        /// The limit in regions.
        max_regions: usize,
        /// Who holds how much, the most first.
        held: Vec<Holding>,
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
        _ if no_descriptors_left(source) => {
            format!("{source}; lower `max_open_files`, or raise the limit of the system (ulimit -n)")
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

impl CopyError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Fault { .. } => io::ErrorKind::UnexpectedEof,
            Self::OutOfBounds { .. } | Self::Misaligned { .. } => io::ErrorKind::InvalidInput,
            Self::Io { source, .. } => source.kind(),
        }
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
            Self::Reopen { source, .. } => source.kind(),
            Self::Replaced { .. } => io::ErrorKind::StaleNetworkFileHandle,
            Self::Io { source, .. } => source.kind(),
        }
    }
}

impl ViewError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Reversed { .. } | Self::StartsPastEnd { .. } | Self::TooLong { .. } => io::ErrorKind::InvalidInput,
            Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::LimitReached { .. } => io::ErrorKind::QuotaExceeded,
            Self::Reopen { source, .. } => source.kind(),
            Self::Map { source, .. } => source.kind(),
        }
    }
}
