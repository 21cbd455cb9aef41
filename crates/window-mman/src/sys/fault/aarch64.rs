//! The routines for aarch64: sixteen bytes at a time, sixty-four where there are many.
//!
//! Not yet run on such a processor by this project. The routines were assembled, and run under emulation by a small
//! program in C, faults among it; what is Rust around them has not been, nor the registers that tell the handler what
//! is read.
//!
//! They touch no stack, so that the handler can go on at `landing`, which returns to the caller of whichever was
//! interrupted.
//!
//! The names carry the version up to which this crate is compatible, so that two versions can be in one program.

#![expect(unsafe_code, reason = "assembly")]

use std::arch::global_asm;
use std::ops::Range;

global_asm!(include_str!("aarch64.s"));

unsafe extern "C" {
    /// Where the routines begin.
    pub(super) static window_mman_0_1_begin: u8;
    /// Where they end, and where to go on after a fault.
    pub(super) static window_mman_0_1_landing: u8;
    pub(super) fn window_mman_0_1_copy(to: *mut u8, from: *const u8, len: usize) -> u32;
    pub(super) fn window_mman_0_1_load_u64(to: *mut u64, from: *const u8) -> u32;
    pub(super) fn window_mman_0_1_load_u32(to: *mut u32, from: *const u8) -> u32;
}

pub(super) use window_mman_0_1_copy as copy;

/// The address of the instruction at which a signal came.
pub(super) fn instruction(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.pc as usize
}

/// What the interrupted routine reads.
pub(super) fn source(context: &libc::ucontext_t) -> Range<usize> {
    let register = |number: usize| context.uc_mcontext.regs[number] as usize;
    register(9)..register(10)
}

/// Makes the interrupted code go on at `address`.
pub(super) fn go_on_at(context: &mut libc::ucontext_t, address: usize) {
    context.uc_mcontext.pc = address as u64;
}
