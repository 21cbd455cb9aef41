//! The seam to the operating system: everything that touches a file or maps memory goes through
//! here, so that tests can make it fail, and run without mappings at all.
//!
//! Opening and identity ([`open`], [`identify`]) are plain functions; what happens on an open file
//! is the trait [`Sys`], whose real implementation is [`Os`].

mod file_kind;
mod opening;
mod os;

#[cfg(test)]
pub(crate) mod fake;

use std::fmt;
use std::fs::File;
use std::io;

pub use file_kind::FileKind;
pub(crate) use opening::{FileId, can_read, identify, kind_at, open};
pub(crate) use os::{Os, granularity};

/// What the crate asks of an open file.
pub(crate) trait Sys: fmt::Debug + Send + Sync {
    /// The length of the file now, in bytes.
    fn len(&self, file: &File) -> io::Result<u64>;

    /// One positioned read, which may be short and may be interrupted.
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Maps `len` bytes of the file from `offset`, which is a multiple of [`granularity`], for
    /// reading. `len` is not 0.
    ///
    /// # Safety
    ///
    /// The file reaches to `offset + len`, and as long as the mapping lives, nobody truncates the
    /// file below that, or changes a byte of it there.
    #[expect(unsafe_code, reason = "the compiler cannot watch the file; the caller must")]
    unsafe fn map(&self, file: &File, offset: u64, len: usize) -> io::Result<Mapping>;
}

/// A piece of a file in memory, which does not move or change until this is dropped.
#[derive(Debug)]
pub(crate) struct Mapping(Kind);

#[derive(Debug)]
enum Kind {
    Mapped(memmap2::Mmap),
    #[cfg(test)]
    Heap(fake::Heaped),
}

impl Mapping {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Mapped(map) => map,
            #[cfg(test)]
            Kind::Heap(heaped) => heaped.bytes(),
        }
    }
}
