//! A file, remote or local, with a position.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use page_cache::{CachedFile, Reader};
use window_mman::{MappedFile, PagedFile};

use crate::error::Error;

/// An open file: `Read + Seek + BufRead`, and reads at any offset that do not move the position.
///
/// A remote file is pinned to the version that it had when it was opened. Ranges are half-open, in bytes; one that
/// ends behind the end of the file is clipped, one that starts there or is reversed is an error.
#[derive(Debug)]
pub struct File(Source);

#[derive(Debug)]
enum Source {
    Remote(Reader),
    Local(PagedFile),
}

impl File {
    pub(crate) fn remote(file: CachedFile) -> Self {
        Self(Source::Remote(file.reader()))
    }

    pub(crate) fn local(file: MappedFile) -> Self {
        Self(Source::Local(file.paged()))
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Source::Remote(reader) => reader.file().len(),
            Source::Local(reader) => reader.file().len(),
        }
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads bytes at `offset` into `buf` and returns how many; fewer than fit only at the end of the file.
    ///
    /// # Errors
    ///
    /// An offset behind the end, or what the origin or the system says.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Error> {
        match &self.0 {
            Source::Remote(reader) => Ok(reader.file().read_at(buf, offset)?),
            Source::Local(reader) => Ok(reader.file().read_at(buf, offset).map_err(window_mman::Error::from)?),
        }
    }

    /// The bytes of `range`. (It is not called `bytes`, since `Read` has a method of that name.)
    ///
    /// # Errors
    ///
    /// A range that is reversed or starts behind the end, or what the origin or the system says.
    pub fn read_range(&self, range: Range<u64>) -> Result<Bytes, Error> {
        match &self.0 {
            Source::Remote(reader) => Ok(reader.file().bytes(range)?),
            Source::Local(reader) => Ok(reader.file().bytes(range).map_err(window_mman::Error::from)?),
        }
    }

    /// The remote file, with what is held of it; `None` for a local one.
    pub fn as_cached(&self) -> Option<&CachedFile> {
        match &self.0 {
            Source::Remote(reader) => Some(reader.file()),
            Source::Local(_) => None,
        }
    }

    /// The local file, with the way to its mappings; `None` for a remote one.
    pub fn as_mapped(&self) -> Option<&MappedFile> {
        match &self.0 {
            Source::Remote(_) => None,
            Source::Local(reader) => Some(reader.file()),
        }
    }
}

impl Read for File {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Remote(reader) => reader.read(out),
            Source::Local(reader) => reader.read(out),
        }
    }
}

impl BufRead for File {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Source::Remote(reader) => reader.fill_buf(),
            Source::Local(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.0 {
            Source::Remote(reader) => reader.consume(count),
            Source::Local(reader) => reader.consume(count),
        }
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Source::Remote(reader) => reader.seek(to),
            Source::Local(reader) => reader.seek(to),
        }
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        match &mut self.0 {
            Source::Remote(reader) => reader.stream_position(),
            Source::Local(reader) => reader.stream_position(),
        }
    }

    fn seek_relative(&mut self, by: i64) -> io::Result<()> {
        match &mut self.0 {
            Source::Remote(reader) => reader.seek_relative(by),
            Source::Local(reader) => reader.seek_relative(by),
        }
    }
}
