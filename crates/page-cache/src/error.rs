//! What can go wrong: with the directory, with an origin, with a read, with looking after what is stored.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::origin::OriginError;

/// A cache directory cannot be used. Nothing in it has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system refused to create it, to read it or to write into it.
    #[error("{} cannot be used as a cache directory: {source}; {}", path.display(), remedy(source))]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another user owns it, who could change what is cached.
    #[error(
        "the cache directory {} belongs to user {owner}, and this is user {us}; choose one of your own",
        path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        us: u32,
    },
    /// Its permissions let other users change what is cached.
    #[error(
        "the directory {} can be written by other users (mode {mode:o}), who could change what is cached; choose one \
         that only you can write to",
        path.display()
    )]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds files and is no cache: they might be lost.
    #[error("{} is no cache directory and not empty; choose an empty or a new one", path.display())]
    NotACache {
        /// The directory.
        path: PathBuf,
    },
    /// Its control file is damaged and in use, or it is just being opened and closed by other threads.
    #[error(
        "the cache directory {} cannot be opened now, since others are at work in it; wait until they end, or choose \
         another directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It was made by another version of this crate, which may be using it.
    #[error(
        "the cache directory {} has format {found}, and this program writes format {ours}; choose another directory, \
         or remove it",
        path.display()
    )]
    OtherFormat {
        /// The directory.
        path: PathBuf,
        /// The number of its format.
        found: u32,
        /// The number of the format that this version writes.
        ours: u32,
    },
    /// It is on a file system whose locks and mappings cannot be relied on between processes.
    #[error(
        "the cache directory {} is on a file system of kind {kind}, on which locks and mapped files do not hold what \
         they promise; choose one on a local disk, or allow it with allow_remote_file_system(true) if only this \
         machine uses it",
        path.display()
    )]
    RemoteFileSystem {
        /// The directory.
        path: PathBuf,
        /// What is known of the file system.
        kind: &'static str,
    },
    /// It is on a file system that knows no holes, so that a file of which a piece is stored would take all of its
    /// length.
    #[error(
        "the cache directory {} is on a file system of kind {kind}, where files have no holes, and a piece of an object \
         would take as much as all of it; choose one on ext4, XFS or another that has them",
        path.display()
    )]
    NoHoles {
        /// The directory.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// More is stored than the limit that was asked for, and it cannot go. The limit is what it was.
    #[error(
        "the cache directory {} cannot be limited to {max_bytes} bytes: {charged} are taken, of which {kept} are to be \
         kept, and the rest is in use; release what is kept, close its readers, or choose a larger limit",
        path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// The limit that was asked for, in bytes.
        max_bytes: u64,
        /// What is charged, in bytes.
        charged: u64,
        /// How much of that is to be kept, in bytes.
        kept: u64,
    },
    /// A smaller limit was asked for, and what is charged has not been counted since the system was started, so that
    /// nobody knows what is beyond it. The limit is what it was.
    #[error(
        "the cache directory {} cannot be limited to {max_bytes} bytes now: what is in it could not be counted, since \
         others are at work for too long, or its disk fails (the log says which); try again later",
        path.display()
    )]
    NotCounted {
        /// The directory.
        path: PathBuf,
        /// The limit that was asked for, in bytes.
        max_bytes: u64,
    },
    /// The page size is not one that the cache can work with.
    #[error("a page size of {page_size} bytes cannot be used: {reason}")]
    PageSize {
        /// The page size that was asked for, in bytes.
        page_size: u64,
        /// What is wrong with it, and what is right.
        reason: String,
    },
}

/// What to do about a directory that the system refuses.
fn remedy(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "close files, or raise the limit of open files (ulimit -n)",
        Some(Errno::NOSPC | Errno::DQUOT) => "make room on its file system, or choose a directory on another",
        Some(Errno::EXIST | Errno::NOTDIR) => "there is something else at that path; choose another",
        _ => "choose a directory that you may write to",
    }
}

/// A read that could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The range's start lies behind its end.
    #[error("{key}: the range {}..{} is reversed; put the smaller offset first", range.start, range.end)]
    Reversed {
        /// The object.
        key: String,
        /// The range that was asked for.
        range: Range<u64>,
    },
    /// The range starts behind the end of the object.
    #[error("{key}: bytes from {start} on were asked for, and it is {length} bytes long; ask for an earlier start")]
    PastEnd {
        /// The object.
        key: String,
        /// Where the range starts.
        start: u64,
        /// The length of the object in bytes.
        length: u64,
    },
    /// An exact read reaches beyond the end of the object.
    #[error("{key}: {wanted} bytes at {start} were asked for, and it is {length} bytes long; ask for fewer")]
    TooShort {
        /// The object.
        key: String,
        /// Where the read starts.
        start: u64,
        /// How many bytes were to be read.
        wanted: u64,
        /// The length of the object in bytes.
        length: u64,
    },
    /// There is not enough memory for the result.
    #[error("{key}: there is no memory for {bytes} bytes at once; read smaller ranges")]
    NoMemory {
        /// The object.
        key: String,
        /// The size of the result in bytes.
        bytes: u64,
    },
    /// What is held does not agree with its checksum, and the cache was told never to contact an origin.
    #[error(
        "{key}: the stored bytes {}..{} are damaged, and the cache is offline; open it without offline(true) to fetch \
         them again",
        range.start, range.end
    )]
    Damaged {
        /// The object.
        key: String,
        /// The page that is damaged, in bytes.
        range: Range<u64>,
    },
    /// The origin did not give the bytes that were missing.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Reversed { .. } | ReadError::PastEnd { .. } => io::ErrorKind::InvalidInput,
            ReadError::TooShort { .. } => io::ErrorKind::UnexpectedEof,
            ReadError::NoMemory { .. } => io::ErrorKind::OutOfMemory,
            ReadError::Damaged { .. } => io::ErrorKind::InvalidData,
            ReadError::Origin(origin) => origin.io_kind(),
        };
        Self::new(kind, error)
    }
}

