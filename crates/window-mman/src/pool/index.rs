//! Which cell has a key: chains of cells from an array of buckets.
//!
//! It is written under the pool's lock, and read under it, where it is exact, or without, where it is a hint: a
//! chain that changes under a reader may lead him astray, to a cell of another key or to the end. Then he looks again
//! under the lock.

use std::sync::OnceLock;

use super::super::sync::{AtomicU32, Ordering};
use super::NONE;
use super::cells::{Cell, Cells};

/// Arrays of 2^FIRST buckets and more, of which at most one in four is in use: a neighbour in a chain is one more cache
/// line to look at, and one that others write to.
const FIRST: u32 = 9;
const SIZES: usize = 24;
/// As many cells are looked at without a lock; chains are far shorter, and one that is longer has led astray.
const LONGEST: usize = 64;

#[derive(Debug)]
pub(crate) struct Index {
    /// One array for each size that was ever needed: a reader may still be in a smaller one.
    arrays: [OnceLock<Box<[AtomicU32]>>; SIZES],
    /// Which of them is in use.
    current: AtomicU32,
}

impl Index {
    pub(crate) fn new() -> Self {
        let index = Self { arrays: [const { OnceLock::new() }; SIZES], current: AtomicU32::new(0) };
        index.array(0);
        index
    }

    /// The number of the first cell that may have a key of this hash.
    #[inline]
    pub(crate) fn first(&self, hash: u64) -> u32 {
        self.head(hash).map_or(NONE, |head| head.load(Ordering::Acquire))
    }

    /// The cells that may have a key of this hash, from the [`first`](Self::first) on.
    #[inline]
    pub(crate) fn candidates<T>(cells: &Cells<T>, first: u32, hash: u64) -> impl Iterator<Item = &Cell<T>> {
        let mut next = first;
        std::iter::from_fn(move || {
            let cell = cells.get(next)?;
            next = cell.next.load(Ordering::Acquire);
            Some(cell)
        })
        .take(LONGEST)
        .filter(move |cell| cell.hash.load(Ordering::Relaxed) == hash)
    }

    /// Adds a cell that is in no chain. The caller has the lock.
    pub(crate) fn link<T>(&self, cell: &Cell<T>, hash: u64) {
        if let Some(head) = self.head(hash) {
            cell.hash.store(hash, Ordering::Relaxed);
            cell.next.store(head.load(Ordering::Relaxed), Ordering::Relaxed);
            head.store(cell.number, Ordering::Release);
        }
    }

    /// Takes a cell out of its chain. The caller has the lock.
    pub(crate) fn unlink<T>(&self, cells: &Cells<T>, cell: &Cell<T>) {
        let behind = cell.next.load(Ordering::Relaxed);
        let mut link = self.head(cell.hash.load(Ordering::Relaxed));
        while let Some(place) = link {
            let here = place.load(Ordering::Relaxed);
            if here == cell.number {
                place.store(behind, Ordering::Release);
                break;
            }
            link = cells.get(here).map(|cell| &cell.next);
        }
        cell.next.store(NONE, Ordering::Relaxed);
    }

    /// Whether the array is too small for `count` cells.
    pub(crate) fn is_outgrown(&self, count: usize) -> bool {
        let current = self.current.load(Ordering::Relaxed);
        count > 1 << (current + FIRST - 2) && (current as usize + 1) < SIZES
    }

    /// Takes the next larger array, and links in it what is `linked` now. The caller has the lock.
    #[cold]
    pub(crate) fn grow<'a, T: 'a>(&self, linked: impl Iterator<Item = &'a Cell<T>>) {
        let current = self.current.load(Ordering::Relaxed);
        self.array(current + 1);
        self.current.store(current + 1, Ordering::Release);
        linked.for_each(|cell| self.link(cell, cell.hash.load(Ordering::Relaxed)));
    }

    #[inline]
    fn head(&self, hash: u64) -> Option<&AtomicU32> {
        let current = self.current.load(Ordering::Acquire);
        let array = self.arrays.get(current as usize)?.get()?;
        array.get((hash >> (64 - FIRST - current)) as usize)
    }

    fn array(&self, size: u32) {
        if let Some(array) = self.arrays.get(size as usize) {
            array.get_or_init(|| (0..1_usize << (size + FIRST)).map(|_| AtomicU32::new(NONE)).collect());
        }
    }
}
