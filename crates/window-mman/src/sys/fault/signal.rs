//! The handler of SIGBUS: one for the process, installed when it is first needed, and never taken away.
//!
//! It runs wherever a fault happens, so it takes no lock, allocates nothing and calls nothing that does: it compares
//! the address of the instruction with two others, and either writes a third into the place where the instruction
//! pointer will be restored from, or calls the handler that was there before.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::routine;

/// What was there before; never freed, since a handler may be reading it at any time.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// Ours is in its place.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// A handler that was to be called once has been called, or one has taken itself away.
static SPENT: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The handler is installed, and the signal comes through to this thread.
    static READY: Cell<bool> = const { Cell::new(false) };
}

/// Installs the handler, if nobody has, and lets the signal through to this thread: the system ends the process if a
/// fault meets a thread that blocks it.
#[inline]
pub(super) fn install() {
    if !READY.get() {
        install_now();
    }
}

#[cold]
fn install_now() {
    if !INSTALLED.load(Ordering::Acquire) {
        put_before_what_is_there();
    }
    #[expect(unsafe_code, reason = "signals have no safe interface")]
    // SAFETY: all zeros are a valid `sigset_t`, which lives here.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
    }
    READY.set(true);
}

/// Takes no lock: a child of a fork could wait for ever for a thread that it does not have. Several threads may be here
/// at once: the handler of all is the same, and who replaces just that leaves what was before it as it is.
fn put_before_what_is_there() {
    #[expect(unsafe_code, reason = "signals have no safe interface")]
    // SAFETY: `sigaction` reads and writes what it is given, and all of that lives here or is leaked; all zeros are a
    // valid `sigaction`. What was there before is in its place before the handler can run, and the handler keeps to
    // what one may do.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before) != 0 {
            return;
        }
        if before.sa_sigaction != entry() {
            let seen = Box::into_raw(Box::new(before));
            if BEFORE.compare_exchange(ptr::null_mut(), seen, Ordering::AcqRel, Ordering::Acquire).is_err() {
                drop(Box::from_raw(seen));
            }
            // Somebody may have installed another one since the look: what counts is what this replaces.
            let replaced = put_in_place(&before);
            if replaced.sa_sigaction != entry() && replaced.sa_sigaction != before.sa_sigaction {
                BEFORE.store(Box::into_raw(Box::new(replaced)), Ordering::Release);
            }
        }
    }
    INSTALLED.store(true, Ordering::Release);
}

fn entry() -> libc::sighandler_t {
    let entry: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
    entry as libc::sighandler_t
}

/// Makes ours the handler, and returns the one that it replaces. It runs with the signals blocked that were blocked
/// before, and on the alternative stack, if a thread has one, as the handler of the standard library does; so the
/// handler before it does too, when it is called by ours, whether it had asked for that or not.
#[expect(unsafe_code, reason = "signals have no safe interface")]
fn put_in_place(before: &libc::sigaction) -> libc::sigaction {
    // SAFETY: all zeros are a valid `sigaction`; both are read and written by the call alone, which a handler may make.
    unsafe {
        let mut ours: libc::sigaction = std::mem::zeroed();
        let mut replaced: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = entry();
        ours.sa_mask = before.sa_mask;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | (before.sa_flags & (libc::SA_RESTART | libc::SA_NODEFER));
        libc::sigaction(libc::SIGBUS, &raw const ours, &raw mut replaced);
        replaced
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
        if (begin..landing).contains(&routine::instruction(interrupted)) && is_of_source(info, interrupted) {
            routine::go_on_at(interrupted, landing);
        } else {
            hand_on(signal, info, context);
        }
    }
}

/// Whether the kernel reports a fault, and not somebody who sent the signal, nor that memory was found to be bad which
/// nobody has asked for yet.
#[expect(unsafe_code, reason = "reads what the kernel has handed over")]
unsafe fn is_a_fault(info: *const libc::siginfo_t) -> bool {
    // SAFETY: the kernel's `siginfo_t` of this signal.
    let code = unsafe { (*info).si_code };
    code > 0 && code != libc::BUS_MCEERR_AO
}

/// Whether it is a fault of what a routine reads. One of what it writes to is the program's own.
#[expect(unsafe_code, reason = "reads what the kernel has handed over")]
unsafe fn is_of_source(info: *const libc::siginfo_t, interrupted: &libc::ucontext_t) -> bool {
    // SAFETY: the kernel's `siginfo_t` of this signal, which for a fault has an address.
    unsafe {
        // Bad memory is reported by its page.
        is_a_fault(info)
            && ((*info).si_code == libc::BUS_MCEERR_AR
                || routine::source(interrupted).contains(&(*info).si_addr().addr()))
    }
}

/// Does what would have been done without us.
#[expect(unsafe_code, reason = "calls a handler that is known by its address")]
unsafe fn hand_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: it was stored before the handler was installed, and is never freed.
    let Some(before) = (unsafe { BEFORE.load(Ordering::Acquire).as_ref() }) else { return };
    let once = before.sa_flags & libc::SA_RESETHAND != 0;
    let spent = if once { SPENT.swap(true, Ordering::Relaxed) } else { SPENT.load(Ordering::Relaxed) };
    let handler = if spent { libc::SIG_DFL } else { before.sa_sigaction };
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
    if !fault && ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler) {
        come_back(before);
    }
}

/// Puts ours in place again, if the handler that was called for a signal that was sent has made the disposition the
/// default, as that of the standard library does. From then on it is the default that is handed on to.
fn come_back(before: &libc::sigaction) {
    #[expect(unsafe_code, reason = "signals have no safe interface")]
    // SAFETY: all zeros are a valid `sigaction`, and a handler may make this call.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_DFL {
            SPENT.store(true, Ordering::Relaxed);
            put_in_place(before);
        }
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
