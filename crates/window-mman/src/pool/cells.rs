//! Places that stay where they are and what they are for as long as the pool lives.
//!
//! A thread that looks for something without a lock may come to a place just as it gets another content. It then
//! finds the wrong key there, and looks again under the lock; it never finds memory that is gone. That is what these
//! are for: they are reused, and never freed before the pool.

use std::sync::OnceLock;

use super::super::slot::Slot;
use super::super::sync::{AtomicBool, AtomicU32, AtomicU64};
use super::NONE;

/// The first chunk has this many cells, each further one twice as many as that before.
const FIRST: u32 = 64;
/// Enough for 2^31 cells, which is more than a process can have mappings.
const CHUNKS: usize = 25;

/// One place, in two cache lines: what every use writes to, and what is only read.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Cell<T> {
    /// When somebody last let go of it.
    pub(crate) stamp: AtomicU64,
    /// The hash of the key of what is in there; a hint.
    pub(crate) hash: AtomicU64,
    /// The next cell of the same bucket.
    pub(crate) next: AtomicU32,
    /// Whether it is among what was let go of, in the order that was made of that, or the latest: see
    /// [`super::released`].
    pub(crate) listed: AtomicBool,
    /// The cell below this one in the stack of what was let go of.
    pub(crate) below: AtomicU32,
    /// Its own.
    pub(crate) number: u32,
    pub(crate) slot: Slot<T>,
}

/// All cells of a pool.
#[derive(Debug)]
pub(crate) struct Cells<T> {
    chunks: [OnceLock<Box<[Cell<T>]>>; CHUNKS],
}

impl<T> Cells<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// The cell of this number, if it has been made.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Cell<T>> {
        let (chunk, position) = place_of(number)?;
        self.chunks.get(chunk)?.get()?.get(position)
    }

    /// The cell of this number, which is made if it is not there. `None` beyond the last number.
    pub(crate) fn get_or_make(&self, number: u32) -> Option<&Cell<T>> {
        let (chunk, position) = place_of(number)?;
        let chunk = self.chunks.get(chunk)?.get_or_init(|| {
            let len = FIRST << chunk;
            (len - FIRST..len - FIRST + len).map(Cell::new).collect()
        });
        chunk.get(position)
    }
}

impl<T> Cell<T> {
    fn new(number: u32) -> Self {
        Self {
            stamp: AtomicU64::new(0),
            hash: AtomicU64::new(0),
            next: AtomicU32::new(NONE),
            listed: AtomicBool::new(false),
            below: AtomicU32::new(NONE),
            number,
            slot: Slot::new(),
        }
    }

    /// Has the processor fetch what every use writes to, for this thread alone, and waits for nothing.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        #[expect(unsafe_code, reason = "an instruction without a function of its own")]
        // SAFETY: a hint about an address, which changes no memory and no flag, and never faults. It is older than ten
        // years in every processor, and nothing to those that do not know it.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) std::ptr::from_ref(self), options(nostack, preserves_flags));
        }
    }
}

/// The chunk of a cell, and where in it the cell is.
#[inline]
pub(crate) fn place_of(number: u32) -> Option<(usize, usize)> {
    let from_one = number.checked_add(FIRST)?;
    let chunk = from_one.ilog2() - FIRST.ilog2();
    Some((chunk as usize, (from_one - (FIRST << chunk)) as usize))
}
