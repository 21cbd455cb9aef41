//! Systems for tests: one on the heap, which runs where nothing can be mapped, and whose calls
//! fail when they are told to.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use parking_lot::Mutex;

use super::{Kind, Mapping, Os, Sys};

/// A system whose mappings are copies on the heap.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    state: Arc<State>,
    /// Every call of `map` fails while this is set.
    pub(crate) fail_map: AtomicBool,
    /// Every call of `read_at` fails while this is set.
    pub(crate) fail_read: AtomicBool,
    /// Every call of `len` fails while this is set.
    pub(crate) fail_len: AtomicBool,
    /// `read_at` reads no more than this many bytes at once, if it is not 0, and is interrupted
    /// every other time.
    pub(crate) most_at_once: AtomicUsize,
    reads: AtomicUsize,
    maps: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    mapped: AtomicUsize,
    /// The next unmapping waits here twice, once before and once after others may look.
    hold_up: Mutex<Option<Arc<Barrier>>>,
}

impl Heap {
    /// How many mappings there are now.
    pub(crate) fn mapped(&self) -> usize {
        self.state.mapped.load(Ordering::SeqCst)
    }

    /// How many times `map` has succeeded.
    pub(crate) fn maps(&self) -> usize {
        self.maps.load(Ordering::SeqCst)
    }

    /// Makes the next unmapping wait at `barrier` twice.
    pub(crate) fn hold_up_next_unmap(&self, barrier: Arc<Barrier>) {
        *self.state.hold_up.lock() = Some(barrier);
    }
}

impl Sys for Heap {
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
        let most = self.most_at_once.load(Ordering::SeqCst);
        if most == 0 {
            return Os.read_at(file, buffer, offset);
        }
        if self.reads.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = most.min(buffer.len());
        Os.read_at(file, &mut buffer[..most], offset)
    }

    #[expect(unsafe_code, reason = "the trait asks for it; a copy needs no promise")]
    unsafe fn map(&self, file: &File, offset: u64, len: usize) -> io::Result<Mapping> {
        if self.fail_map.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut bytes = vec![0; len].into_boxed_slice();
        let mut filled = 0;
        while filled < len {
            match Os.read_at(file, &mut bytes[filled..], offset + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        self.state.mapped.fetch_add(1, Ordering::SeqCst);
        self.maps.fetch_add(1, Ordering::SeqCst);
        Ok(Mapping(Kind::Heap(Heaped { bytes, state: Arc::clone(&self.state) })))
    }
}

/// A "mapping" that is a copy on the heap.
#[derive(Debug)]
pub(crate) struct Heaped {
    bytes: Box<[u8]>,
    state: Arc<State>,
}

impl Heaped {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Heaped {
    fn drop(&mut self) {
        let hold_up = self.state.hold_up.lock().take();
        if let Some(barrier) = hold_up {
            barrier.wait();
            barrier.wait();
        }
        self.state.mapped.fetch_sub(1, Ordering::SeqCst);
    }
}
