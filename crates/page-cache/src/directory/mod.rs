//! The directory of a cache: its files, their names, and who may use them.
//!
//! ```text
//! DIR/CACHEDIR.TAG                           what this directory is, for people and backup programs
//! DIR/heads/KEY                              one head for each key
//! DIR/pairs/KEY-VERSION-NONCE.data, .index   one pair for each version
//! DIR/aside/...                              what did not check out, until the next opening
//! ```
//!
//! One process at a time uses a directory: it holds an exclusive lock on it. Within the process all caches over the
//! same directory share one [`Directory`], and with it the open pairs.

mod claims;
mod entry_word;
mod files;
mod head;
mod heads;
mod index;
mod key_locks;
mod name;
mod pair;
mod pairs;
mod shared;
mod sweep;

use std::collections::HashSet;
use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

pub(crate) use self::head::Head;
pub(crate) use self::pair::Pair;
pub(crate) use self::pairs::OpenedPair;

use self::files::{Files, is_damage, is_temporary, temporary};
use self::key_locks::{KeyLock, KeyLocks};
use self::name::KeyHash;
use self::pairs::Pairs;
use self::shared::{Registration, Shared};
use crate::error::OpenError;
use crate::origin::Stat;
use crate::sys::{Access, Disk, DiskFile, LocalDisk};

const TAG_FILE: &str = "CACHEDIR.TAG";
/// The first line is the convention's, the second tells our directories from others'.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # This directory is a cache of svf page-cache. Nothing in it is lost if it is removed.\n";

/// The directories that this process has open.
static OPEN: Shared<Directory> = Shared::new();

/// An open cache directory, shared by all caches of this process that are open over it.
#[derive(Debug)]
pub(crate) struct Directory {
    files: Files,
    pairs: Pairs,
    keys: KeyLocks,
    /// Keys whose object was found changed, and not looked at since.
    doubted: Mutex<HashSet<KeyHash>>,
    /// The directory itself, locked for this process until it is closed. Fields drop in order: the registration goes
    /// only when the lock is free for the next one.
    lock: File,
    _registration: Registration<Self>,
}

impl Directory {
    /// Opens the directory at `path` and creates it if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        Self::open_on(path, Arc::new(LocalDisk))
    }

    pub(crate) fn open_on(path: &Path, disk: Arc<dyn Disk>) -> Result<Arc<Self>, OpenError> {
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        let in_use = || OpenError::InUse { path: path.to_owned() };
        disk.create_dir(path).map_err(unusable)?;
        let lock = File::open(path).map_err(unusable)?;
        let metadata = lock.metadata().map_err(unusable)?;
        check_permissions(path, &metadata)?;
        OPEN.get_or_open((metadata.dev(), metadata.ino()), in_use, |registration| {
            lock.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => in_use(),
                TryLockError::Error(source) => unusable(source),
            })?;
            let files = Files { root: path.to_owned(), disk };
            prepare(&files)?;
            sweep::sweep(&files);
            Ok(Self {
                files,
                pairs: Pairs::default(),
                keys: KeyLocks::default(),
                doubted: Mutex::default(),
                lock,
                _registration: registration,
            })
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.files.root
    }

    /// The smallest unit in which the file system allocates, in bytes.
    pub(crate) fn allocation_unit(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstatvfs(&self.lock)?.f_bsize)
    }

    /// Makes the caller the only thread that looks at the head of `key`, until the lock drops.
    pub(crate) fn lock_key(&self, key: &str) -> KeyLock<'_> {
        self.keys.lock(KeyHash::of(key))
    }

    /// The head of `key`, if there is one that can be trusted; doubted, if a reader has found the object changed.
    ///
    /// # Errors
    ///
    /// That it cannot be read now, so that nothing is known of the object.
    pub(crate) fn load_head(&self, key: &str) -> io::Result<Option<Head>> {
        let head = heads::load(&self.files, key)?;
        let doubted = self.doubted.lock().contains(&KeyHash::of(key));
        Ok(head.map(|head| if doubted { head.doubted() } else { head }))
    }

    /// Writes the head of a key that was confirmed just now, in the place of the one there was.
    pub(crate) fn save_head(&self, head: &Head) -> io::Result<()> {
        heads::save(&self.files, head)?;
        self.doubted.lock().remove(&KeyHash::of(&head.key));
        Ok(())
    }

    /// Lets whoever opens `key` next ask its origin, under any policy: also in this process if the disk cannot be
    /// written, and in the next one if it can.
    pub(crate) fn doubt(&self, key: &str, stat: &Stat) {
        let _lock = self.lock_key(key);
        self.doubted.lock().insert(KeyHash::of(key));
        let written = heads::load(&self.files, key).and_then(|head| match head {
            Some(head) if head.stat.same_version(stat) => heads::save(&self.files, &head.doubted()),
            // Somebody has opened the new version already: there is nothing to doubt any more.
            _ => {
                self.doubted.lock().remove(&KeyHash::of(key));
                Ok(())
            }
        });
        if let Err(error) = written {
            tracing::warn!(key, %error, "a head cannot be written; another process may open the old version");
        }
    }

    /// See [`Pairs::open`].
    pub(crate) fn open_pair(&self, head: &Head) -> io::Result<OpenedPair> {
        self.pairs.open(&self.files, head)
    }

    /// Makes an empty pair for a version of an object.
    pub(crate) fn create_pair(&self, key: &str, stat: &Stat, page_size: u64) -> io::Result<Arc<Pair>> {
        self.pairs.create(&self.files, key, stat, page_size)
    }

    /// Removes the files of a pair. Who has it open reads on.
    pub(crate) fn remove_pair(&self, name: &str) {
        self.pairs.remove(&self.files, name);
    }
}

