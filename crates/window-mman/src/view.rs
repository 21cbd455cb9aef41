//! What a reader is given: a range of a file as memory.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::region::Region;

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
///                             |          counted: the last one unmaps
///                             v
///                          region of 16 bytes
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
/// with SIGBUS, as it does for every mapping: for storage that is expected to fail, read by copies.
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
#[derive(Clone)]
pub struct View {
    /// `None` in an empty view.
    region: Option<Arc<Region>>,
    /// Where in the region's bytes; within their bounds.
    position: Range<usize>,
    /// Where in the file it starts.
    offset: u64,
}

impl View {
    /// A view of nothing at `offset`.
    pub(crate) fn empty(offset: u64) -> Self {
        Self { region: None, position: 0..0, offset }
    }

    /// A view of `range` of the file; `None` if it is not all in the region.
    pub(crate) fn new(region: Arc<Region>, range: &Range<u64>) -> Option<Self> {
        let position = region.position_of(range)?;
        Some(Self { region: Some(region), position, offset: range.start })
    }

    /// Where in the file it is: in bytes, half-open, clipped at the end of the file.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.len() as u64)
    }

    /// A part of it, counted from its start, without a copy.
    ///
    /// `None` if `part` is reversed or goes beyond this view: like [`<[u8]>::get`](slice::get), it
    /// does not clip. An empty part holds nothing, and keeps nothing mapped.
    #[must_use]
    pub fn slice(&self, part: Range<usize>) -> Option<Self> {
        if part.start > part.end || part.end > self.len() {
            return None;
        }
        // Within bounds, so these are exact; and a part is never longer than memory.
        let offset = self.offset.checked_add(part.start as u64)?;
        if part.is_empty() {
            return Some(Self::empty(offset));
        }
        let start = self.position.start.checked_add(part.start)?;
        let end = self.position.start.checked_add(part.end)?;
        Some(Self { region: self.region.clone(), position: start..end, offset })
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.region {
            // Within bounds from its making on: neither changes.
            Some(region) => &region.bytes()[self.position.clone()],
            None => &[],
        }
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
