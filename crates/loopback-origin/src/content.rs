//! The bytes behind a body: in memory or in a file, read a chunk at a time.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// How many bytes go to the socket at once. This is also all the memory that serving a file takes,
/// for each connection.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Immutable bytes of a known length. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(Bytes),
    File { file: Arc<File>, len: u64 },
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File { len, .. } => *len,
        }
    }

    /// The next bytes of `at..end`, at least one and at most [`CHUNK`] of them; none if `at..end` is
    /// empty. Bytes in memory are lent, those of a file are read into `scratch`.
    ///
    /// # Errors
    ///
    /// What reading the file gave, and [`io::ErrorKind::UnexpectedEof`] where the content ends
    /// before `end`: the file has shrunk since it was added.
    pub(crate) fn chunk<'a>(&'a self, at: u64, end: u64, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        // At most CHUNK, so it fits a usize.
        let wanted = end.saturating_sub(at).min(CHUNK as u64) as usize;
        if wanted == 0 {
            return Ok(&[]);
        }
        match self {
            Content::Memory(bytes) => usize::try_from(at)
                .ok()
                .and_then(|at| bytes.get(at..at.checked_add(wanted)?))
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Content::File { file, .. } => {
                if scratch.len() < wanted {
                    scratch.resize(wanted, 0);
                }
                let buffer = &mut scratch[..wanted];
                loop {
                    match read_at(file, buffer, at) {
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Ok(read) => return Ok(&scratch[..read]),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

// This moves the file's cursor, which nothing here uses.
#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lent_in_chunks() {
        let content = Content::Memory(Bytes::from(vec![1; CHUNK + 10]));
        let mut scratch = Vec::new();
        assert_eq!(content.chunk(0, content.len(), &mut scratch).unwrap().len(), CHUNK);
        assert_eq!(content.chunk(CHUNK as u64, content.len(), &mut scratch).unwrap().len(), 10);
        assert_eq!(content.chunk(5, 5, &mut scratch).unwrap().len(), 0);
        assert!(content.chunk(0, 0, &mut scratch).unwrap().is_empty());
        assert!(scratch.is_empty());
    }

    #[test]
    fn reading_past_the_end_is_an_error() {
        let mut scratch = Vec::new();
        let memory = Content::Memory(Bytes::from_static(b"abc"));
        let error = memory.chunk(2, 5, &mut scratch).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        let file = Content::File { file: Arc::new(tempfile::tempfile().unwrap()), len: 3 };
        let error = file.chunk(0, 3, &mut scratch).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
