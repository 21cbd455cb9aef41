//! Copies out of a mapping that end in an error, and not in a signal, where the memory is not to be had.
//!
//! Reading a mapped page that the file no longer has, or that the disk does not give, raises SIGBUS. The copies here
//! are short routines in assembly whose addresses a handler of that signal knows: a fault inside of them goes on at
//! their end, which returns "failed". A fault anywhere else is handed on to the handler that was there before, so
//! that nobody else notices.
//!
//! The routines are also what makes reading memory that others write to defined: the compiler does not see them read.
//!
//! Where there is no routine for the processor or the system, [`SUPPORTED`] is false and nothing is ever copied here.

#[cfg(all(target_os = "linux", target_arch = "aarch64", not(miri)))]
#[path = "aarch64.rs"]
mod routine;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "x86_64.rs"]
mod routine;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod signal;

/// Whether faults can be recovered from, on this processor and this system.
pub(crate) const SUPPORTED: bool =
    cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)));

/// The memory was not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod supported {
    use super::{Fault, routine, signal};

    /// Copies `len` bytes.
    ///
    /// # Safety
    ///
    /// `from` to `from + len` lies in a mapping that stays mapped until this returns, whatever its file does, and
    /// `to` to `to + len` is memory that may be written to and does not overlap it.
    #[expect(unsafe_code, reason = "takes pointers, and calls assembly")]
    #[inline]
    pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), Fault> {
        signal::install();
        // SAFETY: the caller vouches for both ranges; the routine touches no others, keeps to the calling convention,
        // and a fault in it ends at its end, since the handler is installed.
        status(unsafe { routine::copy(to, from, len) })
    }

    /// Loads a word as an atomic load does that acquires.
    ///
    /// # Safety
    ///
    /// `from` is aligned to eight bytes, which lie in a mapping that stays mapped until this returns.
    #[expect(unsafe_code, reason = "takes a pointer, and calls assembly")]
    #[inline]
    pub(crate) unsafe fn load_u64(from: *const u8) -> Result<u64, Fault> {
        signal::install();
        let mut word = 0;
        // SAFETY: as for `copy`; `word` is the place for the result.
        status(unsafe { routine::window_mman_0_1_load_u64(&raw mut word, from) })?;
        Ok(word)
    }

    /// Loads half a word as an atomic load does that acquires.
    ///
    /// # Safety
    ///
    /// `from` is aligned to four bytes, which lie in a mapping that stays mapped until this returns.
    #[expect(unsafe_code, reason = "takes a pointer, and calls assembly")]
    #[inline]
    pub(crate) unsafe fn load_u32(from: *const u8) -> Result<u32, Fault> {
        signal::install();
        let mut word = 0;
        // SAFETY: as for `copy`; `word` is the place for the result.
        status(unsafe { routine::window_mman_0_1_load_u32(&raw mut word, from) })?;
        Ok(word)
    }

    #[inline]
    fn status(status: u32) -> Result<(), Fault> {
        if status == 0 { Ok(()) } else { Err(Fault) }
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
pub(crate) use supported::{copy, load_u32, load_u64};

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
mod unsupported {
    use super::Fault;

    /// Nothing is copied here.
    ///
    /// # Safety
    ///
    /// Any pointer will do: none is read or written through.
    #[expect(unsafe_code, reason = "has the signature of the function that copies")]
    pub(crate) unsafe fn copy(_to: *mut u8, _from: *const u8, _len: usize) -> Result<(), Fault> {
        Err(Fault)
    }

    /// Nothing is loaded here.
    ///
    /// # Safety
    ///
    /// Any pointer will do: none is read or written through.
    #[expect(unsafe_code, reason = "has the signature of the function that loads")]
    pub(crate) unsafe fn load_u64(_from: *const u8) -> Result<u64, Fault> {
        Err(Fault)
    }

    /// Nothing is loaded here.
    ///
    /// # Safety
    ///
    /// Any pointer will do: none is read or written through.
    #[expect(unsafe_code, reason = "has the signature of the function that loads")]
    pub(crate) unsafe fn load_u32(_from: *const u8) -> Result<u32, Fault> {
        Err(Fault)
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
pub(crate) use unsupported::{copy, load_u32, load_u64};

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests;
