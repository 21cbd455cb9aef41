//! A place for a value that many threads may hold, and that one may take away while nobody does.
//!
//! This is the one protocol on which the memory safety of views and cursors stands. It has no lock, and it writes to
//! one word:
//!
//! ```text
//! bit 63..35   34          33     32     31..0
//!     uses     dismissed   busy   full   pins
//! ```
//!
//! * `full`: there is a value. It can be pinned.
//! * `busy`: somebody has the slot for himself, to put the value in or to take it out. Nobody pins.
//! * `pins`: how many hold the value. It is taken only at zero.
//! * `dismissed`: whoever lets go last is asked to see to it that the value is taken.
//!
//! A pin is one compare-and-swap, which counts a use at the same time; letting go is one subtraction.

use std::cell::UnsafeCell;
use std::fmt;

use super::sync::{AtomicU64, Ordering};

const PIN: u64 = 1;
const PINS: u64 = (1 << 32) - 1;
const FULL: u64 = 1 << 32;
const BUSY: u64 = 1 << 33;
const DISMISSED: u64 = 1 << 34;
const USE: u64 = 1 << 35;
const USES: u32 = 35;

/// A value that is pinned by those who look at it, and taken when nobody does.
#[repr(C)]
pub(crate) struct Slot<T> {
    state: AtomicU64,
    /// Written only by who has made the slot `busy`; read only by who has a pin. The two exclude each other.
    value: UnsafeCell<Option<T>>,
}

/// What letting go has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    /// Nobody else held it at that moment.
    pub(crate) last: bool,
    /// The value was dismissed.
    pub(crate) dismissed: bool,
}

/// A slot at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// There is a value.
    pub(crate) full: bool,
    /// How many hold it.
    pub(crate) pins: u32,
    /// How often it has been pinned since it was put in; counts round after half a thousand million.
    pub(crate) uses: u32,
    /// Whoever lets go last is to see to it that it goes.
    pub(crate) dismissed: bool,
}

impl Look {
    /// There is a value, and nobody holds it.
    pub(crate) fn is_free(self) -> bool {
        self.full && self.pins == 0
    }
}

/// A slot that somebody has for himself, with its value, which nobody can pin. Dropped, it is what it was before, or
/// empty if the value was taken.
pub(crate) struct Seized<'a, T>(&'a Slot<T>);

impl<T> Seized<'_, T> {
    /// The value.
    pub(crate) fn value(&self) -> Option<&T> {
        #[expect(unsafe_code, reason = "the slot is ours alone")]
        // SAFETY: nobody had a pin when it was seized, and it is busy since, so nobody gets one and nobody else gets
        // here, until this is filled or dropped; and who takes or fills it has no reference from here any more.
        unsafe {
            (*self.0.value.get()).as_ref()
        }
    }

    /// Takes the value out. The slot stays seized, to be filled again; dropped, it is empty.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<T> {
        #[expect(unsafe_code, reason = "the slot is ours alone")]
        // SAFETY: as above.
        unsafe {
            (*self.0.value.get()).take()
        }
    }

    /// Puts a value in, with one pin for the caller.
    #[inline]
    pub(crate) fn fill(self, value: T) {
        #[expect(unsafe_code, reason = "the slot is ours alone")]
        // SAFETY: as above.
        unsafe {
            *self.0.value.get() = Some(value);
        }
        self.0.state.store(FULL | USE | PIN, Ordering::Release);
        std::mem::forget(self);
    }
}

impl<T> Drop for Seized<'_, T> {
    fn drop(&mut self) {
        if self.value().is_some() {
            // Nobody pins what is busy, but it may be dismissed.
            self.0.state.fetch_xor(FULL | BUSY, Ordering::Release);
        } else {
            self.0.state.store(0, Ordering::Release);
        }
    }
}

