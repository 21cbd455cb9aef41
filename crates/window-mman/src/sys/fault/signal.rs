//! The handler of SIGBUS: one for the process, installed when it is first needed, and never taken away.
//!
//! It runs wherever a fault happens, so it takes no lock, allocates nothing and calls nothing that does: it compares
//! the address of the instruction with two others, and either writes a third into the place where the instruction
//! pointer will be restored from, or calls the handler that was there before.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::routine;

static INSTALLED: Once = Once::new();

/// What was there before; never freed, since a handler may be reading it at any time.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// A handler that was to be called once has been called.
static SPENT: AtomicBool = AtomicBool::new(false);

/// Installs the handler, if this is the first call.
#[inline]
pub(super) fn install() {
    INSTALLED.call_once(install_now);
}

#[cold]
fn install_now() {
    #[expect(unsafe_code, reason = "signals have no safe interface")]
    // SAFETY: `sigaction` reads and writes what it is given, and all of that lives here or is leaked; all zeros are a
    // valid `sigaction`. What was there before is in its place before the handler can run, and the handler keeps to
    // what one may do. It runs on the alternative stack, if a thread has one, as the handler of the standard library
    // does, and with the signals blocked that were blocked before.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before) != 0 {
            return;
        }
        BEFORE.store(Box::into_raw(Box::new(before)), Ordering::Release);
        let mut ours: libc::sigaction = std::mem::zeroed();
        let entry: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
        ours.sa_sigaction = entry as libc::sighandler_t;
        ours.sa_mask = before.sa_mask;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | (before.sa_flags & (libc::SA_RESTART | libc::SA_NODEFER));
        libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut());
    }
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    #[expect(unsafe_code, reason = "a handler is given pointers")]
    // SAFETY: the kernel hands the handler of a signal its `siginfo_t` and its `ucontext_t`, which are the handler's
    // until it returns. The two statics are addresses only.
    unsafe {
        let interrupted = &mut *context.cast::<libc::ucontext_t>();
        let begin = (&raw const routine::window_mman_0_1_begin).addr();
        let landing = (&raw const routine::window_mman_0_1_landing).addr();
        if (begin..landing).contains(&routine::instruction(interrupted)) && is_a_fault(info) {
            routine::go_on_at(interrupted, landing);
        } else {
            hand_on(signal, info, context);
        }
    }
}

/// Whether the kernel reports a fault, and not somebody who sent the signal.
#[expect(unsafe_code, reason = "reads what the kernel has handed over")]
unsafe fn is_a_fault(info: *const libc::siginfo_t) -> bool {
    // SAFETY: the kernel's `siginfo_t` of this signal.
    unsafe { (*info).si_code > 0 }
}

/// Does what would have been done without us.
#[expect(unsafe_code, reason = "calls a handler that is known by its address")]
unsafe fn hand_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: it was stored before the handler was installed, and is never freed.
    let Some(before) = (unsafe { BEFORE.load(Ordering::Acquire).as_ref() }) else { return };
    let once = before.sa_flags & libc::SA_RESETHAND != 0;
    let handler = if once && SPENT.swap(true, Ordering::Relaxed) { libc::SIG_DFL } else { before.sa_sigaction };
    // SAFETY: it is ours until we return, as above.
    let fault = unsafe { is_a_fault(info) };
    match handler {
        // The system does not let anybody ignore a fault of his own.
        libc::SIG_IGN if !fault => {}
        libc::SIG_DFL | libc::SIG_IGN => die(signal, fault),
        // SAFETY: it was installed as a handler that takes these three.
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => unsafe {
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(handler);
            handler(signal, info, context);
        },
        // SAFETY: it was installed as a handler that takes the number alone.
        handler => unsafe {
            let handler: extern "C" fn(libc::c_int) = std::mem::transmute(handler);
            handler(signal);
        },
    }
}

/// Ends the process as the signal does when nobody handles it: with its status, at its place, and with a core.
fn die(signal: libc::c_int, fault: bool) {
    #[expect(unsafe_code, reason = "signals have no safe interface")]
    // SAFETY: both calls may be made in a handler. After the return the instruction faults again, with nobody to
    // handle it; a signal that was sent is sent again, and comes once this one has returned.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if !fault {
            libc::raise(signal);
        }
    }
}
