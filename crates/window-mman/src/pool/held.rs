//! What was found or made, for as long as somebody looks at it.

use super::cells::Cell;
use super::{Entry, Key, Pool};

/// Something in a pool that is held for as long as this lives: its drop is the moment of its last use.
pub(crate) struct Held<'a, K: Key, T> {
    pub(super) pool: &'a Pool<K, T>,
    pub(super) cell: &'a Cell<Entry<K, T>>,
}

impl<K: Key, T> Held<'_, K, T> {
    /// `None` never happens: what is pinned is there.
    #[inline]
    pub(crate) fn entry(&self) -> Option<&Entry<K, T>> {
        #[expect(unsafe_code, reason = "reads what is pinned")]
        // SAFETY: the cell was pinned for us, and our drop lets go of it.
        unsafe {
            self.cell.slot.get()
        }
    }

    /// The number of its cell, by which it [may be found](Pool::find_at) again.
    pub(crate) fn number(&self) -> u32 {
        self.cell.number
    }

    /// The number of its cell. The pin goes over to the caller, who lets go of it by [`Pool::release`].
    #[inline]
    pub(crate) fn into_number(self) -> u32 {
        let number = self.cell.number;
        std::mem::forget(self);
        number
    }
}

impl<K: Key, T> Drop for Held<'_, K, T> {
    #[inline]
    fn drop(&mut self) {
        self.pool.release_cell(self.cell);
    }
}
