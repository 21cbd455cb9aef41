//! Reads that copy out of a mapped file without a system call, and end in an error where the file has no such bytes any
//! more.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::Range;

use window_mman::CopyMapping;

/// A copy could not be made: the file was truncated, or the disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault;

/// A range of a file, to be copied from. Offsets count from the start of the range.
pub(crate) trait Mapping: Debug + Send + Sync {
    /// Copies as many bytes as `out` has room for. What somebody writes meanwhile may be seen in part.
    fn copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault>;
    /// The word at `offset`, a multiple of 8, by one load that acquires; in the file's byte order, little-endian.
    fn load(&self, offset: u64) -> Result<u64, Fault>;
}

pub(super) fn map(file: &File, range: Range<u64>) -> io::Result<Box<dyn Mapping>> {
    Ok(Box::new(CopyMapping::new(file, range)?))
}

impl Mapping for CopyMapping {
    #[inline]
    fn copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        self.try_copy_to(offset, out).map_err(|_| Fault)
    }

    #[inline]
    fn load(&self, offset: u64) -> Result<u64, Fault> {
        self.try_load_u64(offset).map(u64::from_le).map_err(|_| Fault)
    }
}
