//! The files of a cache directory by their paths, and what is done to whole files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::name::{self, KeyHash};
use super::pair::Loads;
use crate::sys::{Disk, DiskFile, FileSystem, FileSystemKind, check_size_limit};

/// Where the files of a directory are, and the disk they are on.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) file_system: FileSystem,
}

impl Files {
    /// How the words of indexes, and pages, are looked at.
    pub(crate) fn loads(&self) -> Loads {
        match self.file_system.kind {
            FileSystemKind::Memory => Loads::ByPread,
            _ => Loads::Mapped,
        }
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    pub(crate) fn heads(&self) -> PathBuf {
        self.root.join("heads")
    }

    pub(crate) fn pairs(&self) -> PathBuf {
        self.root.join("pairs")
    }

    pub(crate) fn aside(&self) -> PathBuf {
        self.root.join("aside")
    }

    /// The head of a key.
    pub(crate) fn head(&self, key: &KeyHash) -> PathBuf {
        self.heads().join(key.file_name())
    }

    /// The data file and the index of a pair.
    pub(crate) fn pair(&self, name: &str) -> [PathBuf; 2] {
        ["data", "index"].map(|ending| self.pairs().join(format!("{name}.{ending}")))
    }

    /// Writes a file in the place of the one there was; at any moment there is the one or the other.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_by(&temporary(path), path, bytes, false)
    }

    /// The same for who is the only one that does so with this file: what dead ones have left of it is one file, whose
    /// room is charged. If it is to be `durable` it outlives a power cut as the one or the other.
    pub(crate) fn replace_alone(&self, path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}{TEMPORARY}"));
        if !self.remove(&temporary) {
            return Err(io::Error::other("what a dead process left in its place cannot be removed"));
        }
        self.replace_by(&temporary, path, bytes, durable)
    }

    fn replace_by(&self, temporary: &Path, path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
        let write = |file: Box<dyn DiskFile>| {
            check_size_limit(bytes.len() as u64)?;
            file.write_all_at(bytes, 0)?;
            if durable { file.sync() } else { Ok(()) }
        };
        let replaced = self.disk.create(temporary).and_then(write).and_then(|()| self.disk.rename(temporary, path));
        if replaced.is_err() {
            self.remove(temporary);
        }
        replaced
    }

    /// Moves a file that cannot be trusted out of the way; a recount removes it.
    pub(crate) fn set_aside(&self, path: &Path, reason: &str) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.move_aside(path, &self.aside().join(format!("{name}-{:016x}", name::nonce())), reason);
    }

    /// Moves both files of a pair out of the way, the index first: without it nothing vouches for the data. They keep
    /// one name, since who works on the pair has its lock on the index.
    pub(crate) fn set_aside_pair(&self, name: &str, reason: &str) {
        let nonce = name::nonce();
        let [data, index] = self.pair(name);
        for (path, ending) in [(index, "index"), (data, "data")] {
            self.move_aside(&path, &self.aside().join(format!("{name}-{nonce:016x}.{ending}")), reason);
        }
    }

    fn move_aside(&self, path: &Path, aside: &Path, reason: &str) {
        let path_shown = path.display();
        match self.disk.rename(path, aside) {
            Ok(()) => {
                tracing::warn!(path = %path_shown, reason, "a damaged file was set aside; its object is fetched anew");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path_shown, reason, %error, "a damaged file cannot be set aside");
            }
        }
    }

    /// Removes a file; what is not there need not be removed. Whether it is gone.
    pub(crate) fn remove(&self, path: &Path) -> bool {
        self.report(path, self.disk.remove_file(path))
    }

    /// Removes what was set aside. Nothing but what this crate moved there is ever in that place, but that may be a
    /// directory which stood where a file of ours should be.
    pub(crate) fn remove_aside(&self, path: &Path) -> bool {
        self.report(path, self.disk.remove_all(path))
    }

    /// The names in one of the directories.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.disk.read_dir(path)
    }

    fn report(&self, path: &Path, removed: io::Result<()>) -> bool {
        match removed {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a file that is not needed cannot be removed");
                false
            }
        }
    }
}

/// A name beside `path` under which a file is written until it is whole: `.NAME.NONCE.svf-tmp`.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{:016x}{TEMPORARY}", name::nonce()))
}

/// No other program names its files so.
const TEMPORARY: &str = ".svf-tmp";

/// Whether a file of this name was made by [`temporary`], by this process or an earlier one.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") && name.as_encoded_bytes().ends_with(TEMPORARY.as_bytes())
}

/// Whether an error of opening a file of ours says that the file is damaged, and not that the system is in trouble:
/// also that something else stands in its place, or that we, who made it, may not open it.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotFound, UnexpectedEof};
    let other = [Errno::LOOP, Errno::NXIO, Errno::ACCESS].map(|errno| Some(errno.raw_os_error()));
    matches!(error.kind(), InvalidData | UnexpectedEof | NotFound | IsADirectory)
        || other.contains(&error.raw_os_error())
}
