//! Words of a mapped file that several processes load and store.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags};

/// A range of a file, mapped shared and writable, as words of 8 bytes in the file's byte order: little-endian.
///
/// A store into a hole, or behind the end of a file that somebody truncated, is a signal; so only what is allocated is
/// stored to, and files that are mapped so are never truncated by this crate.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: it is memory of which nothing is reached but atomic words, by reference.
#[expect(unsafe_code)]
unsafe impl Send for SharedWords {}
// SAFETY: as above.
#[expect(unsafe_code)]
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// `range` starts at a multiple of the system's page size, and ends within the file.
    pub(super) fn map(file: &File, range: Range<u64>) -> io::Result<Self> {
        let bytes = range.end.checked_sub(range.start).filter(|&bytes| bytes > 0).ok_or(io::ErrorKind::InvalidInput)?;
        let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping where the system finds room replaces nothing.
        #[expect(unsafe_code)]
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                file,
                range.start,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, count: bytes / size_of::<u64>() })
    }

    /// The word at `index`, if there is one.
    #[inline]
    pub(crate) fn get(&self, index: u64) -> Option<&AtomicU64> {
        if index >= self.count as u64 {
            return None;
        }
        // SAFETY: it is within the mapping, which is aligned to pages and stays for as long as `self`; whoever else
        // stores to it, in whatever process, does so by atomic words.
        #[expect(unsafe_code)]
        Some(unsafe { self.start.add(index as usize).as_ref() })
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nobody borrows it any more.
        #[expect(unsafe_code)]
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.count * size_of::<u64>()) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::sys::DiskFile;

    #[test]
    fn what_one_mapping_stores_another_loads_and_the_file_has() {
        let file = tempfile::tempfile().unwrap();
        DiskFile::set_len(&file, 12_288).unwrap();
        file.allocate(0..12_288).unwrap();
        let (one, other) = (file.map_words(4096..12_288).unwrap(), file.map_words(4096..12_288).unwrap());
        one.get(3).unwrap().store(0x0102_0304_0506_0708u64.to_le(), Ordering::Relaxed);
        assert_eq!(u64::from_le(other.get(3).unwrap().load(Ordering::Relaxed)), 0x0102_0304_0506_0708);
        let mut bytes = [0; 8];
        DiskFile::read_exact_at(&file, &mut bytes, 4096 + 24).unwrap();
        assert_eq!(bytes, [8, 7, 6, 5, 4, 3, 2, 1]);
        assert!(one.get(1024).is_none() && one.get(u64::MAX).is_none());
    }
}
