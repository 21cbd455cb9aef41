//! A system for tests: on the heap, which runs where nothing can be mapped, and whose calls fail when they are told to.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use super::{Mapping, Os, Sys};

/// A system whose mappings are copies on the heap.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    mapped: Arc<AtomicUsize>,
    maps: AtomicUsize,
    /// Mappings beyond this many fail, as they do when a process has too many; 0 for no limit.
    pub(crate) most_mapped: AtomicUsize,
    /// Every call of `map` fails while this is set.
    pub(crate) fail_map: AtomicBool,
    /// Every call of `map` fails with this error number, as it does for files that cannot be mapped, if it is not 0.
    pub(crate) unmappable: AtomicI32,
    /// Every call of `open` fails as it does when there are no more descriptors.
    pub(crate) fail_open: AtomicBool,
    /// Every call of `read_at` fails while this is set.
    pub(crate) fail_read: AtomicBool,
    /// Every call of `len` fails while this is set.
    pub(crate) fail_len: AtomicBool,
    /// `read_at` reads no more than this many bytes at once, if it is not 0, and is interrupted every other time.
    pub(crate) most_at_once: AtomicUsize,
    /// `read_at` finds the end of the file here, if it is not 0, whatever length `len` tells.
    pub(crate) ends_at: AtomicU64,
    /// While this is locked, `open` waits at paths that end in "slow", as it does for a lease.
    pub(crate) slow: parking_lot::Mutex<()>,
    reads: AtomicUsize,
}

impl Heap {
    /// How many mappings there are now.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::SeqCst)
    }

    /// How many times `map` has succeeded.
    pub(crate) fn maps(&self) -> usize {
        self.maps.load(Ordering::SeqCst)
    }

    /// How many times a file was read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Sys for Heap {
    fn open(&self, path: &Path) -> io::Result<File> {
        if self.fail_open.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(24)); // EMFILE
        }
        if path.ends_with("slow") {
            drop(self.slow.lock());
        }
        Os.open(path)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        if self.fail_len.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        Os.len(file)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.fail_read.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        let before = self.reads.fetch_add(1, Ordering::SeqCst);
        let left = match self.ends_at.load(Ordering::SeqCst) {
            0 => u64::MAX,
            end => end.saturating_sub(offset),
        };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let most = self.most_at_once.load(Ordering::SeqCst);
        if most == 0 {
            return Os.read_at(file, buffer, offset);
        }
        if before.is_multiple_of(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = most.min(buffer.len());
        Os.read_at(file, &mut buffer[..most], offset)
    }

    fn map(&self, file: &File, offset: u64, len: usize, spare: Option<Mapping>) -> io::Result<Mapping> {
        drop(spare);
        match self.unmappable.load(Ordering::SeqCst) {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        let most = self.most_mapped.load(Ordering::SeqCst);
        if self.fail_map.load(Ordering::SeqCst) || (most != 0 && self.mapped() >= most) {
            return Err(io::Error::from_raw_os_error(12)); // ENOMEM
        }
        let mut bytes = vec![0; len].into_boxed_slice();
        super::read_fully(&Os, file, &mut bytes, offset)?;
        self.mapped.fetch_add(1, Ordering::SeqCst);
        self.maps.fetch_add(1, Ordering::SeqCst);
        Ok(Mapping::fake(Heaped { bytes, mapped: Arc::clone(&self.mapped) }))
    }
}

/// A "mapping" that is a copy on the heap.
#[derive(Debug)]
pub(crate) struct Heaped {
    bytes: Box<[u8]>,
    mapped: Arc<AtomicUsize>,
}

impl Heaped {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Heaped {
    fn drop(&mut self) {
        self.mapped.fetch_sub(1, Ordering::SeqCst);
    }
}
