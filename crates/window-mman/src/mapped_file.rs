//! A file of a manager, and the copying reads that are safe on any file.
//!
//! What is safe only after a promise is beside this, in `stable_file`.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::copy_view::CopyView;
use crate::core::{Core, MapFailure};
use crate::error::{FileState, OpenError, ReadError, ViewError};
use crate::handle::{Handle, Opening, nanoseconds};
use crate::paged_file::PagedFile;
use crate::pool::Failure;
use crate::region::{RegionKey, Window};
use crate::source::{DescriptorError, no_descriptors_left};
use crate::sys;

/// A file that is open for reading: by copies, and, after a promise, as memory.
///
/// Clones are cheap and are the same handle. When the last handle of a file is dropped its descriptor is closed and
/// what is mapped of it is unmapped, but for what a view or a cursor still holds.
///
/// The length is remembered from the opening. Reading never goes beyond it, even if the file has grown since;
/// [`refresh`](Self::refresh) sees more. A file that became shorter is an error of the reads that miss its bytes, and
/// never reads as zeros. (A file whose length the system gives as 0, as it does in `/proc`, is empty here.)
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), window_mman::Error> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("log");
/// # std::fs::write(&path, b"one\ntwo\n").expect("a file");
/// let file = window_mman::MapManager::new().open(&path)?;
/// let mut buffer = [0; 3];
/// file.read_exact_at(&mut buffer, 4)?;
/// assert_eq!(&buffer, b"two");
/// assert_eq!(file.bytes(4..100)?, &b"two\n"[..]); // clipped at the end of the file
/// assert!(file.bytes(9..10).is_err()); // starts past it
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MappedFile {
    inner: Arc<Handle>,
}

/// What [`MappedFile::refresh`] has seen.
///
/// # Examples
///
/// ```
/// use window_mman::{Change, MapManager};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let file = MapManager::new().open(&path)?;
/// assert_eq!(file.refresh()?, Change::Unchanged);
/// # use std::io::Write;
/// std::fs::File::options().append(true).open(&path)?.write_all(b"ab")?;
/// assert_eq!(file.refresh()?, Change::Grown);
/// assert_eq!(file.len(), 12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// The same length, and not written to.
    Unchanged,
    /// It is longer now, and can be read to its new end.
    Grown,
    /// It has the same length, and was written to since.
    Modified,
}

impl MappedFile {
    pub(crate) fn open(core: &Arc<Core>, path: &Path) -> Result<Self, OpenError> {
        let owned = || Some(path.to_path_buf());
        let failed = |source| OpenError::Io { path: owned(), source };
        if let Some(kind) = sys::kind_at(path).map_err(failed)? {
            return Err(OpenError::NotRegular { path: owned(), kind });
        }
        let sys = &*core.settings.sys;
        let open = || {
            let file = sys.open(path);
            file.map_err(|error| Failure { for_want_of_room: no_descriptors_left(&error), error })
        };
        let opening = Opening::new(core, open).map_err(failed)?;
        let identity = opening.identify().map_err(failed)?;
        if let Some(kind) = identity.special {
            return Err(OpenError::NotRegular { path: owned(), kind });
        }
        // Absolute, since it may be opened again when the current directory is another.
        let absolute = std::path::absolute(path).map_err(failed)?;
        let handle = opening.into_handle(&identity, Some(absolute), owned(), !identity.certain);
        Ok(Self { inner: Arc::new(handle) })
    }

