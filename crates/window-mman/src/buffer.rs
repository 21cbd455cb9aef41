//! A range of a file to index, slice and read from.

use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::{Range, RangeBounds};

use crate::cursor::Cursor;
use crate::error::{Error, ViewError};
use crate::position;
use crate::stable_file::StableFile;
use crate::view::View;
use crate::window::Strategy;

/// The largest piece that is mapped at once while somebody reads on and on, in bytes. Windows of a mebibyte are the
/// slow way to do that.
const LONGEST_PIECE: u64 = 16 << 20;

/// A range of a file as an array and as a reader: through windows that come and go as needed.
///
/// Indices and both ends of slices are counted from the start of the range, or from its end if they are negative, as
/// in Python. It holds one region at a time, and lets go of it when it is dropped.
///
/// As a reader it is `Read + Seek + BufRead`. Whoever reads on maps larger and larger pieces, up to 16 MiB, as far
/// as the limits allow that.
///
/// # Examples
///
/// ```
/// use std::io::{BufRead, Read, Seek, SeekFrom};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"..key=value\nnext\n")?;
/// let file = window_mman::MapManager::new().open(&path)?;
/// // SAFETY: nobody truncates or writes to this file while this example runs.
/// let file = unsafe { file.assume_stable() };
/// let mut buffer = file.buffer(2..100)?; // clipped at the end of the file
/// assert_eq!(buffer.len(), 15);
/// assert_eq!(buffer.get(0)?, Some(b'k'));
/// assert_eq!(buffer.get(-1)?, Some(b'\n'));
/// assert_eq!(buffer.get(15)?, None);
/// assert_eq!(buffer.slice(-5..-1)?, b"next");
///
/// let mut line = String::new();
/// buffer.read_line(&mut line)?;
/// assert_eq!(line, "key=value\n");
/// buffer.seek(SeekFrom::Start(4))?;
/// let mut value = [0; 5];
/// buffer.read_exact(&mut value)?;
/// assert_eq!(&value, b"value");
/// # Ok(())
/// # }
/// ```
#[doc(alias = "SlidingWindowMapBuffer")]
#[derive(Clone)]
pub struct WindowBuffer {
    cursor: Cursor,
    /// Of the file; within it.
    range: Range<u64>,
    /// From the start of the range; may be behind its end.
    position: u64,
}

impl WindowBuffer {
    pub(crate) fn new(file: StableFile, range: Range<u64>) -> Self {
        Self { cursor: file.cursor(), range, position: 0 }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Where in the file it is: in bytes, half-open, clipped at the end of the file.
    #[doc(alias = "offset")]
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &StableFile {
        self.cursor.file()
    }

    /// What it looks through.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The byte at `index`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`StableFile::view`].
    #[inline]
    pub fn get(&mut self, index: i64) -> Result<Option<u8>, ViewError> {
        let Some(index) = position::index(index, self.len()) else { return Ok(None) };
        let offset = self.range.start + index;
        Ok(self.cursor.use_region(offset..offset + 1)?.first().copied())
    }

    /// The bytes of `slice`, without a copy: clipped at the end.
    ///
    /// # Errors
    ///
    /// A slice that is reversed or starts past the end; else as for [`StableFile::view`].
    pub fn slice(&mut self, slice: impl RangeBounds<i64>) -> Result<View, ViewError> {
        let slice = position::range(slice, self.len());
        let len = self.len();
        if slice.start > slice.end {
            return Err(ViewError::Reversed { path: self.path_buf(), range: slice });
        }
        if slice.start > len {
            return Err(ViewError::StartsPastEnd { path: self.path_buf(), range: slice, len });
        }
        let end = self.range.start + slice.end.min(len);
        self.cursor.use_region(self.range.start + slice.start..end)?;
        Ok(self.cursor.view())
    }

    /// Lets go of what is held, until the next look. Dropping it does, too.
    #[doc(alias = "end_access")]
    pub fn release(&mut self) {
        self.cursor.unuse_region();
    }

    fn path_buf(&self) -> Option<std::path::PathBuf> {
        self.cursor.file().file().path_buf()
    }

    /// How many bytes are left from the position on, and where in the file it is.
    fn rest(&self) -> Option<Range<u64>> {
        let rest = self.range.start.checked_add(self.position)?..self.range.end;
        (!rest.is_empty()).then_some(rest)
    }

    /// The bytes from the position on, as far as they are mapped at once.
    fn fill(&mut self) -> Result<&[u8], ViewError> {
        let Some(rest) = self.rest() else { return Ok(&[]) };
        let held = self.cursor.region();
        if held.as_ref().is_none_or(|held| !held.contains(&rest.start))
            && let Some(piece) = held.and_then(|held| self.piece_behind(&held, rest.start))
        {
            match self.cursor.read_on_to(piece) {
                // A window may fit where a piece does not.
                Ok(()) | Err(ViewError::LimitReached { .. } | ViewError::Map { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = self.cursor.use_region(rest.start..)?;
        let most = usize::try_from(rest.end - rest.start).unwrap_or(usize::MAX);
        Ok(bytes.get(..most).unwrap_or(bytes))
    }

    /// What to map for somebody who has read to the end of what is held, and reads on: twice as much.
    fn piece_behind(&self, held: &Range<u64>, start: u64) -> Option<Range<u64>> {
        let settings = &self.cursor.file().file().core().settings;
        let longest = LONGEST_PIECE.min(settings.regions.bytes / 4);
        let len = (held.end - held.start).saturating_mul(2).min(longest);
        let grid = &settings.grid;
        if held.end != start || len <= grid.window_size() || settings.strategy != Strategy::Sliding {
            return None;
        }
        // Pieces end at multiples of their length, so that the system can map them by large pages. Where a window ends,
        // another starts: never anywhere else, but at the end of the file.
        let end = start.saturating_add(len);
        let end = grid.align_down(end - end % len).min(self.cursor.file().len());
        (start == grid.align_down(start) && end > start).then_some(start..end)
    }
}

impl Read for WindowBuffer {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill().map_err(Error::from)?;
        let count = bytes.read(out)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl BufRead for WindowBuffer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.fill().map_err(Error::from)?)
    }

    fn consume(&mut self, count: usize) {
        self.position = self.position.saturating_add(count as u64);
    }
}

impl Seek for WindowBuffer {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = position::seek(self.position, self.len(), to)?;
        Ok(self.position)
    }
}

impl fmt::Debug for WindowBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowBuffer")
            .field("file", self.file())
            .field("range", &self.range)
            .field("position", &self.position)
            .finish()
    }
}
