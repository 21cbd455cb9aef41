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
mod head;
mod index;
mod name;
mod pair;
mod shared;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};

pub(crate) use self::head::Head;
pub(crate) use self::pair::Pair;

use self::index::{Identity, Index};
use self::name::KeyHash;
use self::shared::Registration;
use crate::error::OpenError;
use crate::origin::Stat;
use crate::pages::Pages;
use crate::sys::{Access, Disk, DiskFile, LocalDisk};

const TAG_FILE: &str = "CACHEDIR.TAG";
/// The first line is the convention's, the second tells our directories from others'.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # This directory is a cache of svf page-cache. Nothing in it is lost if it is removed.\n";

/// An open cache directory, shared by all caches of this process that are open over it.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    open_pairs: DashMap<String, Weak<Pair>>,
    /// Held by the thread that looks at, makes or replaces a head; chosen by the hash of the key.
    keys: [Mutex<()>; 64],
    /// The directory itself, locked for this process until it is closed. Fields drop in order: the registration goes
    /// only when the lock is free for the next one.
    lock: File,
    _registration: Registration,
}

/// What came of opening the pair that a head names.
pub(crate) enum OpenedPair {
    Good(Arc<Pair>),
    /// It was not what the head says, and has been set aside.
    Damaged,
}

impl Directory {
    /// Opens the directory at `path` and creates it if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        Self::open_on(path, Arc::new(LocalDisk))
    }

    pub(crate) fn open_on(path: &Path, disk: Arc<dyn Disk>) -> Result<Arc<Self>, OpenError> {
        let unusable = |source| OpenError::Unusable {
            path: path.to_owned(),
            source,
        };
        disk.create_dir(path).map_err(unusable)?;
        let lock = File::open(path).map_err(unusable)?;
        let metadata = lock.metadata().map_err(unusable)?;
        let us = rustix::process::geteuid().as_raw();
        if metadata.uid() != us {
            return Err(OpenError::NotOurs {
                path: path.to_owned(),
                owner: metadata.uid(),
                us,
            });
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(OpenError::WritableByOthers {
                path: path.to_owned(),
                mode: metadata.mode() & 0o7777,
            });
        }
        let in_use = || OpenError::InUse {
            path: path.to_owned(),
        };
        shared::get_or_open((metadata.dev(), metadata.ino()), in_use, |registration| {
            lock.try_lock().map_err(|error| match error {
                std::fs::TryLockError::WouldBlock => in_use(),
                std::fs::TryLockError::Error(source) => unusable(source),
            })?;
            let directory = Self {
                path: path.to_owned(),
                disk,
                open_pairs: DashMap::new(),
                keys: std::array::from_fn(|_| Mutex::new(())),
                lock,
                _registration: registration,
            };
            directory.prepare()?;
            directory.sweep();
            Ok(directory)
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The smallest unit in which the file system allocates, in bytes.
    pub(crate) fn allocation_unit(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstatvfs(&self.lock)?.f_bsize)
    }

    /// Makes the caller the only thread that looks at the head of `key`, until the guard drops.
    pub(crate) fn lock_key(&self, key: &str) -> MutexGuard<'_, ()> {
        self.keys[usize::from(KeyHash::of(key).0[0]) % self.keys.len()].lock()
    }

    /// The head of `key`, if there is one that can be trusted. One that cannot is set aside.
    pub(crate) fn load_head(&self, key: &str) -> Option<Head> {
        let path = self.head_path(&KeyHash::of(key));
        match self.read_head(&path) {
            Ok(Some(head)) if head.key == key => Some(head),
            Ok(None) => None,
            Ok(Some(_)) => {
                self.set_aside(&path, "it belongs to another key");
                None
            }
            Err(error) if is_damage(&error) => {
                self.set_aside(&path, &error.to_string());
                None
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a head cannot be read; its object is opened anew");
                None
            }
        }
    }

    /// Writes the head of a key, in the place of the one there was.
    pub(crate) fn save_head(&self, head: &Head) -> io::Result<()> {
        let path = self.head_path(&KeyHash::of(&head.key));
        self.replace_file(&path, &head.to_bytes()?)
    }

    /// The pair that `head` names, shared with whoever else in this process has it open.
    ///
    /// # Errors
    ///
    /// Only that the system could not give what it takes: descriptors, or reading at all.
    pub(crate) fn open_pair(&self, head: &Head) -> io::Result<OpenedPair> {
        if let Some(pair) = self
            .open_pairs
            .get(&head.pair)
            .and_then(|pair| pair.upgrade())
        {
            return Ok(OpenedPair::Good(pair));
        }
        match self.try_open_pair(head) {
            Ok(pair) => Ok(OpenedPair::Good(self.share(pair))),
            Err(error) if is_damage(&error) => {
                for path in self.pair_paths(&head.pair) {
                    self.set_aside(&path, &error.to_string());
                }
                Ok(OpenedPair::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes an empty pair for a version of an object.
    pub(crate) fn create_pair(
        &self,
        key: &str,
        stat: &Stat,
        page_size: u64,
    ) -> io::Result<Arc<Pair>> {
        let pages = Pages {
            page_size,
            length: stat.length,
        };
        let (key_hash, version_hash, nonce) =
            (KeyHash::of(key), name::version_hash(stat), name::nonce());
        let name = name::pair_name(&key_hash, &version_hash, nonce);
        let [data_path, index_path] = self.pair_paths(&name);
        // Under temporary names until they are whole; the index, which makes the pair, comes last.
        let [data_temporary, index_temporary] =
            [&data_path, &index_path].map(|path| temporary(path));
        let created = (|| {
            let data = self.disk.create(&data_temporary)?;
            data.set_len(pages.length)?;
            let index = self.disk.create(&index_temporary)?;
            let data_inode = data.inode()?;
            let key_hash = key_hash.0;
            let index = Index::create(
                index,
                Identity {
                    pages,
                    nonce,
                    data_inode,
                    key_hash,
                    version_hash,
                },
            )?;
            self.disk.rename(&data_temporary, &data_path)?;
            self.disk.rename(&index_temporary, &index_path)?;
            Ok(self.share(Pair::new(name, data, index)))
        })();
        if created.is_err() {
            for path in [data_temporary, index_temporary, data_path, index_path] {
                self.remove(&path);
            }
        }
        created
    }

    /// Removes the files of a pair. Who has it open reads on.
    pub(crate) fn remove_pair(&self, name: &str) {
        self.open_pairs.remove(name);
        for path in self.pair_paths(name) {
            self.remove(&path);
        }
    }

    fn share(&self, pair: Pair) -> Arc<Pair> {
        let pair = Arc::new(pair);
        self.open_pairs.retain(|_, pair| pair.strong_count() > 0);
        self.open_pairs
            .insert(pair.name().to_owned(), Arc::downgrade(&pair));
        pair
    }

    fn try_open_pair(&self, head: &Head) -> io::Result<Pair> {
        let [data_path, index_path] = self.pair_paths(&head.pair);
        let index = Index::open(&*self.disk, &index_path)?;
        let data = self.disk.open(&data_path, Access::ReadWrite)?;
        let found = *index.identity();
        let expected = Identity {
            pages: Pages {
                length: head.stat.length,
                ..found.pages
            },
            nonce: found.nonce,
            data_inode: data.inode()?,
            key_hash: KeyHash::of(&head.key).0,
            version_hash: name::version_hash(&head.stat),
        };
        let named = name::pair_name(&KeyHash(found.key_hash), &found.version_hash, found.nonce);
        if found != expected || named != head.pair {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it belongs to another object, version or data file",
            ));
        }
        let len = data.len()?;
        if len != head.stat.length {
            let what = format!(
                "its data file is {len} bytes long, not {}",
                head.stat.length
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Pair::new(head.pair.clone(), data, index))
    }

    fn read_head(&self, path: &Path) -> io::Result<Option<Head>> {
        let file = match self.disk.open(path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let len = file.len()?;
        if len > head::MAX_LEN {
            return Err(damaged(format!("it is {len} bytes long")));
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Head::from_bytes(&bytes).map(Some).map_err(damaged)
    }

    /// Checks that the directory is a cache's or empty, and makes what is missing in it.
    fn prepare(&self) -> Result<(), OpenError> {
        let unusable = |source| OpenError::Unusable {
            path: self.path.clone(),
            source,
        };
        let tag_path = self.path.join(TAG_FILE);
        match self.disk.open(&tag_path, Access::Read) {
            Ok(tag) if is_our_tag(&*tag) => {}
            Ok(_) => {
                return Err(OpenError::NotACache {
                    path: self.path.clone(),
                });
            }
            Err(_) => {
                let names = self.disk.read_dir(&self.path).map_err(unusable)?;
                // A file system's root has this one from the start, and a creation that was cut short leaves ours.
                let foreign = |name: &OsString| name != "lost+found" && !is_temporary(name);
                if names.iter().any(foreign) {
                    return Err(OpenError::NotACache {
                        path: self.path.clone(),
                    });
                }
                self.replace_file(&tag_path, TAG.as_bytes())
                    .map_err(unusable)?;
            }
        }
        for directory in [self.heads(), self.pairs(), self.aside()] {
            self.disk.create_dir(&directory).map_err(unusable)?;
        }
        // That something can be written is found out now, and not by the first read.
        let probe = temporary(&self.heads().join("probe"));
        self.disk
            .create(&probe)
            .and_then(|_| self.disk.remove(&probe))
            .map_err(unusable)
    }

    /// Removes what earlier processes left: temporary files, what was set aside, pairs that no head names.
    ///
    /// Only heads of keys that have several pairs are read, so it costs two listings and little more.
    fn sweep(&self) {
        let list = |path: &Path| {
            self.disk.read_dir(path).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "a directory cannot be listed and is not tidied up");
                Vec::new()
            })
        };
        for name in list(&self.aside()) {
            self.remove(&self.aside().join(name));
        }
        for directory in [self.path.clone(), self.heads(), self.pairs()] {
            for name in list(&directory).into_iter().filter(is_temporary) {
                self.remove(&directory.join(name));
            }
        }
        let heads: std::collections::HashSet<OsString> = list(&self.heads()).into_iter().collect();
        let mut pairs_of_head = std::collections::HashMap::<String, Vec<String>>::new();
        for name in list(&self.pairs()) {
            let Some(pair) = name
                .to_str()
                .and_then(|name| name.rsplit_once('.'))
                .map(|(pair, _)| pair.to_owned())
            else {
                continue;
            };
            if let Some(head) = name::head_of_pair(&pair) {
                let pairs = pairs_of_head.entry(head.to_owned()).or_default();
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
        for (head, pairs) in pairs_of_head {
            let current = match (
                heads.contains(OsString::from(&head).as_os_str()),
                pairs.len(),
            ) {
                (true, 1) => continue,
                (true, _) => self
                    .read_head(&self.heads().join(head))
                    .ok()
                    .flatten()
                    .map(|head| head.pair),
                (false, _) => None,
            };
            for pair in pairs
                .into_iter()
                .filter(|pair| Some(pair) != current.as_ref())
            {
                tracing::debug!(pair, "a pair that no head names is removed");
                self.remove_pair(&pair);
            }
        }
    }

    /// Moves a file that cannot be trusted out of the way; the next opening removes it.
    fn set_aside(&self, path: &Path, reason: &str) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.aside().join(format!("{name}-{:016x}", name::nonce()));
        match self.disk.rename(path, &aside) {
            Ok(()) => {
                tracing::warn!(path = %path.display(), reason, "a damaged file was set aside; its object is fetched anew")
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), reason, %error, "a damaged file cannot be set aside")
            }
        }
    }

    fn replace_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
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

    fn remove(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path) {
            tracing::warn!(path = %path.display(), %error, "a file that is not needed cannot be removed");
        }
    }

    fn heads(&self) -> PathBuf {
        self.path.join("heads")
    }

    fn pairs(&self) -> PathBuf {
        self.path.join("pairs")
    }

    fn aside(&self) -> PathBuf {
        self.path.join("aside")
    }

    fn head_path(&self, key: &KeyHash) -> PathBuf {
        self.heads().join(key.file_name())
    }

    fn pair_paths(&self, pair: &str) -> [PathBuf; 2] {
        [
            self.pairs().join(format!("{pair}.data")),
            self.pairs().join(format!("{pair}.index")),
        ]
    }
}

fn is_our_tag(tag: &dyn DiskFile) -> bool {
    let mut bytes = [0; TAG.len()];
    tag.read_exact_at(&mut bytes, 0).is_ok() && bytes == TAG.as_bytes()
}

/// Whether an error of opening a file of ours says that the file is damaged, and not that the system is in trouble.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotFound, UnexpectedEof};
    matches!(
        error.kind(),
        InvalidData | UnexpectedEof | NotFound | IsADirectory
    ) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// A name beside `path` under which a file is written until it is whole.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{:016x}", name::nonce()))
}

fn is_temporary(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