/// Something could not be fetched ahead of its reads. What had been stored stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrefetchError {
    /// The ranges take more than the limit.
    #[error(
        "{key}: {bytes} bytes, with what is kept about them, can never be held within the limit of {max_bytes}; raise \
         max_bytes, or prefetch less at once"
    )]
    TooLarge {
        /// The object.
        key: String,
        /// How many bytes the pages of the ranges have.
        bytes: u64,
        /// The limit of the cache, in bytes.
        max_bytes: u64,
    },
    /// It was not stored, or could not be.
    #[error("{key} cannot be prefetched: {reason}; read it, and it comes from the origin")]
    NotStored {
        /// The object.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// A range that is none, or an origin that did not give the bytes.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<PrefetchError> for io::Error {
    fn from(error: PrefetchError) -> Self {
        match error {
            PrefetchError::Read(error) => error.into(),
            PrefetchError::TooLarge { .. } => Self::new(io::ErrorKind::StorageFull, error),
            PrefetchError::NotStored { .. } => Self::other(error),
        }
    }
}

/// A file could not be exported or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The system refused to read or write it.
    #[error("{}: {source}; choose a path of which there is no file yet to export, and one that exists to import", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The list beside the file is not one that an export wrote, or it is damaged.
    #[error("{} is not the list of an exported file: {reason}; export it again", path.display())]
    NotExported {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was exported of another object, or another version of it.
    #[error("{} holds pieces of another object or version than {key}; import it where it came from", path.display())]
    OtherObject {
        /// The file.
        path: PathBuf,
        /// The object that it was to be imported into.
        key: String,
    },
}

/// What is stored could not be counted, verified, kept or evicted. Reads go on all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// Something that is done to a whole cache.
    #[error("the cache directory {} could not be {operation}: {source}; {}", path.display(), maintenance_remedy(source))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What was to be done, as a participle: counted, verified, evicted from.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something that is done to what is stored of one object.
    #[error(
        "{key}: what is stored of bytes {}..{} could not be {operation}: {source}; {}",
        range.start, range.end, maintenance_remedy(source)
    )]
    Object {
        /// The object.
        key: String,
        /// The bytes of it that were meant.
        range: Range<u64>,
        /// What was to be done, as a participle: kept, released, evicted, removed, verified, listed.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// This process is a child of the one that opened the cache, and could not open its files anew.
    #[error(
        "this process could not open the cache directory {} again after the fork; see the log for the reason, and try \
         again, or open the cache in this process",
        path.display()
    )]
    NotOpen {
        /// The directory.
        path: PathBuf,
    },
}

impl MaintenanceError {
    /// The nearest kind of [`io::Error`].
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Directory { source, .. } | Self::Object { source, .. } => source.kind(),
            Self::NotOpen { .. } => io::ErrorKind::Other,
        }
    }
}

impl From<MaintenanceError> for io::Error {
    fn from(error: MaintenanceError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

/// What to do about files of a cache that the system refuses.
fn maintenance_remedy(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    if error.kind() == io::ErrorKind::ResourceBusy {
        return "others are at work for too long; try again later";
    }
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "close files, or raise the limit of open files (ulimit -n)",
        Some(Errno::NOSPC | Errno::DQUOT) => "make room on its file system, and try again",
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => "make its files writable for this user, and try again",
        _ => "check the disk, and try again",
    }
}

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// See [`OpenError`].
    #[error(transparent)]
    Open(#[from] OpenError),
    /// See [`ReadError`].
    #[error(transparent)]
    Read(#[from] ReadError),
    /// See [`OriginError`].
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// See [`PrefetchError`].
    #[error(transparent)]
    Prefetch(#[from] PrefetchError),
    /// See [`TransferError`].
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// See [`MaintenanceError`].
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Open(OpenError::Unusable { path, source }) => {
                Self::new(source.kind(), OpenError::Unusable { path, source })
            }
            Error::Open(error) => Self::other(error),
            Error::Read(error) => error.into(),
            Error::Prefetch(error) => error.into(),
            Error::Origin(error) => ReadError::Origin(error).into(),
            Error::Transfer(TransferError::Io { path, source }) => {
                Self::new(source.kind(), TransferError::Io { path, source })
            }
            Error::Transfer(error) => Self::new(io::ErrorKind::InvalidData, error),
            Error::Maintenance(error) => error.into(),
        }
    }
}