/// Only a directory of our own, which nobody else may write to, can be trusted.
fn check_permissions(path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    let path = || path.to_owned();
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != us {
        return Err(OpenError::NotOurs { path: path(), owner, us });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(OpenError::WritableByOthers { path: path(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Checks that the directory is a cache's or empty, and makes what is missing in it.
fn prepare(files: &Files) -> Result<(), OpenError> {
    let Files { root, disk } = files;
    let unusable = |source| OpenError::Unusable { path: root.clone(), source };
    let tag_path = root.join(TAG_FILE);
    match disk.open(&tag_path, Access::Read) {
        Ok(tag) if is_our_tag(&*tag) => {}
        // Its name may have reached the disk before a power cut, and its bytes not.
        Ok(tag) if tag.len().is_ok_and(|len| len == 0) && files.pairs().exists() => {
            files.replace(&tag_path, TAG.as_bytes()).map_err(unusable)?;
        }
        Ok(_) => return Err(OpenError::NotACache { path: root.clone() }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let not_a_file = is_damage(&error);
            return Err(if not_a_file { OpenError::NotACache { path: root.clone() } } else { unusable(error) });
        }
        Err(_) => {
            // A file system's root has one name from the start, and a creation that was cut short leaves ours.
            let names = disk.read_dir(root).map_err(unusable)?;
            if names.iter().any(|name| name != "lost+found" && !is_temporary(name)) {
                return Err(OpenError::NotACache { path: root.clone() });
            }
            files.replace(&tag_path, TAG.as_bytes()).map_err(unusable)?;
        }
    }
    for directory in [files.heads(), files.pairs(), files.aside()] {
        disk.create_dir(&directory).map_err(unusable)?;
    }
    // That something can be written is found out now, and not by the first read.
    let probe = temporary(&files.heads().join("probe"));
    disk.create(&probe).and_then(|_| disk.remove_file(&probe)).map_err(unusable)
}

fn is_our_tag(tag: &dyn DiskFile) -> bool {
    let mut bytes = [0; TAG.len()];
    tag.read_exact_at(&mut bytes, 0).is_ok() && bytes == TAG.as_bytes()
}
