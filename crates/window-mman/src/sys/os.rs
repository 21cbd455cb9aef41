//! The real system: `pread`, and `mmap` by way of memmap2.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;

use super::{Kind, Mapping, Sys};

/// The system this program runs on.
#[derive(Debug)]
pub(crate) struct Os;

impl Sys for Os {
    fn len(&self, file: &File) -> io::Result<u64> {
        file.metadata().map(|metadata| metadata.len())
    }

    #[cfg(unix)]
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // This moves the position of the file, which nothing in this crate looks at.
        std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
    }

    #[expect(unsafe_code, reason = "memmap2 asks for the promise that our caller gave")]
    unsafe fn map(&self, file: &File, offset: u64, len: usize) -> io::Result<Mapping> {
        // SAFETY: the caller promises that the file reaches to the end of the mapping, and that
        // nobody truncates or changes it there as long as the mapping lives.
        let map = unsafe { memmap2::MmapOptions::new().offset(offset).len(len).map(file)? };
        Ok(Mapping(Kind::Mapped(map)))
    }
}

/// What the offset of a mapping must be a multiple of, in bytes.
#[cfg(unix)]
pub(crate) fn granularity() -> NonZeroU64 {
    u64::try_from(rustix::param::page_size()).ok().and_then(NonZeroU64::new).unwrap_or(SMALLEST_PAGE)
}

/// What the offset of a mapping must be a multiple of, in bytes.
#[cfg(not(unix))]
pub(crate) fn granularity() -> NonZeroU64 {
    // The allocation granularity of every Windows there is. Were it another, memmap2 would still
    // map the right bytes: it aligns the offset once more.
    NonZeroU64::new(64 << 10).unwrap_or(NonZeroU64::MIN)
}

/// For a system that reports a page size of 0, which none does.
#[cfg(unix)]
const SMALLEST_PAGE: NonZeroU64 = match NonZeroU64::new(4096) {
    Some(size) => size,
    None => NonZeroU64::MIN,
};
