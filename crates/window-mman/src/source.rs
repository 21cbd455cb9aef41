//! Where the bytes of a file come from: its descriptor, which may be closed and opened again.
//!
//! Descriptors are kept in a pool, as regions are: what was not used for the longest time is closed when others are
//! needed, and opened again by its path, or another one that it has, when it is. Then it must be the same file; another
//! one of the same name is an error. What has no path, or could not be told from another, is held open by its handle.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use crate::core::Core;
use crate::error::{FileState, Name, ReopenError};
use crate::pool::{Entry, Failure, Held, Key, MakeError};
use crate::sync::{Mutex, process_id};
use crate::sys::{self, FileId, Identity, Sys};

/// A descriptor, by the number of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor(pub(crate) u64);

impl Key for Descriptor {
    type Group = u64;

    fn group(&self) -> u64 {
        self.0
    }

    fn hash(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// A descriptor that stays open.
type HeldDescriptor<'a> = Held<'a, Descriptor, OwnFile>;

/// What is needed to read a file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its own; of the descriptor.
    pub(crate) number: u64,
    /// The file's: the same for all sources of one file.
    pub(crate) serial: u64,
    pub(crate) id: FileId,
    /// The path of its first opening, absolute; none for a [`File`] that was handed over.
    pub(crate) path: Option<Arc<Path>>,
    /// What it was when it was opened.
    pub(crate) opened: FileState,
    /// Whether it is of a kind that can be mapped.
    pub(crate) mappable: bool,
    /// Whether a mapping of it has succeeded.
    pub(crate) was_mapped: AtomicBool,
    /// All paths by which somebody has it open. Locked for a few instructions at a time.
    names: Mutex<Vec<Weak<Path>>>,
    /// The cell in which its descriptor was found last, in one of the pools of the processes that have this: a hint,
    /// since a descriptor that was closed and opened again may be in another one, and another one's in this.
    cell: AtomicU32,
    process: u32,
    core: Weak<Core>,
}

impl Drop for Source {
    /// Closes its descriptor, whoever had opened it, as soon as nobody uses it.
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.line().for_each(|core| core.descriptors.dismiss(self.number));
        }
    }
}

/// Why there is no descriptor.
#[derive(Debug)]
pub(crate) enum DescriptorError {
    Reopen(ReopenError),
    /// The process was forked, and something is in the way.
    Inherited,
}

impl Source {
    pub(crate) fn new(
        core: &Arc<Core>,
        number: u64,
        serial: u64,
        identity: &Identity,
        path: Option<Arc<Path>>,
    ) -> Self {
        Self {
            number,
            serial,
            id: identity.id,
            path,
            opened: FileState::of(identity),
            mappable: identity.mappable,
            was_mapped: AtomicBool::new(false),
            names: Mutex::new(Vec::new()),
            cell: AtomicU32::new(0),
            process: process_id(),
            core: Arc::downgrade(core),
        }
    }

    /// Takes down that somebody has it open by this path, as long as what is returned lives.
    pub(crate) fn add_name(&self, path: &Arc<Path>) -> Arc<Path> {
        let mut names = self.names.lock();
        names.retain(|name| name.strong_count() > 0);
        if let Some(name) = names.iter().filter_map(Weak::upgrade).find(|name| name == path) {
            return name;
        }
        names.push(Arc::downgrade(path));
        Arc::clone(path)
    }

    /// The paths by which somebody has it open; if nobody has, that of its first opening.
    pub(crate) fn paths(&self) -> Vec<Arc<Path>> {
        // A child of a fork may have inherited the lock from a thread that it does not have.
        let names = if self.process == process_id() { Some(self.names.lock()) } else { self.names.try_lock() };
        let mut live: Vec<_> = names.iter().flat_map(|names| names.iter()).filter_map(Weak::upgrade).collect();
        if live.is_empty() {
            live.extend(self.path.clone());
        }
        live
    }

    /// Calls `read` with the descriptor, which is opened if it was closed.
    #[inline]
    pub(crate) fn with_file<R>(&self, core: &Arc<Core>, read: impl FnOnce(&File) -> R) -> Result<R, DescriptorError> {
        let open = self.open(core)?;
        open.entry().map(|open| read(&open.value)).ok_or(DescriptorError::Inherited)
    }

