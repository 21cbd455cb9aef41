//! `Read`, `Seek` and `BufRead` over a cached file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::cached_file::CachedFile;

/// At most as many bytes are in memory: a read of as many costs so much more than beginning one that more would not
/// pay.
pub(crate) const MAX_BUFFER: usize = 64 << 10;
/// As many bytes are read ahead of the second read behind a seek; each time that they are used up it is twice as many.
const FIRST_BUFFER: usize = 8 << 10;

/// A position in a [`CachedFile`] with some bytes behind it in memory, so that a parser's reads of a few bytes each
/// cost next to nothing.
///
/// Up to 64 KiB are read ahead, however large the pages are: nothing by the first read behind a seek, which costs what
/// [`read_at`](CachedFile::read_at) does, and more and more while reading goes on. Larger reads go straight to the
/// caller's memory. A position behind the end is allowed and reads nothing, as in a local file. A failed read leaves
/// the position where it was.
#[derive(Debug, Clone)]
pub struct Reader {
    file: CachedFile,
    position: u64,
    /// Some bytes of the file, from `buffer_start` on.
    buffer: Vec<u8>,
    buffer_start: u64,
    /// How many bytes of what is held are read at once when the buffer is used up; 0 behind a seek.
    ahead: usize,
}

impl CachedFile {
    /// A new reader at the start of the file: `Read`, `Seek` and `BufRead`.
    pub fn reader(&self) -> Reader {
        Reader { file: self.clone(), position: 0, buffer: Vec::new(), buffer_start: 0, ahead: 0 }
    }
}

impl Reader {
    /// The file that is read.
    pub fn file(&self) -> &CachedFile {
        &self.file
    }

    /// What the buffer has at the position.
    pub(crate) fn buffered(&self) -> &[u8] {
        let skip = self.position.checked_sub(self.buffer_start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default()
    }

    /// How many bytes are read at once of what is not held, from a multiple of it on: what a request costs is the same
    /// for all of them, and only what is stored need not be asked for again.
    fn block(&self) -> u64 {
        self.file.page_size().unwrap_or(u64::MAX).min(MAX_BUFFER as u64)
    }

    /// Whether there is nothing more to read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.position >= self.file.len()
    }

    /// Reads straight to the caller's memory, past the empty buffer; none if it is better filled.
    fn read_past_buffer(&self, out: &mut [u8]) -> io::Result<Option<usize>> {
        if out.len() as u64 >= self.block() {
            return Ok(Some(self.file.read_at(out, self.position)?));
        }
        self.read_checked_past_buffer(out)
    }

    /// The same of what is held and was checked by this process, and never of anything else.
    pub(crate) fn read_checked_past_buffer(&self, out: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(if out.len() >= self.ahead { self.file.read_checked_at(out, self.position)? } else { None })
    }

    fn fill(&mut self) -> io::Result<()> {
        if !self.fill_with_checked()? {
            let Range { start, end } = self.next(0);
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize((end - start) as usize, 0);
            let count = self.file.read_at(&mut buffer, start)?;
            buffer.truncate(count);
            self.filled(start, buffer);
        }
        Ok(())
    }

    /// Fills the empty buffer with what is held and was checked by this process; returns whether there is any.
    pub(crate) fn fill_with_checked(&mut self) -> io::Result<bool> {
        // Should it fail, there is nothing in the buffer.
        let mut buffer = std::mem::take(&mut self.buffer);
        self.ahead = self.ahead.clamp(FIRST_BUFFER, MAX_BUFFER);
        buffer.resize(self.ahead, 0);
        // What a large read has left is not for keeping.
        buffer.shrink_to(MAX_BUFFER);
        match self.file.read_checked_at(&mut buffer, self.position)? {
            Some(count) => {
                buffer.truncate(count);
                self.filled(self.position, buffer);
                Ok(true)
            }
            None => {
                buffer.clear();
                self.buffer = buffer;
                Ok(false)
            }
        }
    }

    /// What to read of what is not held, to go on with so many bytes: these alone, if they are worth a request.
    pub(crate) fn next(&self, wanted: u64) -> Range<u64> {
        let block = self.block();
        let start = if wanted >= block { self.position } else { self.position - self.position % block };
        start..start.saturating_add(wanted.max(block))
    }

    /// Puts into the buffer what the file has from `start` on.
    pub(crate) fn filled(&mut self, start: u64, bytes: Vec<u8>) {
        (self.buffer, self.buffer_start) = (bytes, start);
        self.read_on();
    }

    /// Goes on behind what was read past the buffer.
    pub(crate) fn passed(&mut self, count: usize) {
        self.read_on();
        self.position += count as u64;
    }

    /// Notes that reading goes on where it was.
    fn read_on(&mut self) {
        self.ahead = (self.ahead * 2).clamp(FIRST_BUFFER, MAX_BUFFER);
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.is_at_end() {
            return Ok(0);
        }
        let past = if self.buffered().is_empty() { self.read_past_buffer(out)? } else { None };
        if let Some(count) = past {
            self.passed(count);
            return Ok(count);
        }
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() && !self.is_at_end() {
            self.fill()?;
        }
        Ok(self.buffered())
    }

    fn consume(&mut self, count: usize) {
        self.position += count.min(self.buffered().len()) as u64;
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(offset) => (offset, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => (self.file.len(), by),
        };
        let position = from.checked_add_signed(by).ok_or_else(|| {
            let what = format!("{}: {by} bytes from {from} is not a position in any file", self.file.key());
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        let moved = position != std::mem::replace(&mut self.position, position);
        if moved && self.buffered().is_empty() {
            self.ahead = 0;
        }
        Ok(position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position)
    }
}
