//! The files of a cache directory by their paths, and what is done to whole files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::name::{self, KeyHash};
use crate::sys::Disk;

/// Where the files of a directory are, and the disk they are on.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Files {
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
        let temporary = temporary(path);
        let replaced = self
            .disk
            .create(&temporary)
            .and_then(|file| file.write_all_at(bytes, 0))
            .and_then(|()| self.disk.rename(&temporary, path));
        if replaced.is_err() {
            self.remove(&temporary);
        }
        replaced
    }

    /// Moves a file that cannot be trusted out of the way; the next opening removes it.
    pub(crate) fn set_aside(&self, path: &Path, reason: &str) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.aside().join(format!("{name}-{:016x}", name::nonce()));
        let path_shown = path.display();
        match self.disk.rename(path, &aside) {
            Ok(()) => {
                tracing::warn!(path = %path_shown, reason, "a damaged file was set aside; its object is fetched anew");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path_shown, reason, %error, "a damaged file cannot be set aside");
            }
        }
    }

    /// Removes a file; what is not there need not be removed.
    pub(crate) fn remove(&self, path: &Path) {
        self.report(path, self.disk.remove_file(path));
    }

    /// Empties the place for what was set aside. Nothing but what this crate moved there is ever in it, but that may be
    /// a directory which stood where a file of ours should be.
    pub(crate) fn clear_aside(&self, names: impl IntoIterator<Item = OsString>) {
        for name in names {
            let path = self.aside().join(name);
            self.report(&path, self.disk.remove_all(&path));
        }
    }

    fn report(&self, path: &Path, removed: io::Result<()>) {
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a file that is not needed cannot be removed");
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

/// Whether an error of opening a file of ours says that the file is damaged, and not that the system is in trouble.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof | NotFound | IsADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
