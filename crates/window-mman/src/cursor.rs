//! A look into a file that moves.

use std::fmt;
use std::io;
use std::ops::{Range, RangeBounds};

use crate::advice::Advice;
use crate::error::ViewError;
use crate::piece::Piece;
use crate::position::ends;
use crate::region::Window;
use crate::stable_file::StableFile;
use crate::view::View;

/// A place in a file, and the memory around it: holds one region at a time.
///
/// Moving within the region compares two numbers: no lock, and nothing that other threads could see. Moving to
/// another one that is mapped takes some ten nanoseconds; to one that is not, a few microseconds. The region that was
/// held before is let go of first, so that no more is held than is looked at.
///
/// | | |
/// |---|---|
/// | [`use_region`](Self::use_region) | moves, and returns the bytes |
/// | [`as_slice`](Self::as_slice) | the bytes |
/// | [`range`](Self::range), [`region`](Self::region) | where they are, and what is held |
/// | [`view`](Self::view) | the same bytes, to be kept when the cursor moves on |
/// | [`unuse_region`](Self::unuse_region), drop | lets go |
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), window_mman::Error> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"4 len\n4 text\n").expect("a file");
/// let file = window_mman::MapManager::new().open(&path)?;
/// // SAFETY: nobody truncates or writes to this file while this example runs.
/// let mut cursor = unsafe { file.assume_stable() }.cursor();
/// assert!(!cursor.is_valid());
///
/// assert_eq!(cursor.use_region(2..5)?, b"len");
/// assert_eq!(cursor.use_region(8..100)?, b"text\n"); // clipped at the end of the file
/// assert_eq!(cursor.use_region(6..)?, b"4 text\n"); // as far as the region goes
/// assert_eq!(cursor.range(), 6..13);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "WindowCursor")]
#[doc(alias = "assign")]
#[derive(Clone)]
pub struct Cursor {
    file: StableFile,
    /// What is held, and what of it is looked at.
    piece: Piece,
}

impl Cursor {
    pub(crate) fn new(file: StableFile) -> Self {
        Self { file, piece: Piece { window: None, range: 0..0 } }
    }

    /// Moves to `range` of the file and returns its bytes, all of them contiguous: `min(length, file length - start)`
    /// of a range with an end; as far as the region goes that is held for its first byte, of a range without.
    ///
    /// # Errors
    ///
    /// As for [`StableFile::view`]. Nothing is held then.
    #[inline]
    pub fn use_region(&mut self, range: impl RangeBounds<u64>) -> Result<&[u8], ViewError> {
        let (start, end) = ends(&range);
        if let Some(window) = self.piece.window.as_ref().filter(|window| window.has(start)) {
            // What ends past the end of the file is clipped there: in the last window that is a hit as any other.
            let range = start..end.map_or(window.span().end, |end| end.min(self.file.len()));
            if let Some(address) = window.address_of(&range) {
                let len = (range.end - range.start) as usize;
                self.piece.range = range;
                #[expect(unsafe_code, reason = "the promise given to `assume_stable` is used here")]
                // SAFETY: as for `as_slice`; the window has just said that it has all of these.
                return Ok(unsafe { std::slice::from_raw_parts(address, len) });
            }
        }
        self.change(start, end)?;
        Ok(self.as_slice())
    }

