//! A file about which the promise was given, and the views it allows.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use crate::buffer::WindowBuffer;
use crate::cursor::Cursor;
use crate::error::ViewError;
use crate::mapped_file::MappedFile;
use crate::view::View;

/// A file that nobody truncates or rewrites, so that it can be looked at as memory.
///
/// It comes from [`MappedFile::assume_stable`], which says what is promised. Clones are cheap.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), window_mman::Error> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("released data");
/// # std::fs::write(&path, b"0123456789").expect("a file");
/// let file = window_mman::MapManager::new().open(&path)?;
/// // SAFETY: nobody truncates or writes to this file while this example runs.
/// let file = unsafe { file.assume_stable() };
/// let view = file.view(2..5)?;
/// assert_eq!(view, b"234");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StableFile {
    /// Private, and set nowhere but in `assume_stable`: to have a `StableFile` is to have the
    /// promise.
    file: MappedFile,
    /// What was promised.
    len: u64,
    /// Whether the file had all of that when it was promised.
    whole: bool,
}

impl MappedFile {
    /// The same file, to be looked at as memory: on your promise that it is left alone.
    ///
    /// # Safety
    ///
    /// You promise: **from this call on, as long as the returned [`StableFile`] lives, or a clone
    /// of it, or any [`View`], [`Cursor`], [`WindowBuffer`] or [`Bytes`](bytes::Bytes) made from it, nobody truncates
    /// this file below the [`len`](Self::len) that it has now, or writes into those bytes.** Nobody means: no thread of
    /// this program, no other program, and no other machine that shares the disk.
    ///
    /// Why this must be promised: a view does not have the bytes, it shows the file. The operating
    /// system fetches a piece when it is first looked at, and again after it ran out of memory.
    ///
    /// * If the file is **truncated**, there is nothing left to fetch. Looking at a byte that is
    ///   gone ends the whole process with the signal SIGBUS. No error is returned, and nothing can
    ///   be caught.
    /// * If the file is **written to**, bytes change under a `&[u8]`, which the compiler believes
    ///   not to change. What was checked a moment ago is no longer so: a length read twice is two
    ///   lengths, text that was valid UTF-8 is not. That is undefined behaviour, the kind of error
    ///   that may do anything.
    ///
    /// What breaks the promise, often without anybody thinking of it: opening the file for writing
    /// in the usual way (`File::create`, `>` in a shell), which truncates first; `cp` over it;
    /// `rsync --inplace`; `logrotate` with `copytruncate`; punching holes; downloads, databases and
    /// simulations that are still at work on the file.
    ///
    /// Two things end the process with the same signal though nobody touched the file: a **disk that fails** to give a
    /// piece, and, where reading a hole takes up memory of the file system (tmpfs), a **hole in a file system that is
    /// full**. By this call you take the first upon you; promise the second too: the file has no holes, or is not on
    /// such a file system.
    ///
    /// What does not: deleting or renaming the file, or putting another one in its place by
    /// renaming (as package managers, most editors and plain `rsync` do), since the old contents
    /// live on as long as they are mapped; appending; other readers.
    ///
    /// How to be able to promise it: the file is written once and never again (archives, released
    /// data, a cache that replaces by renaming), or it is in a directory that only this program
    /// writes to, or on a read-only mount. If you cannot promise it, do not call this: the reads
    /// of [`MappedFile`] copy, and are safe.
    ///
    /// The promise begins with this call. A file that was truncated between its opening and this
    /// call, and is still shorter, is noticed when something of it has to be mapped: that view is
    /// refused.
    #[must_use = "the promise is of no use without the file it is about"]
    #[expect(unsafe_code, reason = "the one promise of this crate's interface")]
    pub unsafe fn assume_stable(&self) -> StableFile {
        let len = self.len();
        StableFile { file: self.clone(), len, whole: self.len_now(&(0..len)).is_ok_and(|now| now >= len) }
    }
}

impl StableFile {
    /// The same file without the promise, for copying reads.
    #[must_use]
    pub fn file(&self) -> &MappedFile {
        &self.file
    }

    /// The length that was promised, in bytes: that of the [`MappedFile`] at that time.
    #[doc(alias = "file_size")]
    #[must_use]
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The path it was opened by; see [`MappedFile::path`].
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.path()
    }

    /// `range` of the file as memory: in bytes, half-open, contiguous, whatever the window size.
    ///
    /// A range that ends past the end of the file is clipped there; [`View::range`] tells what is
    /// left of it. An empty range, also at the very end, is an empty view, for which nothing is
    /// mapped.
    ///
    /// A range inside one window of the grid is a view of that window; others get a region that
    /// covers just their pages. If that region is mapped already, finding it takes some ten nanoseconds, and no lock,
    /// but counts one more user of the manager, in a word that all threads write to: who makes views on many threads at
    /// a time gives each a [`cursor`](Self::cursor), which writes only to its region's. Else it is mapped, which takes
    /// a few microseconds. Nothing is read: looking at the
    /// bytes does that, and may wait for the disk.
    ///
    /// # Errors
    ///
    /// A range that is reversed, starts past the end, or is longer than a slice can be; a file
    /// that was shorter when it was promised to be stable than when it was opened; limits that are
    /// [not to be exceeded](crate::LimitPolicy::Error); a descriptor that was closed and cannot be opened again; a
    /// system that does not map it, because it has run out of mappings or addresses. (What its file system cannot map
    /// at all is copied.)
    pub fn view(&self, range: Range<u64>) -> Result<View, ViewError> {
        self.verify(&range)?;
        let (range, window) = self.file.window(&range, self.len)?;
        #[expect(unsafe_code, reason = "the promise given to `assume_stable` is used here")]
        // SAFETY: a `StableFile` comes from `assume_stable` alone, whose caller promises that nobody truncates the
        // file or writes into its first `len` bytes while this file or any view of it lives.
        Ok(unsafe { View::new(range, window) })
    }

    /// A cursor, which holds one region at a time: for many looks close to each other.
    #[doc(alias = "make_cursor")]
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.clone())
    }

    /// `range` of the file as something to index, slice and read from: in bytes, half-open, clipped at the end.
    ///
    /// # Errors
    ///
    /// A range that is reversed or starts past the end.
    #[doc(alias = "SlidingWindowMapBuffer")]
    #[doc(alias = "begin_access")]
    pub fn buffer(&self, range: Range<u64>) -> Result<WindowBuffer, ViewError> {
        let range = self.file.clip(&range, self.len)?;
        Ok(WindowBuffer::new(self.clone(), range))
    }

    /// That the file was as long as was promised, when it was.
    #[inline]
    pub(crate) fn verify(&self, range: &Range<u64>) -> Result<(), ViewError> {
        if self.whole { Ok(()) } else { self.verify_now(range) }
    }

    #[cold]
    fn verify_now(&self, range: &Range<u64>) -> Result<(), ViewError> {
        let now = self.file.len_now(range)?;
        if now >= self.len {
            return Ok(());
        }
        let (path, range) = (self.file.path_buf(), range.clone());
        Err(ViewError::Truncated { path, range, opened_with: self.len, now })
    }
}

impl fmt::Debug for StableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StableFile").field("path", &self.path()).field("len", &self.len()).finish_non_exhaustive()
    }
}
