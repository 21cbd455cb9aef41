//! A file as an array that is read a page at a time.

use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::ops::{Range, RangeBounds};

use bytes::Bytes;

use crate::error::{Error, ReadError};
use crate::mapped_file::MappedFile;
use crate::position;

/// How much is read at once unless told otherwise, in bytes.
const PAGE_SIZE: NonZeroUsize = match NonZeroUsize::new(64 << 10) {
    Some(size) => size,
    None => NonZeroUsize::MIN,
};

/// How many pages are kept: enough to look here and there in turn.
const PAGES: usize = 4;

/// A file as an array of bytes, without mappings: a few pages of it are in memory, filled by `pread`.
///
/// For when a promise about the file cannot be given, when nothing may be mapped, or when memory must be constant: it
/// takes up four pages, over a file of any length. It is safe on any file, and sees what others write as far as it is
/// not in a page already; [`clear`](Self::clear) forgets the pages.
///
/// A page is filled *around* the index that was asked for, so that going back is as cheap as going on; who goes on
/// where a page ends gets the next one. Indices and both ends of slices are counted from the start, or from the end if
/// they are negative. It is `Read + Seek + BufRead`, too. Dropping it closes the file, unless somebody else has it.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), window_mman::Error> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789").expect("a file");
/// let mut file = window_mman::MapManager::new().open(&path)?.paged();
/// assert_eq!(file.len(), 10);
/// assert_eq!(file.get(3)?, Some(b'3'));
/// assert_eq!(file.get(-1)?, Some(b'9'));
/// assert_eq!(file.get(10)?, None);
/// assert_eq!(file.slice(-3..)?, &b"789"[..]);
/// let even: Result<Vec<u8>, _> = file.iter().step_by(2).collect();
/// assert_eq!(even?, b"02468");
/// # Ok(())
/// # }
/// ```
#[doc(alias = "MemoryFile")]
pub struct PagedFile {
    file: MappedFile,
    page_size: NonZeroUsize,
    /// The one that was used last.
    page: Page,
    /// The others, the last used first.
    others: Vec<Page>,
    position: u64,
}

/// The same file, at the same position, with pages of its own, none of which is filled yet.
impl Clone for PagedFile {
    fn clone(&self) -> Self {
        Self { position: self.position, ..Self::new(self.file.clone()).with_page_size(self.page_size) }
    }
}

/// A piece of a file.
#[derive(Default)]
struct Page {
    start: u64,
    bytes: Vec<u8>,
}

impl Page {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// What it has from `offset` on; nothing if it does not have that.
    #[inline]
    fn from(&self, offset: u64) -> &[u8] {
        let place = offset.checked_sub(self.start).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.bytes.get(place..)).unwrap_or_default()
    }
}

impl PagedFile {
    /// The file as an array, with pages of 64 KiB; the same as [`MappedFile::paged`].
    #[must_use]
    pub fn new(file: MappedFile) -> Self {
        Self { file, page_size: PAGE_SIZE, page: Page::default(), others: Vec::new(), position: 0 }
    }

    /// The same with pages of so many bytes.
    #[must_use]
    pub fn with_page_size(self, bytes: NonZeroUsize) -> Self {
        Self { page_size: bytes, page: Page::default(), others: Vec::new(), ..self }
    }