    /// The bytes of [`range`](Self::range); none before the first [`use_region`](Self::use_region).
    #[doc(alias = "buffer")]
    #[doc(alias = "map")]
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the promise given to `assume_stable` is used here")]
        // SAFETY: a `StableFile` comes from `assume_stable` alone, whose caller promises that nobody truncates the
        // file or writes into its first `len` bytes, beyond which no region of it goes, as long as it lives; and the
        // cursor has one.
        let bytes = self.piece.window.as_ref().and_then(|window| unsafe { window.slice(&self.piece.range) });
        bytes.unwrap_or_default()
    }

    /// What is looked at: in bytes of the file, half-open.
    #[doc(alias = "ofs_begin")]
    #[doc(alias = "ofs_end")]
    #[doc(alias = "size")]
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.piece.range.clone()
    }

    /// What is held, and can be moved to at no cost; `None` if nothing is.
    #[must_use]
    pub fn region(&self) -> Option<Range<u64>> {
        self.piece.window.as_ref().map(Window::span)
    }

    /// Whether the byte at this offset of the file is looked at.
    #[doc(alias = "includes_ofs")]
    #[must_use]
    pub fn includes(&self, offset: u64) -> bool {
        self.piece.range.contains(&offset)
    }

    /// Whether it looks at something, so that [`as_slice`](Self::as_slice) has its bytes.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.piece.window.is_some()
    }

    /// The file, which a cursor always has.
    #[doc(alias = "is_associated")]
    #[must_use]
    pub fn file(&self) -> &StableFile {
        &self.file
    }

    /// What is looked at, to be kept.
    #[doc(alias = "region_ref")]
    #[must_use]
    pub fn view(&self) -> View {
        let window = if self.piece.range.is_empty() { None } else { self.piece.window.clone() };
        #[expect(unsafe_code, reason = "the promise given to `assume_stable` is used here")]
        // SAFETY: as for `as_slice`; the promise covers all views made of the file.
        unsafe {
            View::new(self.piece.range.clone(), window)
        }
    }

    /// Tells the system how what is looked at will be used: see [`View::advise`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        self.piece.advise(advice)
    }

    /// Asks the system to read what is looked at now, without waiting.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn prefetch(&self) -> io::Result<()> {
        self.advise(Advice::WillNeed)
    }

    /// Reads all that is looked at into memory: see [`View::populate`].
    ///
    /// # Errors
    ///
    /// What the system reports, also of a disk that fails.
    pub fn populate(&self) -> io::Result<()> {
        self.piece.populate()
    }

    /// Lets go of what is held.
    pub fn unuse_region(&mut self) {
        self.piece.window = None;
        self.piece.range = self.piece.range.start..self.piece.range.start;
    }

    /// Moves to a range of which the region is not held.
    #[inline(never)]
    fn change(&mut self, start: u64, end: Option<u64>) -> Result<(), ViewError> {
        let len = self.file.len();
        let asked = start..end.unwrap_or_else(|| start.max(len));
        let clipped = match self.clip(&asked, len) {
            Ok(clipped) => clipped,
            Err(error) => {
                self.unuse_region();
                return Err(error);
            }
        };
        if clipped.is_empty() {
            self.unuse_region();
            self.piece.range = clipped;
            return Ok(());
        }
        // Without an end one byte is as good as all.
        let needed = if end.is_none() { start..start + 1 } else { clipped.clone() };
        self.hold(&needed)?;
        let end = self.piece.window.as_ref().map_or(start, |window| window.span().end);
        self.piece.range = start..clipped.end.min(end);
        Ok(())
    }

    fn clip(&self, asked: &Range<u64>, len: u64) -> Result<Range<u64>, ViewError> {
        self.file.verify(asked)?;
        self.file.file().clip(asked, len)
    }

    /// Holds the region that has `needed`, instead of what is held.
    fn hold(&mut self, needed: &Range<u64>) -> Result<(), ViewError> {
        let key = self.file.file().key_of(needed, self.file.len());
        self.piece.range = needed.start..needed.start;
        let file = self.file.file();
        let held = &mut self.piece.window;
        let Some(window) = held else {
            *held = Some(file.window_of(key, needed)?);
            return Ok(());
        };
        if window.change_to(&key, file.handle()) {
            return Ok(());
        }
        let mapped = file.map_in(window, key, needed);
        if mapped.is_err() {
            *held = None;
        }
        mapped
    }

    /// Moves to all of the region that is just `span`, which is not empty and inside of the file, and where who reads
    /// on goes from what is held: a piece that was mapped in this way, and that nobody else has ever asked for, is not
    /// kept, as the reader has left it behind, and the windows of others would have to go for it.
    pub(crate) fn read_on_to(&mut self, span: Range<u64>) -> Result<(), ViewError> {
        self.file.verify(&span)?;
        let window_size = self.file.file().core().settings.grid.window_size();
        let held = self.piece.window.take();
        if let Some(piece) = held.filter(|held| held.span().end - held.span().start > window_size) {
            piece.discard();
        }
        self.unuse_region();
        let key = self.file.file().key_of_span(&span);
        self.piece.window = Some(self.file.file().window_of(key, &span)?);
        self.piece.range = span;
        Ok(())
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("file", &self.file).field("range", &self.piece.range).finish_non_exhaustive()
    }
}
