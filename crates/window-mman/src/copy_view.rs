//! Mapped memory that may change, and can only be copied out of.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::advice::Advice;
use crate::error::CopyError;
use crate::piece::Piece;
use crate::region::Window;
use crate::sys::{Mapping, Os, Sys, fault, granularity, identify, read_fully};

/// A range of a file as mapped memory, of which copies can be made, also while others write to or truncate the file.
///
/// A copy is made by a short routine in assembly, at the speed of memory: no system call, a few nanoseconds for a few
/// bytes, which is a hundredth of a `pread`. A page that the file no longer has, or that the disk does not give, is an
/// error of the copy; it is never a signal, as it would be through a [`View`](crate::View), so nothing has to be
/// promised.
///
/// Three things are different from reading:
///
/// * Bytes that somebody writes at the same time may be old or new, one by one.
/// * Where a truncated file ends in the middle of a page, the rest of that page reads as zeros. Who has to notice a
///   truncation looks at the length, or uses [`read_at`](crate::MappedFile::read_at), which does.
/// * What the file grows by is not in it.
///
/// It holds its region as a [`View`](crate::View) does, is as cheap to clone, and outlives its file and its manager.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), window_mman::Error> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # let path = directory.path().join("live");
/// # std::fs::write(&path, vec![7; 100_000]).expect("a file");
/// let file = window_mman::MapManager::new().open(&path)?; // nothing is promised about this one
/// let view = file.copy_view(0..100_000)?;
/// let mut record = [0; 64];
/// view.try_copy_to(90_000, &mut record)?;
/// assert_eq!(record, [7; 64]);
///
/// # let writer = std::fs::File::options().write(true).open(&path).expect("a file");
/// writer.set_len(10).expect("somebody cuts it short");
/// assert!(view.try_copy_to(90_000, &mut record).is_err()); // and nothing worse
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CopyView {
    piece: Piece,
}

impl CopyView {
    pub(crate) fn new(range: Range<u64>, window: Option<Window>) -> Self {
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

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.piece.range.end.saturating_sub(self.piece.range.start)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.piece.range.is_empty()
    }

    /// Copies the bytes from `offset` on, counted from the start of this view, into all of `out`.
    ///
    /// # Errors
    ///
    /// Bytes outside of the view, then nothing is copied; bytes that the file no longer has, or that the disk does not
    /// give, then `out` has some of them.
    #[inline]
    pub fn try_copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), CopyError> {
        self.piece.copy_to(offset, out)
    }

    /// A part of it, counted from its start, without a copy.
    ///
    /// `None` if `part` is reversed or goes beyond this view: it does not clip. An empty part holds nothing, and keeps
    /// nothing mapped.
    #[must_use]
    pub fn slice(&self, part: Range<u64>) -> Option<Self> {
        self.piece.part(part).map(|piece| Self { piece })
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

impl fmt::Debug for CopyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyView").field("range", &self.piece.range).finish_non_exhaustive()
    }
}

/// A mapping of a file that may change, without a manager: for a program's own files that several processes share.
///
/// It is one mapping, from its making to its drop, and counts in nobody's limits. What can be done with it is what can
/// be done with a [`CopyView`], and loading single words, by which writers tell readers what is valid.
///
/// # Memory ordering
///
/// [`try_load_u64`](Self::try_load_u64) and [`try_load_u32`](Self::try_load_u32) are single-copy atomic: they see a
/// word as one store has left it. They *acquire*: what a writer had stored before a release store of the word that is
/// seen, in whichever process, is seen by copies behind the load. Copies are not ordered among themselves, and not
/// before later loads: who validates a copy by loading the word once more puts a
/// [`fence(Acquire)`](std::sync::atomic::fence) between the two, as in a sequence lock.
///
/// Where there is no routine for the processor, everything is read by `pread`; a word then is as whole as the system's
/// copies are.
///
/// # Examples
///
/// ```
/// use window_mman::CopyMapping;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::tempfile()?;
/// # std::io::Write::write_all(&mut &file, &[1, 0, 0, 0, 0, 0, 0, 0, b'x', b'y'])?;
/// let mapping = CopyMapping::new(&file, 0..10)?;
/// assert_eq!(u64::from_le(mapping.try_load_u64(0)?), 1);
/// let mut data = [0; 2];
/// mapping.try_copy_to(8, &mut data)?;
/// assert_eq!(&data, b"xy");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CopyMapping {
    mapping: Mapping,
    len: u64,
    /// To read by, and the offset there, where nothing can be copied out of the mapping.
    file: Option<(File, u64)>,
}

