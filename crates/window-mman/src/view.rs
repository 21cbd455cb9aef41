//! What a reader is given: a range of a file as memory.

use std::fmt;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

use bytes::Bytes;

use crate::advice::Advice;
use crate::error::CopyError;
use crate::piece::Piece;
use crate::region::Window;

/// A contiguous range of a file as memory, shared with everybody who looks at the same place.
///
/// It dereferences to `&[u8]`, is cloned and sliced without a copy, may be sent to and used by any
/// number of threads, and becomes [`Bytes`] without a copy. As long as it, a clone, a slice, or
/// `Bytes` made of one lives, the region it lies in stays mapped: when the
/// [`StableFile`](crate::StableFile) and the [`MapManager`](crate::MapManager) are long gone, and
/// when the file has lost its name.
///
/// ```text
/// View { range: 5..9 }     ---+
/// View { range: 7..12 }    ---+
///                             |          counted: it is not unmapped before
///                             v
///                          region of 16 bytes, kept by the manager
///             +---------------+----------------+
///   memory    | 0 1 2 3 4 5 6 7 8 9 a b c d e f|
///             +--+----------------------------++
///                |                            |
///   file    -----+----------------------------+-----------
/// ```
///
/// Its memory is the system's page cache, so reading a page of it for the first time may wait for
/// the disk; no memory is used twice. An empty view holds nothing.
///
/// Should the disk (or the network behind it) fail to deliver a page, the system ends the process
/// with SIGBUS, as it does for every mapping: for storage that is expected to fail, use
/// [`try_copy_to`](Self::try_copy_to), or read by copies.
///
/// Where the memory starts is aligned like the offset of the range: modulo the page size they are
/// equal.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), window_mman::Error> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"name=window-mman;").expect("a file");
/// let file = window_mman::MapManager::new().open(&path)?;
/// // SAFETY: nobody truncates or writes to this file while this example runs.
/// let view = unsafe { file.assume_stable() }.view(0..100)?;
///
/// assert_eq!(view.range(), 0..17); // clipped at the end of the file
/// let name = view.slice(5..16).expect("inside of the view");
/// assert_eq!(name.range(), 5..16);
/// assert_eq!(name, b"window-mman");
///
/// let bytes = bytes::Bytes::from(name); // no copy; keeps the region mapped
/// assert_eq!(bytes.as_ptr(), view[5..].as_ptr());
/// # Ok(())
/// # }
/// ```
#[doc(alias = "MapRegion")]
#[derive(Clone)]
pub struct View {
    piece: Piece,
}

impl View {
    /// A view of `range`, which the window has if it is not empty.
    ///
    /// # Safety
    ///
    /// As long as this view lives, a part of it, or `Bytes` made of it, nobody truncates the file below the end of the
    /// range or writes to these bytes.
    #[expect(unsafe_code, reason = "hands out memory on a promise about a file")]
    pub(crate) unsafe fn new(range: Range<u64>, window: Option<Window>) -> Self {
        Self { piece: Piece { window, range } }
    }

    /// Where in the file it is: in bytes, half-open, clipped at the end of the file.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.piece.range.clone()
    }

    /// The path by which its file was opened when its region was mapped, made absolute; `None` for an empty view, and
    /// for a file that was [handed over](crate::MapManager::open_file) open.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.piece.path()
    }

    /// A part of it, counted from its start, without a copy.
    ///
    /// `None` if `part` is reversed or goes beyond this view: like [`<[u8]>::get`](slice::get), it
    /// does not clip. An empty part holds nothing, and keeps nothing mapped.
    #[must_use]
    pub fn slice(&self, part: Range<usize>) -> Option<Self> {
        let part = part.start as u64..part.end as u64;
        self.piece.part(part).map(|piece| Self { piece })
    }

    /// Copies the bytes from `offset` on, counted from the start of this view, into all of `out`: with an error where
    /// looking at them would end the process.
    ///
    /// For storage that may fail: the promise covers what people do to the file, and not the disk. See
    /// [what a signal handler means](crate#a-signal-handler-in-a-library).
    ///
    /// # Errors
    ///
    /// Bytes outside of the view, then nothing is copied; bytes that the file no longer has, or that the disk does not
    /// give, then `out` has some of them.
    pub fn try_copy_to(&self, offset: usize, out: &mut [u8]) -> Result<(), CopyError> {
        self.piece.copy_to(offset as u64, out)
    }

    /// Tells the system how this range will be used; nothing for what is not mapped, and on systems without such a
    /// thing.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        self.piece.advise(advice)
    }

    /// Asks the system to read this range now, without waiting.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn prefetch(&self) -> io::Result<()> {
        self.advise(Advice::WillNeed)
    }

    /// Reads all of this range into memory and into the tables of this process, so that the first look at it waits
    /// for nothing. Where the system cannot do both at once (it is a matter of Linux 5.14 and later) this is a
    /// [`prefetch`](Self::prefetch).
    ///
    /// # Errors
    ///
    /// What the system reports, also of a disk that fails.
    pub fn populate(&self) -> io::Result<()> {
        self.piece.populate()
    }
}

impl Deref for View {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the promise of `View::new` is used here")]
        // SAFETY: who made this view promised that nobody changes or cuts off these bytes while it lives.
        let bytes = self.piece.window.as_ref().and_then(|window| unsafe { window.slice(&self.piece.range) });
        bytes.unwrap_or_default()
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<View> for Bytes {
    /// Without a copy: the region stays mapped as long as the `Bytes` or anything split off it
    /// lives.
    fn from(view: View) -> Self {
        if view.is_empty() {
            return Self::new();
        }
        Self::from_owner(view)
    }
}

/// Compares the bytes, not where they are.
impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for View {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for View {}

/// Shows where it is, not what is there: that may be gigabytes, and nobody's business.
impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("range", &self.range()).field("len", &self.len()).finish()
    }
}
