//! Which process this is, without a system call.
//!
//! Asking takes as long as a tenth of a mapping. So the answer is kept, in a page that the system gives to a child of
//! a fork empty: whoever finds nothing there asks.

#[cfg(all(target_os = "linux", not(miri)))]
mod kept {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

    use memmap2::MmapMut;

    /// The place of the answer: null, or in a page that is never unmapped.
    static PLACE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

    pub(crate) fn process_id() -> u32 {
        #[expect(unsafe_code, reason = "reads a static that is mapped")]
        // SAFETY: null, or the start of a page that `place` has mapped and leaked, which nobody else uses.
        match unsafe { PLACE.load(Ordering::Acquire).as_ref() } {
            Some(place) => match place.load(Ordering::Relaxed) {
                0 => {
                    let process = std::process::id();
                    place.store(process, Ordering::Relaxed);
                    process
                }
                process => process,
            },
            None => {
                // Without a lock: a thread that a fork does not take along could have it.
                if let Some(place) = place()
                    && PLACE.compare_exchange(ptr::null_mut(), place, Ordering::AcqRel, Ordering::Relaxed).is_err()
                {
                    // Another thread was faster; the page is lost, once or twice in the life of a process.
                }
                std::process::id()
            }
        }
    }

    /// A page of zeros that every child gets as zeros; none where the system does not know such a thing.
    fn place() -> Option<*mut AtomicU32> {
        let mut page = MmapMut::map_anon(size_of::<AtomicU32>()).ok()?;
        let address = page.as_mut_ptr();
        #[expect(unsafe_code, reason = "rustix takes an address")]
        // SAFETY: it is the mapping that was just made, of one page, and nothing is in it yet.
        unsafe {
            let advice = rustix::mm::Advice::LinuxWipeOnFork;
            rustix::mm::madvise(address.cast(), rustix::param::page_size(), advice).ok()?;
        }
        std::mem::forget(page);
        Some(address.cast())
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn it_is_what_the_system_says() {
            for _ in 0..3 {
                assert_eq!(super::process_id(), std::process::id());
            }
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) use kept::process_id;

/// Which process this is.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn process_id() -> u32 {
    std::process::id()
}