impl CopyMapping {
    /// Maps `range` of a file: in bytes, half-open, starting at a multiple of the page size. It may go beyond the end
    /// of the file, in which case copies from there are errors until the file is long enough.
    ///
    /// The file need not stay open.
    ///
    /// # Errors
    ///
    /// A range that is reversed, empty, longer than memory, or does not start at a page; what is not a regular file;
    /// and what the system reports.
    pub fn new(file: &File, range: Range<u64>) -> io::Result<Self> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("cannot map {range:?}: {why}"));
        let len = range.end.checked_sub(range.start).filter(|len| *len > 0);
        let len = len.ok_or_else(|| invalid("it must end behind its start"))?;
        if !range.start.is_multiple_of(granularity().get()) {
            return Err(invalid("it must start at a multiple of the page size"));
        }
        let in_memory = isize::try_from(len).ok().and_then(|len| usize::try_from(len).ok());
        let in_memory = in_memory.ok_or_else(|| invalid("no mapping is that long; map it in pieces"))?;
        let identity = identify(file)?;
        if let Some(kind) = identity.special {
            return Err(invalid(&format!("it is {kind}, and only regular files are mapped")));
        }
        if !identity.mappable {
            return Err(invalid("its file system maps whole huge pages only; open it with a manager, which reads it"));
        }
        let mapping = Mapping::of_file(file, range.start, in_memory, None)?;
        let file = if fault::SUPPORTED { None } else { Some((file.try_clone()?, range.start)) };
        Ok(Self { mapping, len, file })
    }

    /// How many bytes are mapped.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the bytes from `offset` on, counted from the start of the mapping, into all of `out`.
    ///
    /// # Errors
    ///
    /// As for [`CopyView::try_copy_to`].
    #[inline]
    pub fn try_copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), CopyError> {
        let (from, range) = self.place(offset, out.len())?;
        if let Some((file, start)) = &self.file {
            return read(file, start.saturating_add(offset), out, range);
        }
        #[expect(unsafe_code, reason = "copies from an address")]
        // SAFETY: the bytes are in the mapping, as `place` has checked, which `self` holds; `out` is a slice of its
        // own.
        let copied = unsafe { fault::copy(out.as_mut_ptr(), from, out.len()) };
        copied.map_err(|fault::Fault| CopyError::Fault { path: None, range })
    }

    /// Loads the word of eight bytes at `offset`, in the byte order of the machine, with acquire ordering.
    ///
    /// # Errors
    ///
    /// As for [`CopyView::try_copy_to`]; and an offset that is no multiple of eight.
    #[inline]
    pub fn try_load_u64(&self, offset: u64) -> Result<u64, CopyError> {
        let (from, range) = self.place_of_word(offset, size_of::<u64>())?;
        if let Some((file, start)) = &self.file {
            let mut word = [0; size_of::<u64>()];
            return read(file, start.saturating_add(offset), &mut word, range).map(|()| u64::from_ne_bytes(word));
        }
        #[expect(unsafe_code, reason = "loads from an address")]
        // SAFETY: the word is in the mapping, as `place_of_word` has checked, which `self` holds, and aligned.
        let loaded = unsafe { fault::load_u64(from) };
        loaded.map_err(|fault::Fault| CopyError::Fault { path: None, range })
    }

    /// Loads the word of four bytes at `offset`, in the byte order of the machine, with acquire ordering.
    ///
    /// # Errors
    ///
    /// As for [`CopyView::try_copy_to`]; and an offset that is no multiple of four.
    #[inline]
    pub fn try_load_u32(&self, offset: u64) -> Result<u32, CopyError> {
        let (from, range) = self.place_of_word(offset, size_of::<u32>())?;
        if let Some((file, start)) = &self.file {
            let mut word = [0; size_of::<u32>()];
            return read(file, start.saturating_add(offset), &mut word, range).map(|()| u32::from_ne_bytes(word));
        }
        #[expect(unsafe_code, reason = "loads from an address")]
        // SAFETY: the word is in the mapping, as `place_of_word` has checked, which `self` holds, and aligned.
        let loaded = unsafe { fault::load_u32(from) };
        loaded.map_err(|fault::Fault| CopyError::Fault { path: None, range })
    }

    #[inline]
    fn place(&self, offset: u64, len: usize) -> Result<(*const u8, Range<u64>), CopyError> {
        let range = offset..offset.saturating_add(len as u64);
        if range.end > self.len {
            return Err(CopyError::OutOfBounds { range, within: 0..self.len });
        }
        // Within the mapping, so it is no more than memory is long.
        Ok((self.mapping.address().wrapping_add(offset as usize), range))
    }

    #[inline]
    fn place_of_word(&self, offset: u64, size: usize) -> Result<(*const u8, Range<u64>), CopyError> {
        if !offset.is_multiple_of(size as u64) {
            return Err(CopyError::Misaligned { offset, size });
        }
        // The mapping starts at a page, so what is aligned in it is aligned in memory.
        self.place(offset, size)
    }
}

fn read(file: &File, offset: u64, out: &mut [u8], range: Range<u64>) -> Result<(), CopyError> {
    let sys: &dyn Sys = &Os;
    match read_fully(sys, file, out, offset) {
        Ok(count) if count == out.len() => Ok(()),
        Ok(_) => Err(CopyError::Fault { path: None, range }),
        Err(source) => Err(CopyError::Io { path: None, range, source }),
    }
}
