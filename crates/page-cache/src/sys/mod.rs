//! The one seam to the system: everything that this crate does to the files of a cache goes through [`Disk`] and
//! [`DiskFile`], and all `unsafe` of the crate is in here.
//!
//! The real implementation is [`LocalDisk`]; tests put one in its place that fails on demand, so that every path of
//! a full, read-only or dying disk can be walked without root. Nothing in here knows what the files mean.

mod disk;
#[cfg(test)]
pub(crate) mod failing;
mod fork;
mod lock_file;
mod mapping;
mod process;
mod shared_words;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;

pub(crate) use self::disk::{LocalDisk, check_size_limit};
pub(crate) use self::fork::PerProcess;

pub(crate) use self::lock_file::{Lock, LockFile};
pub(crate) use self::mapping::Mapping;
pub(crate) use self::process::process;
pub(crate) use self::shared_words::SharedWords;

/// What is done to files by name.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Creates a directory, private to this user, and its parents; one that exists stays as it is.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Some of them, and no more than so many, at the cost of these.
    fn some_of_dir(&self, path: &Path, most: usize) -> io::Result<Vec<OsString>>;
    /// Opens a file that exists, never through a symbolic link at its own name.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists for nothing but locks: on a descriptor of its own, which is never mapped or duplicated.
    fn open_lock(&self, path: &Path) -> io::Result<LockFile>;
    /// Creates a file, private to this user; that it exists is an error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in the same file system, replacing what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; that there is a file of that name is an error.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a file or, with all that is in it, a directory.
    fn remove_all(&self, path: &Path) -> io::Result<()>;
    /// How long a file is, and what it takes, without opening it or following a symbolic link; nothing, if there is
    /// none.
    fn size(&self, path: &Path) -> io::Result<FileSize>;
    /// Waits until the names in a directory are on the medium.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Which file has this name now, without following a symbolic link.
    fn file_id(&self, path: &Path) -> io::Result<FileId>;
    /// Whether files may be made in a directory.
    fn check_writable(&self, path: &Path) -> io::Result<()>;
    /// What is under a path.
    fn file_system(&self, path: &Path) -> io::Result<FileSystem>;
    /// What tells this boot of the system from all others; never zero.
    fn boot_id(&self) -> io::Result<BootId>;
}

/// What is done to an open file, at offsets.
pub(crate) trait DiskFile: Debug + Send + Sync {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn id(&self) -> io::Result<FileId>;
    /// How many bytes of the disk it takes.
    fn allocated(&self) -> io::Result<u64>;
    /// The first offset at or behind `offset` that is not in a hole; none if there are only holes.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;
    /// The first offset at or behind `offset` that is in a hole or at the end.
    fn next_hole(&self, offset: u64) -> io::Result<u64>;
    /// Takes blocks of the disk for a range, whatever its bytes are; its length stays.
    fn allocate(&self, range: Range<u64>) -> io::Result<()>;
    /// Gives the blocks of a range back, so that it is a hole; its length stays.
    fn punch(&self, range: Range<u64>) -> io::Result<()>;
    /// Waits until its bytes are on the medium.
    fn sync(&self) -> io::Result<()>;
    /// Maps a range for loads and stores of words that other processes see. All of it must be allocated where a store
    /// goes, since a store into a hole needs a block, and its want is a signal.
    fn map_words(&self, range: Range<u64>) -> io::Result<SharedWords>;
    /// Maps a range, which starts at a multiple of the system's page size, for reads that copy.
    fn map(&self, range: Range<u64>) -> io::Result<Box<dyn Mapping>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileSize {
    pub(crate) len: u64,
    /// How many bytes of the disk it takes.
    pub(crate) allocated: u64,
}

/// Device and inode.
pub(crate) type FileId = (u64, u64);

/// The system's name for the time since it was started.
pub(crate) type BootId = [u64; 2];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// The smallest unit in which it allocates, in bytes.
    pub(crate) unit: u64,
    pub(crate) kind: FileSystemKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystemKind {
    /// On a disk of this machine.
    Local,
    /// In memory: even a read fault in a hole of a mapped file takes a page.
    Memory,
    /// Of other machines or of another program, whose locks and mappings cannot be relied on; its name.
    Remote(&'static str),
    /// Of this machine, with files that take all of their length; its name.
    WithoutHoles(&'static str),
    /// Of this machine, where a store into an allocated block of a mapped file may need another one; its name.
    CopyOnWrite(&'static str),
}
