//! `Read`, `Seek` and `BufRead` over a cached file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use bytes::Bytes;

use crate::cached_file::CachedFile;

/// How much is read ahead of the caller into memory where the file is not stored in pages.
const UNPAGED_BUFFER: u64 = 64 << 10;

/// A position in a [`CachedFile`] with the page around it in memory, so that a parser's reads of a few bytes each
/// cost no system call.
///
/// Reads of a page or more go straight to the caller's memory. A position behind the end is allowed and reads
/// nothing, as in a local file. A failed read leaves the position where it was.
#[derive(Debug, Clone)]
pub struct Reader {
    file: CachedFile,
    position: u64,
    /// Some bytes of the file, from `buffer_start` on.
    buffer: Bytes,
    buffer_start: u64,
}

impl CachedFile {
    /// A new reader at the start of the file: `Read`, `Seek` and `BufRead`.
    pub fn reader(&self) -> Reader {
        Reader { file: self.clone(), position: 0, buffer: Bytes::new(), buffer_start: 0 }
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

    fn block(&self) -> u64 {
        self.file.page_size().unwrap_or(UNPAGED_BUFFER)
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.position >= self.file.len() {
            return Ok(0);
        }
        let count = if self.buffered().is_empty() && out.len() as u64 >= self.block() {
            self.file.read_at(out, self.position)?
        } else {
            self.fill_buf()?.read(out)?
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() && self.position < self.file.len() {
            let start = self.position - self.position % self.block();
            self.buffer = self.file.bytes(start..start.saturating_add(self.block()))?;
            self.buffer_start = start;
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
        self.position = from.checked_add_signed(by).ok_or_else(|| {
            let what = format!("{}: {by} bytes from {from} is not a position in any file", self.file.key());
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        Ok(self.position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position)
    }
}
