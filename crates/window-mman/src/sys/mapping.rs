//! A piece of a file in memory.

use std::fs::File;
use std::io;
#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};

/// A piece of a file at an address, which does not move until this is dropped.
///
/// What is there may change whenever the file does, so there is no safe way to it but a copy by [`super::fault`].
#[derive(Debug)]
pub(crate) struct Mapping(Kind);

/// Set by the first failure to map over an old mapping.
#[cfg(unix)]
static NO_OVER: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
enum Kind {
    /// By the system.
    Mapped(memmap2::Mmap),
    /// A copy, of what cannot be mapped. Also whole pages, so that what is aligned in a file is aligned here.
    Copied(memmap2::Mmap),
    #[cfg(test)]
    Fake(super::fake::Heaped),
}

impl Mapping {
    /// A copy of `len` bytes, which `fill` fills, and which no change of the file reaches.
    pub(crate) fn copied(len: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Self> {
        let mut memory = memmap2::MmapMut::map_anon(len)?;
        fill(&mut memory)?;
        Ok(Self(Kind::Copied(memory.make_read_only()?)))
    }

    #[cfg(test)]
    pub(crate) fn fake(heaped: super::fake::Heaped) -> Self {
        Self(Kind::Fake(heaped))
    }

    /// Whether it shows the file, and not a copy of it.
    pub(crate) fn shows_the_file(&self) -> bool {
        matches!(self.0, Kind::Mapped(_))
    }

    /// Where it is.
    pub(crate) fn address(&self) -> *const u8 {
        match &self.0 {
            Kind::Mapped(map) => map.as_ptr(),
            Kind::Copied(map) => map.as_ptr(),
            #[cfg(test)]
            Kind::Fake(heaped) => heaped.bytes().as_ptr(),
        }
    }

    /// Whether `len` bytes of a file can be mapped in its place.
    #[cfg(unix)]
    pub(crate) fn can_be_mapped_over(&self, len: usize) -> bool {
        match &self.0 {
            Kind::Mapped(map) => Some(map.len()) == in_whole_pages(len),
            Kind::Copied(_) => false,
            #[cfg(test)]
            Kind::Fake(_) => true,
        }
    }

    /// Whether `len` bytes of a file can be mapped in its place.
    #[cfg(not(unix))]
    pub(crate) fn can_be_mapped_over(&self, _: usize) -> bool {
        false
    }

    /// Maps `len` bytes of the file from `offset`, a multiple of the granularity; over `spare`, if there is one.
    #[cfg(unix)]
    pub(crate) fn of_file(file: &File, offset: u64, len: usize, spare: Option<Self>) -> io::Result<Self> {
        match spare {
            Some(Self(Kind::Mapped(spare))) if !NO_OVER.load(Ordering::Relaxed) => Self::over(spare, file, offset),
            spare => {
                drop(spare);
                Self::anywhere(file, offset, in_whole_pages(len).ok_or(io::ErrorKind::OutOfMemory)?)
            }
        }
    }

    /// Maps `len` bytes of the file from `offset`, a multiple of the granularity.
    #[cfg(not(unix))]
    pub(crate) fn of_file(file: &File, offset: u64, len: usize, spare: Option<Self>) -> io::Result<Self> {
        drop(spare);
        Self::anywhere(file, offset, len)
    }

    fn anywhere(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "memmap2 hands out slices, which we do not")]
        // SAFETY: what memmap2 asks to be promised is that nobody changes what its slices show. None is ever made of
        // this one here; who makes one of its address says there what promise that relies on.
        let map = unsafe { memmap2::MmapOptions::new().offset(offset).len(len).map(file)? };
        Ok(Self(Kind::Mapped(map)))
    }

    /// Maps another piece over an old one, of the same length: one system call instead of two.
    #[cfg(all(unix, not(miri)))]
    fn over(spare: memmap2::Mmap, file: &File, offset: u64) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let address = spare.as_ptr().cast_mut().cast();
        #[expect(unsafe_code, reason = "replaces a mapping in place")]
        // SAFETY: these pages are the mapping that we own outright: `spare` is moved here, and nobody has a pointer
        // into it, since whatever is given up has no holder. Behind the call they are a mapping of the same length
        // and kind, so `spare` describes it, and unmaps it, as well.
        let mapped =
            unsafe { mmap(address, spare.len(), ProtFlags::READ, MapFlags::SHARED | MapFlags::FIXED, file, offset) };
        match mapped {
            Ok(_) => Ok(Self(Kind::Mapped(spare))),
            Err(error) => {
                // The system may have unmapped the old one before it failed, and another thread may have got its
                // addresses since: they are not ours to unmap any more. That may have lost them for good, once: a
                // process that has run out of mappings is refused before the old one is unmapped, so from now on old
                // ones are unmapped first.
                NO_OVER.store(true, Ordering::Relaxed);
                std::mem::forget(spare);
                Err(error.into())
            }
        }
    }

    #[cfg(all(unix, miri))]
    fn over(spare: memmap2::Mmap, file: &File, offset: u64) -> io::Result<Self> {
        let len = spare.len();
        drop(spare);
        Self::anywhere(file, offset, len)
    }

    /// Tells the system how it will be used, or asks for it to be read now. Nothing if it is a copy.
    #[cfg(unix)]
    pub(crate) fn advise(&self, advice: memmap2::Advice, offset: usize, len: usize) -> io::Result<()> {
        match &self.0 {
            Kind::Mapped(map) => map.advise_range(advice, offset, len),
            _ => Ok(()),
        }
    }
}

/// So many bytes and the rest of their last page. Every window is as long as the other, the last one of a file among
/// them; what is behind the end of the file is never looked at.
#[cfg(unix)]
fn in_whole_pages(len: usize) -> Option<usize> {
    let within = rustix::param::page_size() - 1;
    Some(len.checked_add(within)? & !within)
}