    pub(crate) fn adopt(core: &Arc<Core>, file: File) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: None, source };
        let readable = sys::can_read(&file).map_err(failed)?;
        let identity = sys::identify(&file).map_err(failed)?;
        // The kind first: "it is a FIFO" says more than "it cannot be read".
        if let Some(kind) = identity.special {
            return Err(OpenError::NotRegular { path: None, kind });
        }
        if !readable {
            return Err(OpenError::NotReadable);
        }
        let mut file = Some(file);
        let missing = || Failure { error: io::ErrorKind::NotFound.into(), for_want_of_room: false };
        let opening = Opening::new(core, || file.take().ok_or_else(missing)).map_err(failed)?;
        Ok(Self { inner: Arc::new(opening.into_handle(&identity, None, None, true)) })
    }

    /// The length when it was opened or [refreshed](Self::refresh), in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.inner.len.load(Ordering::Acquire)
    }

    /// Whether it had no bytes then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The path it was opened by, as it was given; `None` for a file that was
    /// [handed over](crate::MapManager::open_file) open.
    #[doc(alias = "path_or_fd")]
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// What tells it from other files, and its length and the time of its last change, when it was opened or
    /// [refreshed](Self::refresh).
    #[must_use]
    pub fn state(&self) -> FileState {
        let Handle { source, modified, .. } = &*self.inner;
        let opened = source.opened.clone();
        let modified = match modified.load(Ordering::Acquire) {
            same if same == nanoseconds(opened.modified) => opened.modified,
            0 => None,
            later => Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(later)),
        };
        FileState { len: self.len(), modified, ..opened }
    }

    /// Copies bytes from `offset` on into `buffer`, and returns how many: fewer than fit only
    /// where the file ends, none at its end.
    ///
    /// One `pread`: whatever happens to the file meanwhile, this returns bytes that it had, or an error. For many
    /// small copies from the same place a [`copy_view`](Self::copy_view) is ten times as fast.
    ///
    /// Blocks as long as the disk does. Does not move a position, so that any number of threads
    /// may read at once (on Windows the position of a file that was handed over does move).
    ///
    /// # Errors
    ///
    /// An offset past the end; a file that has been truncated since, where its bytes are missed, or
    /// that has fewer than its length says (as files in `/sys`); what the system reports. What is in
    /// `buffer` then is not defined.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ReadError> {
        let left = self.left_from(offset)?;
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        // `wanted` is no more than there is in `buffer`.
        if let Some(buffer) = buffer.get_mut(..wanted) {
            self.fill(buffer, offset)?;
        }
        Ok(wanted)
    }

    /// Copies bytes from `offset` on into all of `buffer`.
    ///
    /// # Errors
    ///
    /// As for [`read_at`](Self::read_at); and if the file ends before `buffer` does: then nothing
    /// has been read.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let wanted = buffer.len() as u64;
        if self.left_from(offset)? < wanted {
            return Err(ReadError::EndsPastEnd { path: self.path_buf(), offset, wanted, len: self.len() });
        }
        self.fill(buffer, offset)
    }

    /// A copy of `range` in memory of its own: in bytes, half-open, clipped at the end of the file.
    ///
    /// # Errors
    ///
    /// A range that is reversed or starts past the end, and no memory for it; else as for
    /// [`read_at`](Self::read_at).
    pub fn bytes(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        if range.start > range.end {
            return Err(ReadError::Reversed { path: self.path_buf(), range });
        }
        let left = self.left_from(range.start)?;
        let wanted = range.end.saturating_sub(range.start).min(left);
        let mut copy = Vec::new();
        let len = usize::try_from(wanted).ok();
        let Some(len) = len.filter(|len| copy.try_reserve_exact(*len).is_ok()) else {
            return Err(ReadError::OutOfMemory { path: self.path_buf(), range });
        };
        copy.resize(len, 0);
        self.fill(&mut copy, range.start)?;
        Ok(copy.into())
    }

    /// `range` of the file as mapped memory that can be copied out of, also while others change the file.
    ///
    /// # Errors
    ///
    /// As for [`StableFile::view`](crate::StableFile::view).
    pub fn copy_view(&self, range: Range<u64>) -> Result<CopyView, ViewError> {
        let (range, window) = self.window(&range, self.len())?;
        Ok(CopyView::new(range, window))
    }

    /// The file as an array of bytes that is read a page of 64 KiB at a time, without mappings: see [`PagedFile`].
    #[must_use]
    pub fn paged(&self) -> PagedFile {
        PagedFile::new(self.clone())
    }

    /// Looks at the file again: what it has grown by can be read from now on, through this handle and its clones.
    ///
    /// A [`StableFile`](crate::StableFile) keeps the length it was promised for; make another one to see more.
    ///
    /// # Errors
    ///
    /// [`ReadError::Replaced`] if another file is at its path: then this handle goes on reading the old one, as long
    /// as its descriptor is open; [`ReadError::Reopen`] if it is closed already. [`ReadError::Truncated`] if it is
    /// shorter; nothing is changed then. A file that has been deleted is as it was.
    pub fn refresh(&self) -> Result<Change, ReadError> {
        let Handle { core, source, name, .. } = &*self.inner;
        let (path, range) = (self.path_buf(), 0..self.len());
        let io_failed = |source| ReadError::Io { path: self.path_buf(), range: 0..self.len(), source };
        let replaced = |now| {
            let (path, was) = (self.path_buf().unwrap_or_default(), Box::new(source.opened.clone()));
            ReadError::Replaced { path, was, now: Box::new(now) }
        };
        // Nothing new is opened for it. While the descriptor is looked at nobody else's file has this inode.
        let looked = source.with_file(core, |file| {
            let there = name.as_deref().map(|name| source.replacement_at(name));
            (there, sys::identify(file))
        });
        let (there, identity) = looked.map_err(|error| self.not_reopened(range.clone(), error))?;
        match there.transpose() {
            Ok(Some(Some(now))) => return Err(replaced(now)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_failed(error)),
            Ok(_) | Err(_) => {}
        }
        let identity = identity.map_err(io_failed)?;
        if identity.len < range.end {
            return Err(ReadError::Truncated { path, range: range.clone(), opened_with: range.end, now: identity.len });
        }
        let modified = nanoseconds(identity.modified);
        let before = self.inner.modified.swap(modified, Ordering::AcqRel);
        let grown = self.inner.len.fetch_max(identity.len, Ordering::AcqRel) < identity.len;
        Ok(match (grown, modified == before) {
            (true, _) => Change::Grown,
            (false, true) => Change::Unchanged,
            (false, false) => Change::Modified,
        })
    }

    /// Asks the system to read `range` ahead of its use, without waiting; clipped at the end of the file. A hint,
    /// which systems without such a thing do not hear.
    ///
    /// # Errors
    ///
    /// A range that is reversed or starts past the end, or what the system reports.
    pub fn prefetch(&self, range: Range<u64>) -> Result<(), ReadError> {
        if range.start > range.end {
            return Err(ReadError::Reversed { path: self.path_buf(), range });
        }
        let left = self.left_from(range.start)?;
        let len = (range.end - range.start).min(left);
        let Some(len) = std::num::NonZeroU64::new(len) else { return Ok(()) };
        let asked = self.inner.source.with_file(&self.inner.core, |file| read_ahead(file, range.start, len));
        asked.map_err(|error| self.not_reopened(range.clone(), error))?.map_err(|source| ReadError::Io {
            path: self.path_buf(),
            range,
            source,
        })
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.inner
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }

    pub(crate) fn path_buf(&self) -> Option<PathBuf> {
        self.inner.path.clone()
    }

    /// How many bytes the file has now, for a request of `range`.
    pub(crate) fn len_now(&self, range: &Range<u64>) -> Result<u64, ViewError> {
        let Handle { core, source, .. } = &*self.inner;
        let now = source.with_file(core, |file| core.settings.sys.len(file));
        let failure = match now {
            Ok(Ok(now)) => return Ok(now),
            Ok(Err(error)) => MapFailure::Io(error),
            Err(error) => MapFailure::Descriptor(error),
        };
        Err(self.explain(failure, range.clone()))
    }

    /// Which region has `range`, which ends at `len` or before.
    #[inline]
    pub(crate) fn key_of(&self, range: &Range<u64>, len: u64) -> RegionKey {
        let span = self.inner.core.span_of(range, len);
        self.key_of_span(&span)
    }

    /// The region that is just this.
    #[inline]
    pub(crate) fn key_of_span(&self, span: &Range<u64>) -> RegionKey {
        RegionKey { file: self.inner.source.serial, start: span.start, end: span.end }
    }

    /// `range` clipped at `len`, and the region that has it; none if it is empty.
    pub(crate) fn window(&self, range: &Range<u64>, len: u64) -> Result<(Range<u64>, Option<Window>), ViewError> {
        let clipped = self.clip(range, len)?;
        if clipped.is_empty() {
            return Ok((clipped, None));
        }
        let window = self.window_of(self.key_of(&clipped, len), range)?;
        Ok((clipped, Some(window)))
    }

    /// `range`, clipped at `len`.
    #[inline]
    pub(crate) fn clip(&self, range: &Range<u64>, len: u64) -> Result<Range<u64>, ViewError> {
        if range.start > range.end {
            return Err(ViewError::Reversed { path: self.path_buf(), range: range.clone() });
        }
        if range.start > len {
            return Err(ViewError::StartsPastEnd { path: self.path_buf(), range: range.clone(), len });
        }
        Ok(range.start..range.end.min(len))
    }

    /// The region of this key, for a request of `range`.
    pub(crate) fn window_of(&self, key: RegionKey, range: &Range<u64>) -> Result<Window, ViewError> {
        let found = self.inner.core.find(&key).and_then(|(core, held)| Window::new(core, held, &self.inner));
        found.map_or_else(|| self.map(key, range), Ok)
    }

    /// The region of this key, which was not found, for a request of `range`.
    #[inline(never)]
    fn map(&self, key: RegionKey, range: &Range<u64>) -> Result<Window, ViewError> {
        let Handle { core, source, .. } = &*self.inner;
        let mapped =
            core.map(source, key).and_then(|(core, held)| Window::new(core, held, &self.inner).ok_or_else(never));
        mapped.map_err(|failure| self.explain(failure, range.clone()))
    }

    /// The region of this key, which was not found, for a request of `range`: in a window that has let go of another
    /// one. After an error it holds nothing.
    #[inline(never)]
    pub(crate) fn map_in(&self, window: &mut Window, key: RegionKey, range: &Range<u64>) -> Result<(), ViewError> {
        let Handle { core, source, .. } = &*self.inner;
        let mapped =
            core.map(source, key).and_then(|(core, held)| window.hold(core, held, &self.inner).ok_or_else(never));
        mapped.map_err(|failure| self.explain(failure, range.clone()))
    }

    #[cold]
    fn explain(&self, failure: MapFailure, range: Range<u64>) -> ViewError {
        let path = self.path_buf();
        match failure {
            MapFailure::TooLong => ViewError::TooLong { path, range },
            MapFailure::Short { now, .. } if now < self.len() => {
                ViewError::Truncated { path, range, opened_with: self.len(), now }
            }
            MapFailure::Short { given, now } => ViewError::Short { path, range, given, len: now },
            MapFailure::Full { limits, wanted, held } => ViewError::LimitReached {
                path,
                range,
                wanted,
                max_mapped_bytes: limits.bytes,
                max_regions: limits.count,
                held,
            },
            MapFailure::Descriptor(error) => ViewError::Reopen { path, range, source: error.into() },
            MapFailure::Io(source) => ViewError::Map { path, range, source },
        }
    }

    /// How many bytes there are from `offset` on.
    fn left_from(&self, offset: u64) -> Result<u64, ReadError> {
        let len = self.len();
        len.checked_sub(offset).ok_or_else(|| ReadError::StartsPastEnd { path: self.path_buf(), offset, len })
    }

    /// Fills all of `buffer`, which does not go beyond the remembered length.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let Handle { core, source, .. } = &*self.inner;
        let sys = &*core.settings.sys;
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let read = source.with_file(core, |file| sys::read_fully(sys, file, buffer, offset));
        match read {
            Ok(Ok(count)) if count == buffer.len() => Ok(()),
            Ok(Ok(count)) => Err(self.short(range, count as u64)),
            Ok(Err(source)) => Err(ReadError::Io { path: self.path_buf(), range, source }),
            Err(error) => Err(self.not_reopened(range, error)),
        }
    }

    /// The error for a file that ended before its remembered length, and gave so many bytes of `range`.
    fn short(&self, range: Range<u64>, given: u64) -> ReadError {
        let Handle { core, source, .. } = &*self.inner;
        let path = self.path_buf();
        match source.with_file(core, |file| core.settings.sys.len(file)) {
            Ok(Ok(now)) if now < self.len() => ReadError::Truncated { path, range, opened_with: self.len(), now },
            Ok(Ok(now)) => ReadError::Short { path, range, given, len: now },
            Ok(Err(source)) => ReadError::Io { path, range, source },
            Err(error) => self.not_reopened(range, error),
        }
    }

    fn not_reopened(&self, range: Range<u64>, error: DescriptorError) -> ReadError {
        ReadError::Reopen { path: self.path_buf(), range, source: error.into() }
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile").field("path", &self.path()).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What is held is there.
#[cold]
fn never() -> MapFailure {
    MapFailure::TooLong
}

#[cfg(all(any(target_os = "linux", target_os = "android", target_os = "freebsd"), not(miri)))]
fn read_ahead(file: &File, offset: u64, len: std::num::NonZeroU64) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, offset, Some(len), rustix::fs::Advice::WillNeed)?)
}

#[cfg(not(all(any(target_os = "linux", target_os = "android", target_os = "freebsd"), not(miri))))]
fn read_ahead(_: &File, _: u64, _: std::num::NonZeroU64) -> io::Result<()> {
    Ok(())
}
