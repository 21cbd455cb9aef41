//! What was let go of and nobody has looked at since: the cells among which a victim is to be sought.
//!
//! An eviction must not look at what is held, or its cost grows with it. So whoever lets go of a cell last lists it,
//! once: a cell that is listed stays so until somebody with the lock of the pool has looked at it, however often it is
//! used meanwhile, and so a use of what nobody evicts costs no more than the look at a flag.
//!
//! ```text
//!           let go of last                    takes all                      looks at it
//! not listed ------------> listed, in the stack --------> listed, in the order ----------> not listed
//!                                                            ^            | was used since
//!                                                            +------------+
//! ```
//!
//! A victim whose cell is filled again at once stays listed through that: as the cell that was filled last, which the
//! books remember, and which the next who misses looks at. So whoever goes from one miss to the next, letting go of
//! each thing before he asks for the next one, adds nothing to the stack. If it is still held then, it is listed no
//! more, as above.
//!
//! Who looks at a cell first takes down that it is not listed, and then looks whether it is held; who lets go first
//! lets go, and then looks whether it is listed. One of the two sees the other, so nothing free is in no list. (What is
//! seized nobody lets go of, so it may be taken down behind that.) Only who has the lock takes down that a cell is not
//! listed, and only who has changed that by an exchange adds it, so nothing is in two lists. The stack is added to by
//! anybody and emptied as a whole (Treiber, 1986, without the pop that makes it difficult).

use super::super::sync::{AtomicU32, Ordering};
use super::NONE;
use super::cells::{Cell, Cells};

/// A stack of cells that are linked through themselves.
#[derive(Debug)]
pub(crate) struct Released {
    first: AtomicU32,
}

impl Released {
    pub(crate) fn new() -> Self {
        Self { first: AtomicU32::new(NONE) }
    }

    /// Lists a cell that the caller has just let go of, or found free, unless it is listed.
    #[inline]
    pub(crate) fn list<T>(&self, cell: &Cell<T>) {
        if !cell.listed.load(Ordering::SeqCst) {
            self.push(cell);
        }
    }

    #[cold]
    fn push<T>(&self, cell: &Cell<T>) {
        if cell.listed.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            cell.below.store(first, Ordering::Relaxed);
            // Release: who takes the stack sees the link. Sequentially consistent, since the caller goes on to look at
            // a flag that an evictor sets before it takes the stack.
            match self.first.compare_exchange_weak(first, cell.number, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Whether there is nothing to take. As good as an exchange that finds nothing: sequentially consistent, since an
    /// evictor has set its flag before it looks here. Who adds a cell behind this look, in the one order of all that is
    /// sequentially consistent, looks at the flag behind that, and sees it set.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.load(Ordering::SeqCst) == NONE
    }

    /// Empties the stack: what was let go of first comes first. The cells stay listed until the caller has looked at
    /// them; it has the lock.
    pub(crate) fn take_all<'a, T>(&self, cells: &'a Cells<T>) -> impl Iterator<Item = &'a Cell<T>> {
        let mut next = self.first.swap(NONE, Ordering::SeqCst);
        // The last came first, so the links are turned round: what is listed is linked by nobody else.
        let mut above: Option<&Cell<T>> = None;
        while let Some(cell) = cells.get(next) {
            next = cell.below.load(Ordering::Relaxed);
            cell.below.store(above.map_or(NONE, |above| above.number), Ordering::Relaxed);
            above = Some(cell);
        }
        std::iter::successors(above, |cell| cells.get(cell.below.load(Ordering::Relaxed)))
    }
}
