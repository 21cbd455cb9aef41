//! `Read`, `Seek` and `BufRead` over a cached file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use crate::cached_file::CachedFile;

/// At most as many bytes are in memory: a read of as many costs so much more than beginning one that more would not pay.
const MAX_BUFFER: usize = 64 << 10;
/// As many bytes are read ahead of the second read behind a seek; each time that they are used up it is twice as many.
const FIRST_BUFFER: usize = 8 << 10;

/// A position in a [`CachedFile`] with some bytes behind it in memory, so that a parser's reads of a few bytes each cost
/// next to nothing.
///
/// Up to 64 KiB are read ahead, however large the pages are: nothing by the first read behind a seek, which costs what
/// [`read_at`](CachedFile::read_at) does, and more and more while reading goes on. Larger reads go straight to the caller's
/// memory. A position behind the end is allowed and reads nothing, as in a local file. A failed read leaves the position
/// where it was.
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
    fn buffered(&self) -> &[u8] {
        let skip = self.position.checked_sub(self.buffer_start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default()
    }

    /// How many bytes are read at once of what is not held, from a multiple of it on: what a request costs is the same
    /// for all of them, and only what is stored need not be asked for again.
    fn block(&self) -> u64 {
        self.file.page_size().unwrap_or(u64::MAX).min(MAX_BUFFER as u64)
    }

    /// Reads straight to the caller's memory, past the empty buffer; none if it is better filled.
    fn read_past_buffer(&self, out: &mut [u8]) -> io::Result<Option<usize>> {
        if out.len() as u64 >= self.block() {
            return Ok(Some(self.file.read_at(out, self.position)?));
        }
        Ok(if out.len() >= self.ahead { self.file.read_checked_at(out, self.position)? } else { None })
    }

    fn fill(&mut self) -> io::Result<()> {
        // Should it fail, there is nothing in the buffer.
        let mut buffer = std::mem::take(&mut self.buffer);
        self.ahead = self.ahead.clamp(FIRST_BUFFER, MAX_BUFFER);
        buffer.resize(self.ahead, 0);
        let mut start = self.position;
        let count = match self.file.read_checked_at(&mut buffer, start)? {
            Some(count) => count,
            None => {
                start -= start % self.block();
                buffer.resize(self.block() as usize, 0);
                self.file.read_at(&mut buffer, start)?
            }
        };
        buffer.truncate(count);
        (self.buffer, self.buffer_start) = (buffer, start);
        self.read_on();
        Ok(())
    }

    /// Notes that reading goes on where it was.
    fn read_on(&mut self) {
        self.ahead = (self.ahead * 2).clamp(FIRST_BUFFER, MAX_BUFFER);
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.position >= self.file.len() {
            return Ok(0);
        }
        let past = if self.buffered().is_empty() { self.read_past_buffer(out)? } else { None };
        let count = match past {
            Some(count) => {
                self.read_on();
                count
            }
            None => self.fill_buf()?.read(out)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() && self.position < self.file.len() {
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
