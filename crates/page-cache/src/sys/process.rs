//! Which process this is, without a system call, and without mistaking a child for an ancestor whose number it got.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// A word that the system gives to every child of a fork as 0; null until somebody asks.
static PLACE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
/// Whether the system does not know such words.
static UNKNOWN: AtomicBool = AtomicBool::new(false);
/// No process among the ancestors of this one, nor itself, has a higher number.
static HIGHEST: AtomicU32 = AtomicU32::new(0);

/// A number that this process has, and none of those whose memory it has inherited.
pub(crate) fn process() -> u32 {
    // SAFETY: null, or a word in a page that `map_place` has mapped and nobody ever unmaps.
    #[expect(unsafe_code)]
    let Some(place) = (unsafe { PLACE.load(Ordering::Acquire).as_ref() }) else { return first_process() };
    match place.load(Ordering::Acquire) {
        0 => number(place),
        process => process,
    }
}

/// Gives this process its number. Raised before it is stored: a child that is forked in between has a higher one.
fn number(place: &AtomicU32) -> u32 {
    let candidate = HIGHEST.fetch_add(1, Ordering::AcqRel) + 1;
    match place.compare_exchange(0, candidate, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => candidate,
        Err(faster) => faster,
    }
}

#[cold]
fn first_process() -> u32 {
    if UNKNOWN.load(Ordering::Acquire) {
        return std::process::id();
    }
    match map_place() {
        // Without a lock, which a fork could take along locked. Should another thread be faster, a page is lost, once.
        Some(place) => {
            _ = PLACE.compare_exchange(ptr::null_mut(), place, Ordering::AcqRel, Ordering::Acquire);
            process()
        }
        None => {
            UNKNOWN.store(true, Ordering::Release);
            std::process::id()
        }
    }
}

fn map_place() -> Option<*mut AtomicU32> {
    let len = rustix::param::page_size();
    // SAFETY: a new mapping where the system finds room replaces nothing, and the advice is for all of it.
    #[expect(unsafe_code)]
    unsafe {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let start = rustix::mm::mmap_anonymous(ptr::null_mut(), len, protection, MapFlags::PRIVATE).ok()?;
        rustix::mm::madvise(start, len, Advice::LinuxWipeOnFork).ok()?;
        Some(start.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_have_one_number_and_a_child_another() {
        let here = process();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(process(), here));
            }
        });
        // SAFETY: the child only looks at its number, and ends.
        #[expect(unsafe_code)]
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let other = i32::from(process() != here && process() == process());
            // SAFETY: as above.
            #[expect(unsafe_code)]
            unsafe {
                libc::_exit(other)
            };
        }
        let mut status = 0;
        // SAFETY: the status is written to a variable that outlives the call.
        #[expect(unsafe_code)]
        unsafe {
            libc::waitpid(pid, &raw mut status, 0)
        };
        assert_eq!(libc::WEXITSTATUS(status), 1);
        assert_eq!(process(), here);
    }
}
