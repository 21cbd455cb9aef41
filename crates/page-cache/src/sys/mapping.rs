//! Reads that copy out of a file without a system call, and end in an error where the file has no such bytes any more.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A copy could not be made: the file was truncated, or the disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault;

/// A range of a file, to be copied from. Offsets count from the start of the range.
pub(crate) trait Mapping: Debug + Send + Sync {
    /// Copies as many bytes as `out` has room for. What somebody writes meanwhile may be seen in part.
    fn copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault>;
    /// The word at `offset`, a multiple of 8, by one load, in the file's byte order: little-endian.
    fn load(&self, offset: u64) -> Result<u64, Fault>;
}

/// Until there is a copy that recovers from faults: by `pread`.
#[derive(Debug)]
struct ByPread(File, u64);

pub(super) fn map(file: &File, range: Range<u64>) -> io::Result<Box<dyn Mapping>> {
    Ok(Box::new(ByPread(file.try_clone()?, range.start)))
}

impl Mapping for ByPread {
    fn copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        self.0.read_exact_at(out, self.1 + offset).map_err(|_| Fault)
    }

    fn load(&self, offset: u64) -> Result<u64, Fault> {
        let mut word = [0; 8];
        self.0.read_exact_at(&mut word, self.1 + offset).map_err(|_| Fault)?;
        Ok(u64::from_le_bytes(word))
    }
}