#[expect(unsafe_code, reason = "the value is shared as `RwLock` shares it")]
// SAFETY: who has a pin has `&T`, on any thread, which `T: Sync` allows; `Seized::take` and `put` move the value
// between threads, which `T: Send` allows. The word excludes the one from the other.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { state: AtomicU64::new(0), value: UnsafeCell::new(None) }
    }

    /// Holds the value, if there is one: it stays until as many [`unpin`](Self::unpin)s.
    #[inline]
    pub(crate) fn pin(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & FULL == 0 {
                return false;
            }
            let next = pinned(state).wrapping_add(USE);
            // Acquire: what `put` has written is seen behind this.
            match self.state.compare_exchange_weak(state, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// Holds the value once more. The caller has a pin.
    pub(crate) fn repin(&self) {
        // Relaxed, as in `Arc::clone`: the pin that is there already orders everything.
        let before = self.state.fetch_add(PIN, Ordering::Relaxed);
        pinned(before);
    }

    /// Lets go. The caller has a pin, and has it no more.
    #[inline]
    pub(crate) fn unpin(&self) -> Released {
        // Release: what was read of the value was read before it is taken. Sequentially consistent, since the caller
        // goes on to look at a flag that an evictor sets before it looks at this word.
        let before = self.state.fetch_sub(PIN, Ordering::SeqCst);
        Released { last: before & PINS == PIN, dismissed: before & DISMISSED != 0 }
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The caller has a pin, and keeps it for as long as the reference is used; or it sees to it in another way that
    /// nobody calls [`put`](Self::put) or [`Seized::take`] meanwhile.
    #[expect(unsafe_code, reason = "the pin that makes it right is the caller's")]
    pub(crate) unsafe fn get(&self) -> Option<&T> {
        // SAFETY: a pinned value is neither taken nor written: `put` needs an empty slot, and `seize` one without pins.
        unsafe { (*self.value.get()).as_ref() }
    }

    /// Has the slot for the caller alone, to fill it, if it is empty.
    pub(crate) fn seize_empty(&self) -> Option<Seized<'_, T>> {
        // Acquire: whoever had it before has done with it.
        let seized = self.state.compare_exchange(0, BUSY, Ordering::Acquire, Ordering::Relaxed);
        seized.is_ok().then(|| Seized(self))
    }

    /// Puts a value in, with one pin for the caller; gives it back if the slot is not empty.
    #[cfg(test)]
    pub(crate) fn put(&self, value: T) -> Result<(), T> {
        match self.seize_empty() {
            Some(seized) => {
                seized.fill(value);
                Ok(())
            }
            None => Err(value),
        }
    }

    /// Has the slot for the caller alone, if there is a value and nobody holds it.
    pub(crate) fn seize(&self) -> Option<Seized<'_, T>> {
        let mut state = self.state.load(Ordering::SeqCst);
        loop {
            if state & FULL == 0 || state & PINS != 0 {
                return None;
            }
            // Acquire: whoever had a pin has done with the value.
            let seized = state ^ FULL | BUSY;
            match self.state.compare_exchange_weak(state, seized, Ordering::Acquire, Ordering::SeqCst) {
                Ok(_) => return Some(Seized(self)),
                Err(now) => state = now,
            }
        }
    }

    /// Takes the value out, if there is one and nobody holds it.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Option<T> {
        self.seize()?.take()
    }

    /// Asks whoever lets go last to see to it that the value is taken. True if nobody holds it now.
    pub(crate) fn dismiss(&self) -> bool {
        let before = self.state.fetch_or(DISMISSED, Ordering::SeqCst);
        if before & FULL == 0 {
            // There is nothing to dismiss. Only the holder of the pool's lock fills slots, and it is the caller; who
            // has a pin instead finds the slot full.
            self.state.fetch_and(!DISMISSED, Ordering::SeqCst);
        }
        before & PINS == 0
    }

    /// What is to be seen without holding it.
    pub(crate) fn look(&self) -> Look {
        let state = self.state.load(Ordering::SeqCst);
        Look {
            full: state & FULL != 0,
            pins: (state & PINS) as u32,
            uses: (state >> USES) as u32,
            dismissed: state & DISMISSED != 0,
        }
    }
}

/// The state with one more pin.
fn pinned(state: u64) -> u64 {
    if state & PINS == PINS {
        // Four thousand million holders that were never dropped. Counting on would free what is held; `Arc` ends the
        // process there, too.
        std::process::abort();
    }
    state.wrapping_add(PIN)
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look().fmt(f)
    }
}
