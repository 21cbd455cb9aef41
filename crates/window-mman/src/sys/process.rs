//! Which process this is, without a system call, and without mistaking a child for an ancestor whose number it got.
//!
//! Asking takes as long as a tenth of a mapping, and the number of a process is not its own for ever: the first one of
//! every container is 1, and numbers are given again. So it is a number of our own, in a page that the system gives to
//! a child of a fork empty: whoever finds nothing there takes one that is higher than all of its ancestors'.

#[cfg(all(target_os = "linux", not(miri)))]
mod kept {
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

    use memmap2::MmapMut;

    /// The place of the answer: null, or in a page that is never unmapped.
    static PLACE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

    /// The system does not know such pages, so that there is nothing better than its own number.
    static UNKNOWN: AtomicBool = AtomicBool::new(false);

    /// The highest number that this process or one of its ancestors has. A child inherits it.
    static HIGHEST: AtomicU32 = AtomicU32::new(0);

    /// A number that this process has, and none of those whose memory it has inherited.
    #[inline]
    pub(crate) fn process_id() -> u32 {
        #[expect(unsafe_code, reason = "reads a static that is mapped")]
        // SAFETY: null, or the start of a page that `place` has mapped and leaked, which nobody else uses.
        match unsafe { PLACE.load(Ordering::Acquire).as_ref() } {
            Some(place) => match place.load(Ordering::Relaxed) {
                0 => take(place),
                process => process,
            },
            None => first(),
        }
    }

    /// Takes a number. It is counted before it is stored: a child that is forked in between takes a higher one.
    #[cold]
    fn take(place: &AtomicU32) -> u32 {
        let number = HIGHEST.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        match place.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => number,
            Err(faster) => faster,
        }
    }

    #[cold]
    fn first() -> u32 {
        if UNKNOWN.load(Ordering::Acquire) {
            return std::process::id();
        }
        let Some(place) = place() else {
            UNKNOWN.store(true, Ordering::Release);
            return std::process::id();
        };
        // Without a lock: a thread that a fork does not take along could have it. If another thread was faster the page
        // is lost, once or twice in the life of a process.
        let _ = PLACE.compare_exchange(ptr::null_mut(), place, Ordering::AcqRel, Ordering::Acquire);
        process_id()
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
        #![expect(unsafe_code, reason = "forks")]

        use super::process_id;

        #[test]
        fn all_threads_of_a_process_have_one_number() {
            let here = process_id();
            std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| assert_eq!(process_id(), here)))));
        }

        /// What `child` returns, run in a child of a fork, whose own children are the first of a new name space if they
        /// can be.
        fn in_child(child: impl FnOnce() -> i32) -> i32 {
            let mut status = 0;
            // SAFETY: the child does what the callers say, which takes no lock, and leaves by `_exit`.
            unsafe {
                match libc::fork() {
                    0 => {
                        libc::unshare(libc::CLONE_NEWPID);
                        libc::_exit(child())
                    }
                    process => libc::waitpid(process, &raw mut status, 0),
                };
            }
            libc::WEXITSTATUS(status)
        }

        /// As root the last two of these both are process 1, each in a name space of its own.
        #[test]
        fn a_child_is_not_its_ancestor_though_it_has_its_number() {
            let here = process_id();
            let different = in_child(|| {
                let child = process_id();
                in_child(|| {
                    let grandchild = process_id();
                    let other = in_child(|| i32::from(![here, child, grandchild].contains(&process_id())));
                    i32::from(other == 1 && ![here, child].contains(&grandchild))
                })
            });
            assert_eq!(different, 1);
            assert_eq!(process_id(), here);
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
