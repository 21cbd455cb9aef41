//! A file of a manager, and the copying reads that are safe on any file.
//!
//! What is safe only after a promise is beside this, in `stable_file`.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::ReadError;
use crate::open_file::OpenFile;
use crate::region::Regions;

/// A file that is open for reading: by copies, and, after a promise, as memory.
///
/// Clones are cheap and share one descriptor, which is closed with the last of them. Its views do
/// not need it.
///
/// The length is remembered from the opening. Reading never goes beyond it, even if the file has
/// grown since; open the file again to see more. A file that became shorter is an error of the
/// reads that miss its bytes, and never reads as zeros. (A file whose length the system gives as
/// 0, as it does in `/proc`, is empty here.)
#[derive(Clone)]
pub struct MappedFile {
    inner: Arc<Inner>,
}

struct Inner {
    open: OpenFile,
    regions: Arc<Regions>,
}

impl MappedFile {
    pub(crate) fn new(open: OpenFile, regions: Arc<Regions>) -> Self {
        regions.counters().file_opened();
        Self { inner: Arc::new(Inner { open, regions }) }
    }

    /// The length when it was opened, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.inner.open.len
    }

    /// Whether it had no bytes when it was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The path it was opened by, as it was given; `None` for a file that was
    /// [handed over](crate::MapManager::open_file) open.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner.open.path.as_deref()
    }

    /// Copies bytes from `offset` on into `buffer`, and returns how many: fewer than fit only
    /// where the file ends, none at its end.
    ///
    /// Blocks as long as the disk does. Does not move a position, so that any number of threads
    /// may read at once (on Windows the position of a file that was handed over does move).
    ///
    /// # Errors
    ///
    /// An offset past the end; a file that has been truncated since, where its bytes are missed;
    /// what the system reports. What is in `buffer` then is not defined.
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
            return Err(ReadError::EndsPastEnd { path: self.inner.open.path_buf(), offset, wanted, len: self.len() });
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
            let path = self.inner.open.path_buf();
            return Err(ReadError::Reversed { path, range });
        }
        let left = self.left_from(range.start)?;
        let wanted = range.end.saturating_sub(range.start).min(left);
        let mut copy = Vec::new();
        let len = usize::try_from(wanted).ok();
        let Some(len) = len.filter(|len| copy.try_reserve_exact(*len).is_ok()) else {
            let path = self.inner.open.path_buf();
            return Err(ReadError::OutOfMemory { path, range });
        };
        copy.resize(len, 0);
        self.fill(&mut copy, range.start)?;
        Ok(copy.into())
    }

    pub(crate) fn open_file(&self) -> &OpenFile {
        &self.inner.open
    }

    pub(crate) fn regions(&self) -> &Regions {
        &self.inner.regions
    }

    /// How many bytes there are from `offset` on.
    fn left_from(&self, offset: u64) -> Result<u64, ReadError> {
        let len = self.len();
        len.checked_sub(offset).ok_or_else(|| ReadError::StartsPastEnd {
            path: self.inner.open.path_buf(),
            offset,
            len,
        })
    }

    /// Fills all of `buffer`, which does not go beyond the remembered length.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let Inner { open, regions } = &*self.inner;
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let mut rest = buffer;
        let mut next = offset;
        while !rest.is_empty() {
            match regions.sys().read_at(&open.file, rest, next) {
                Ok(0) => return Err(self.truncated(range)),
                Ok(count) => {
                    next = next.saturating_add(count as u64);
                    rest = rest.get_mut(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = open.path_buf();
                    return Err(ReadError::Io { path, range, source });
                }
            }
        }
        Ok(())
    }

    /// The error for a file that ended before its remembered length.
    fn truncated(&self, range: Range<u64>) -> ReadError {
        let Inner { open, regions } = &*self.inner;
        let path = open.path_buf();
        match regions.sys().len(&open.file) {
            Ok(now) => ReadError::Truncated { path, range, opened_with: open.len, now },
            Err(source) => ReadError::Io { path, range, source },
        }
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile").field("path", &self.path()).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.regions.counters().file_closed();
    }
}