    /// How many bytes are read at once.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.page_size.get()
    }

    /// The length that the file had when it was opened or [refreshed](MappedFile::refresh), in bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> u64 {
        self.file.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &MappedFile {
        &self.file
    }

    /// The byte at `index`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`MappedFile::read_at`]; and no memory for a page.
    #[inline]
    pub fn get(&mut self, index: i64) -> Result<Option<u8>, ReadError> {
        // What is in a page is in the file. A negative index is a number above all that a file can have.
        let place = index.cast_unsigned().wrapping_sub(self.page.start);
        match self.page.bytes.get(usize::try_from(place).unwrap_or(usize::MAX)) {
            Some(byte) => Ok(Some(*byte)),
            None => self.get_slowly(index),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_slowly(&mut self, index: i64) -> Result<Option<u8>, ReadError> {
        let Some(offset) = position::index(index, self.len()) else { return Ok(None) };
        Ok(self.load(offset)?.first().copied())
    }

    /// A copy of the bytes of `slice`: clipped at the end.
    ///
    /// # Errors
    ///
    /// A slice that is reversed or starts past the end; else as for [`MappedFile::read_at`].
    pub fn slice(&mut self, slice: impl RangeBounds<i64>) -> Result<Bytes, ReadError> {
        let slice = position::range(slice, self.len());
        let held = |page: &Page| {
            let wanted = usize::try_from(slice.end.checked_sub(slice.start)?).ok()?;
            page.from(slice.start).get(..wanted).map(Bytes::copy_from_slice)
        };
        let short = slice.end.saturating_sub(slice.start) <= self.page_size.get() as u64 / 2;
        if slice.start < self.len() {
            if short {
                self.load(slice.start)?;
            }
            if let Some(bytes) = held(&self.page) {
                return Ok(bytes);
            }
        }
        self.file.bytes(slice)
    }

    /// All bytes, from the first to the last. It ends with the first error.
    pub fn iter(&mut self) -> impl Iterator<Item = Result<u8, ReadError>> + '_ {
        let mut next = 0;
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let byte = match self.page.from(next).first() {
                Some(byte) => Ok(Some(*byte)),
                None if next < self.len() => self.load(next).map(|bytes| bytes.first().copied()),
                None => Ok(None),
            };
            next += 1;
            failed = byte.is_err();
            byte.transpose()
        })
    }

    /// Forgets all pages, so that everything is read anew.
    pub fn clear(&mut self) {
        self.page = Page::default();
        self.others.clear();
    }

    /// The bytes from `offset` on, which is inside of the file, as far as a page has them.
    #[cold]
    fn load(&mut self, offset: u64) -> Result<&[u8], ReadError> {
        if self.page.from(offset).is_empty() {
            let page = match self.others.iter().position(|page| !page.from(offset).is_empty()) {
                Some(place) => self.others.remove(place),
                None => self.read_page(offset)?,
            };
            let before = std::mem::replace(&mut self.page, page);
            if !before.bytes.is_empty() {
                self.others.insert(0, before);
            }
        }
        Ok(self.page.from(offset))
    }

    /// Fills a page around `offset`.
    fn read_page(&mut self, offset: u64) -> Result<Page, ReadError> {
        let range = self.page_around(offset);
        // The one that was not used for the longest time gives its memory.
        let mut page = if self.others.len() + 1 < PAGES { None } else { self.others.pop() }.unwrap_or_default();
        // No longer than a page, which is a `usize`, but may be more than there is memory.
        let len = (range.end - range.start) as usize;
        if page.bytes.try_reserve_exact(len.saturating_sub(page.bytes.len())).is_err() {
            return Err(ReadError::OutOfMemory { path: self.file.path_buf(), range });
        }
        // What was in it is read over; to make it zeros first took a tenth of the time.
        page.bytes.resize(len, 0);
        page.start = range.start;
        self.file.read_exact_at(&mut page.bytes, range.start)?;
        Ok(page)
    }

    /// Which bytes to read for `offset`, which is inside of the file.
    fn page_around(&self, offset: u64) -> Range<u64> {
        let (len, size) = (self.len(), self.page_size.get() as u64);
        let start = if offset == self.page.end() {
            // Reading on.
            offset
        } else if offset.checked_add(1) == Some(self.page.start) {
            // Reading back.
            self.page.start.saturating_sub(size)
        } else {
            offset.saturating_sub(size / 2)
        };
        let end = start.saturating_add(size).min(len);
        // A page at the end goes as far back as one anywhere else.
        start.min(end.saturating_sub(size))..end
    }
}

impl Read for PagedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let offset = self.position;
        if offset >= self.len() {
            return Ok(0);
        }
        let held = self.page.from(offset);
        let count = if held.is_empty() && out.len() >= self.page_size.get() {
            // A page would be copied once more for nothing.
            self.file.read_at(out, offset).map_err(Error::from)?
        } else {
            let mut held = self.load(offset).map_err(Error::from)?;
            held.read(out)?
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl BufRead for PagedFile {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.len() {
            return Ok(&[]);
        }
        Ok(self.load(self.position).map_err(Error::from)?)
    }

    fn consume(&mut self, count: usize) {
        self.position = self.position.saturating_add(count as u64);
    }
}

impl Seek for PagedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = position::seek(self.position, self.len(), to)?;
        Ok(self.position)
    }
}

impl fmt::Debug for PagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagedFile")
            .field("file", &self.file)
            .field("page_size", &self.page_size)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
