//! A value for each process.
//!
//! After a fork, the child has the memory of its parent, and none of its threads but one. A lock that another thread
//! had taken stays locked for ever, and what it protected may be half done. So whoever is about to take a lock asks
//! for the value of *this* process, and a child that asks first gets a fresh one; what needs no lock may still be
//! used in the values before.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::sync::process_id;

/// Where the value of the next child hangs on its parent's.
#[derive(Debug)]
pub(crate) struct Child<T> {
    process: u32,
    /// Null, or a box that stays until this is dropped.
    next: AtomicPtr<Arc<T>>,
}

impl<T> Child<T> {
    /// For a value of this process.
    pub(crate) fn none() -> Self {
        Self { process: process_id(), next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether the value is this process's own.
    pub(crate) fn is_here(&self) -> bool {
        self.process == process_id()
    }

    /// The value of the child, if it has one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Arc<T>> {
        #[expect(unsafe_code, reason = "reads what was published once")]
        // SAFETY: null, or a box that was leaked by `get_or_make` and is freed only by our drop, which has us alone.
        unsafe {
            self.next.load(Ordering::Acquire).as_ref()
        }
    }

    /// The value of the child; `fresh`, if it has none. Takes no lock, not even the standard library's.
    pub(crate) fn get_or_make(&self, fresh: impl FnOnce() -> T) -> &Arc<T> {
        if let Some(there) = self.get() {
            return there;
        }
        let ours = Box::into_raw(Box::new(Arc::new(fresh())));
        let published = self.next.compare_exchange(ptr::null_mut(), ours, Ordering::AcqRel, Ordering::Acquire);
        #[expect(unsafe_code, reason = "publishes a box")]
        // SAFETY: `ours` came from a box just now. If it was published it stays until our drop; if another thread was
        // faster nobody knows ours, and theirs stays until our drop.
        unsafe {
            match published {
                Ok(_) => &*ours,
                Err(theirs) => {
                    drop(Box::from_raw(ours));
                    &*theirs
                }
            }
        }
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        let next = *self.next.get_mut();
        if !next.is_null() {
            #[expect(unsafe_code, reason = "frees what was published")]
            // SAFETY: it came from a box, and nobody has a reference into us any more.
            drop(unsafe { Box::from_raw(next) });
        }
    }
}
