//! The real system: `pread`, and `mmap` by way of memmap2.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;

use super::{Mapping, Sys};

/// The system this program runs on.
#[derive(Debug)]
pub(crate) struct Os;

impl Sys for Os {
    fn open(&self, path: &Path) -> io::Result<File> {
        super::opening::open(path)
    }

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

    fn map(&self, file: &File, offset: u64, len: usize, spare: Option<Mapping>) -> io::Result<Mapping> {
        Mapping::of_file(file, offset, len, spare)
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

/// How many descriptors this process may have, where the system tells.
#[cfg(all(unix, not(miri)))]
pub(crate) fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// How many descriptors this process may have, where the system tells.
#[cfg(any(not(unix), miri))]
pub(crate) fn descriptor_limit() -> Option<u64> {
    None
}
