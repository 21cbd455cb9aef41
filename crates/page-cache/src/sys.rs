//! The one seam for file I/O: everything that this crate does to the files of a cache goes through [`Disk`] and
//! [`DiskFile`]. (Locking the directory itself, and looking at whose it is, does not; nor does an origin.)
//!
//! The real implementation is [`LocalDisk`]; tests put one in its place that fails on demand, so that every path of
//! a full, read-only or dying disk can be walked without root. Nothing in here knows what the files mean.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

/// What is done to files by name.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Creates a directory, private to this user, and its parents; one that exists stays as it is.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Opens a file that exists, never through a symbolic link at its own name.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a file, private to this user; that it exists is an error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in the same file system, replacing what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a file or, with all that is in it, a directory.
    fn remove_all(&self, path: &Path) -> io::Result<()>;
}

/// What is done to an open file, at offsets.
pub(crate) trait DiskFile: Debug + Send + Sync {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn inode(&self) -> io::Result<u64>;
    /// The first offset at or behind `offset` that is not in a hole; none if there are only holes.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

/// The file system itself.
#[derive(Debug)]
pub(crate) struct LocalDisk;

impl Disk for LocalDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        path.read_dir()?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            // A FIFO in the place of a file must not keep its opener waiting.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(Box::new(file))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        // A read-only file system says that it is one, also of a file that is not there.
        std::fs::remove_file(path).map_err(|error| match path.symlink_metadata() {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => absent,
            _ => error,
        })
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata()?.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    }
}

impl DiskFile for File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, out, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn inode(&self) -> io::Result<u64> {
        Ok(self.metadata()?.ino())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        // It moves the descriptor's position, which nobody here uses.
        match rustix::fs::seek(self, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
pub(crate) mod failing {
    //! A disk that does what the real one does, until it is told to fail.

    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// An operation that can be made to fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Operation {
        CreateDir,
        ReadDir,
        Open,
        Create,
        Rename,
        Remove,
        Read,
        Write,
        SetLen,
    }

    type Verdict = dyn FnMut(Operation, &Path) -> Option<io::Error> + Send;

    /// The real disk, asked through a verdict on each operation and path.
    #[derive(Clone)]
    pub(crate) struct FailingDisk(Arc<Mutex<Box<Verdict>>>);

    impl Debug for FailingDisk {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("FailingDisk")
        }
    }

    impl FailingDisk {
        /// One on which everything works.
        pub(crate) fn healthy() -> Self {
            Self(Arc::new(Mutex::new(Box::new(|_, _| None))))
        }

        /// From now on, whatever `verdict` gives an error for fails with it.
        pub(crate) fn fail(&self, verdict: impl FnMut(Operation, &Path) -> Option<io::Error> + Send + 'static) {
            *self.0.lock() = Box::new(verdict);
        }

        fn judge(&self, operation: Operation, path: &Path) -> io::Result<()> {
            (self.0.lock())(operation, path).map_or(Ok(()), Err)
        }

        fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
            Box::new(FailingFile { file, path: path.into(), disk: self.clone() })
        }
    }

    impl Disk for FailingDisk {
        fn create_dir(&self, path: &Path) -> io::Result<()> {
            self.judge(Operation::CreateDir, path)?;
            LocalDisk.create_dir(path)
        }

        fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
            self.judge(Operation::ReadDir, path)?;
            LocalDisk.read_dir(path)
        }

        fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
            self.judge(Operation::Open, path)?;
            Ok(self.wrap(path, LocalDisk.open(path, access)?))
        }

        fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            self.judge(Operation::Create, path)?;
            Ok(self.wrap(path, LocalDisk.create(path)?))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.judge(Operation::Rename, from)?;
            LocalDisk.rename(from, to)
        }

        fn remove_file(&self, path: &Path) -> io::Result<()> {
            self.judge(Operation::Remove, path)?;
            LocalDisk.remove_file(path)
        }

        fn remove_all(&self, path: &Path) -> io::Result<()> {
            self.judge(Operation::Remove, path)?;
            LocalDisk.remove_all(path)
        }
    }

    #[derive(Debug)]
    struct FailingFile {
        file: Box<dyn DiskFile>,
        path: std::path::PathBuf,
        disk: FailingDisk,
    }

    impl DiskFile for FailingFile {
        fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
            self.disk.judge(Operation::Read, &self.path)?;
            self.file.read_exact_at(out, offset)
        }

        fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
            if let Err(error) = self.disk.judge(Operation::Write, &self.path) {
                // A disk that fills up takes a part of what it is given.
                self.file.write_all_at(&data[..data.len() / 2], offset)?;
                return Err(error);
            }
            self.file.write_all_at(data, offset)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.disk.judge(Operation::SetLen, &self.path)?;
            self.file.set_len(len)
        }

        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn inode(&self) -> io::Result<u64> {
            self.file.inode()
        }

        fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
            self.disk.judge(Operation::Read, &self.path)?;
            self.file.next_data(offset)
        }
    }
}
