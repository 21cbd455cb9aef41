//! The seam to the operating system: everything that touches a file or maps memory goes through here, so that tests
//! can make it fail, and run without mappings at all.
//!
//! Identity ([`identify`], [`kind_at`]) is plain functions; what happens to files is the trait [`Sys`], whose real
//! implementation is [`Os`]. Copies that survive a file that is cut short are in [`fault`].

pub(crate) mod fault;
mod file_kind;
mod mapping;
mod opening;
mod os;
mod process;

#[cfg(test)]
pub(crate) mod fake;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

pub use file_kind::FileKind;
pub(crate) use mapping::Mapping;
pub(crate) use opening::{FileId, Identity, can_read, identify, kind_at};
pub(crate) use os::{Os, descriptor_limit, granularity};
pub(crate) use process::process_id;

/// What the crate asks of the system.
pub(crate) trait Sys: fmt::Debug + Send + Sync {
    /// Opens what is at `path` for reading, without waiting for a writer.
    fn open(&self, path: &Path) -> io::Result<File>;

    /// The length of the file now, in bytes.
    fn len(&self, file: &File) -> io::Result<u64>;

    /// One positioned read, which may be short and may be interrupted.
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Maps `len` bytes of the file from `offset`, which is a multiple of [`granularity`], for reading. `len` is not 0.
    ///
    /// `spare` is a mapping that nobody needs any more, and that [can be mapped over](Mapping::can_be_mapped_over): it
    /// is gone afterwards in any case.
    fn map(&self, file: &File, offset: u64, len: usize, spare: Option<Mapping>) -> io::Result<Mapping>;
}

/// Reads until `buffer` is full or the file ends, and returns how much came.
pub(crate) fn read_fully(sys: &dyn Sys, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match sys.read_at(file, rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