    /// The descriptor, which is opened if it was closed, and is not closed as long as it is held.
    #[inline]
    pub(crate) fn open<'a>(&self, core: &'a Arc<Core>) -> Result<HeldDescriptor<'a>, DescriptorError> {
        // What an ancestor had open can be used, without its locks, and once it is seen to be what it says: a fork
        // copies descriptors a moment before memory, and another thread may have closed and opened some in between.
        for core in core.line() {
            if let Some(open) = self.find(core)
                && let Some(Entry { value: file, .. }) = open.entry()
                && (core.is_here() || sys::identify(file).is_ok_and(|identity| identity.id == self.id))
            {
                return Ok(open);
            }
        }
        self.open_again(core.here())
    }

    /// The descriptor, if it is open. It is mostly where it was before.
    #[inline]
    fn find<'a>(&self, core: &'a Core) -> Option<HeldDescriptor<'a>> {
        let key = Descriptor(self.number);
        let there = core.descriptors.find_at(self.cell.load(Ordering::Relaxed), &key);
        there.or_else(|| {
            let found = core.descriptors.find(&key)?;
            self.cell.store(found.number(), Ordering::Relaxed);
            Some(found)
        })
    }

    /// Its descriptor, which is opened unless somebody else has done so meanwhile.
    #[cold]
    fn open_again<'a>(&self, core: &'a Core) -> Result<HeldDescriptor<'a>, DescriptorError> {
        let open = || self.reopen(&*core.settings.sys).map(OwnFile::new);
        core.descriptors.find_or_make_apart(Descriptor(self.number), 0, open).map_err(|error| match error {
            MakeError::Failed(error) => DescriptorError::Reopen(error),
            MakeError::Full | MakeError::Inherited => DescriptorError::Inherited,
        })
    }

    /// The name for a message.
    pub(crate) fn name(&self) -> Name<'_> {
        Name(self.path.as_deref())
    }

    /// Opens it again by whatever name it still has.
    fn reopen(&self, sys: &dyn Sys) -> Result<File, Failure<ReopenError>> {
        let mut failed = Failure { error: ReopenError::Closed, for_want_of_room: false };
        for path in self.paths() {
            match self.reopen_at(sys, &path) {
                Ok(file) => {
                    tracing::debug!(file = ?path, "opened a descriptor again");
                    return Ok(file);
                }
                // What is said of the first name, unless another one tells more than that there is nothing.
                Err(failure) if matches!(failed.error, ReopenError::Closed) || failure.for_want_of_room => {
                    failed = failure;
                }
                Err(_) => {}
            }
        }
        Err(failed)
    }

    fn reopen_at(&self, sys: &dyn Sys, path: &Path) -> Result<File, Failure<ReopenError>> {
        let io_failed = |source: io::Error| Failure {
            for_want_of_room: no_descriptors_left(&source),
            error: ReopenError::Io { path: path.to_path_buf(), source },
        };
        let replaced = |now| {
            let (path, was, now) = (path.to_path_buf(), Box::new(self.opened.clone()), Box::new(now));
            Failure { error: ReopenError::Replaced { path, was, now }, for_want_of_room: false }
        };
        // Opening may have an effect on what is no regular file.
        if let Some(now) = self.replacement_at(path).map_err(io_failed)? {
            return Err(replaced(now));
        }
        let file = sys.open(path).map_err(io_failed)?;
        let identity = sys::identify(&file).map_err(io_failed)?;
        if identity.id == self.id { Ok(file) } else { Err(replaced(FileState::of(&identity))) }
    }

    /// What is at a path instead of this file, as far as that can be seen without opening it.
    pub(crate) fn replacement_at(&self, path: &Path) -> io::Result<Option<FileState>> {
        let metadata = std::fs::metadata(path)?;
        let now = FileState::of_metadata(&metadata);
        let same = metadata.is_file() && (now.device, now.inode) == (self.id.device, self.id.inode);
        Ok((!same && (cfg!(unix) || !metadata.is_file())).then_some(now))
    }
}

/// A file that is closed by the process that has opened it, and by no other: in a child of a fork the number of its
/// descriptor may mean another file, which is not ours to close.
#[derive(Debug)]
pub(crate) struct OwnFile {
    file: ManuallyDrop<File>,
    process: u32,
}

impl OwnFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file: ManuallyDrop::new(file), process: process_id() }
    }
}

impl Deref for OwnFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.process == process_id() {
            #[expect(unsafe_code, reason = "drops what is not dropped by itself")]
            // SAFETY: this is the only place that drops it, and runs once.
            unsafe {
                ManuallyDrop::drop(&mut self.file);
            }
        }
    }
}

/// Whether closing something would help.
pub(crate) fn no_descriptors_left(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
