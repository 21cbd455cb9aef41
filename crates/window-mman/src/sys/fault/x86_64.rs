//! The routines for x86-64: moves of sixteen bytes, and of thirty-two from some length on, where the processor has
//! them.
//!
//! Not `rep movsb`, the shortest way to say it and as fast as any at its best: where the destination is 1 to 31 bytes
//! above the source, but for a multiple of 4,096, the processors measured (AMD EPYC) copy at half to a fourteenth of
//! that speed. Memory from an allocator is often 16 bytes above a page, and what is mapped begins with one.
//!
//! They touch no stack, so that the handler can go on at `landing`, which returns to the caller of whichever was
//! interrupted.
//!
//! The names carry the version up to which this crate is compatible, so that two versions can be in one program.

#![expect(unsafe_code, reason = "assembly")]

use std::arch::global_asm;
use std::ops::Range;

global_asm!(
    ".pushsection .text.window_mman_0_1_fault,\"ax\",@progbits",
    ".p2align 6",
    ".globl window_mman_0_1_begin",
    ".hidden window_mman_0_1_begin",
    ".globl window_mman_0_1_copy",
    ".hidden window_mman_0_1_copy",
    ".type window_mman_0_1_copy,@function",
    "window_mman_0_1_begin:",
    // rdi: to, rsi: from, rdx: length
    "window_mman_0_1_copy:",
    ".cfi_startproc",
    // r10 to r11: what is read, for the handler.
    "mov r10, rsi",
    "lea r11, [rsi + rdx]",
    "cmp rdx, 16",
    "jb 2f",
    "lea r8, [rdx - 16]",
    "movups xmm5, [rsi + r8]",
    "xor ecx, ecx",
    // 80 and more: sixty-four at a time while more than sixteen are left behind them.
    "sub rdx, 80",
    "jb 1f",
    "7:",
    "movups xmm0, [rsi + rcx]",
    "movups xmm1, [rsi + rcx + 16]",
    "movups xmm2, [rsi + rcx + 32]",
    "movups xmm3, [rsi + rcx + 48]",
    "movups [rdi + rcx], xmm0",
    "movups [rdi + rcx + 16], xmm1",
    "movups [rdi + rcx + 32], xmm2",
    "movups [rdi + rcx + 48], xmm3",
    "add rcx, 64",
    "cmp rcx, rdx",
    "jbe 7b",
    // Sixteen at a time, and the last sixteen, which may overlap those before.
    "1:",
    "movups xmm0, [rsi + rcx]",
    "movups [rdi + rcx], xmm0",
    "add rcx, 16",
    "cmp rcx, r8",
    "jb 1b",
    "movups [rdi + r8], xmm5",
    "xor eax, eax",
    "ret",
    "2:",
    "cmp edx, 8",
    "jb 3f",
    "mov rax, [rsi]",
    "mov rcx, [rsi + rdx - 8]",
    "mov [rdi], rax",
    "mov [rdi + rdx - 8], rcx",
    "xor eax, eax",
    "ret",
    "3:",
    "cmp edx, 4",
    "jb 4f",
    "mov eax, [rsi]",
    "mov ecx, [rsi + rdx - 4]",
    "mov [rdi], eax",
    "mov [rdi + rdx - 4], ecx",
    "xor eax, eax",
    "ret",
    "4:",
    "test edx, edx",
    "jz 5f",
    // 1 to 3: the first, the middle, the last.
    "mov r8, rdx",
    "shr r8, 1",
    "movzx eax, byte ptr [rsi]",
    "movzx ecx, byte ptr [rsi + r8]",
    "movzx r9d, byte ptr [rsi + rdx - 1]",
    "mov [rdi], al",
    "mov [rdi + r8], cl",
    "mov [rdi + rdx - 1], r9b",
    "xor eax, eax",
    "ret",
    "5:",
    "xor eax, eax",
    "ret",
    ".cfi_endproc",
    ".size window_mman_0_1_copy, . - window_mman_0_1_copy",
    // The same for 32 bytes and more, by moves of thirty-two to where thirty-two begin.
    ".p2align 6",
    ".globl window_mman_0_1_copy_by_32",
    ".hidden window_mman_0_1_copy_by_32",
    ".type window_mman_0_1_copy_by_32,@function",
    "window_mman_0_1_copy_by_32:",
    ".cfi_startproc",
    "mov r10, rsi",
    "lea r11, [rsi + rdx]",
    // The first thirty-two and the last, which may overlap the others. r8: where the last go.
    "vmovups ymm4, [rsi]",
    "vmovups ymm5, [rsi + rdx - 32]",
    "lea r8, [rdi + rdx - 32]",
    "vmovups [rdi], ymm4",
    // rcx: how many of them lie before the next thirty-two.
    "lea rcx, [rdi + 32]",
    "and rcx, -32",
    "sub rcx, rdi",
    "add rsi, rcx",
    "add rdi, rcx",
    // A hundred and twenty-eight at a time, while there are as many before the last thirty-two.
    "lea r9, [r8 - 128]",
    "cmp rdi, r9",
    "ja 2f",
    ".p2align 5",
    "1:",
    "vmovups ymm0, [rsi]",
    "vmovups ymm1, [rsi + 32]",
    "vmovups ymm2, [rsi + 64]",
    "vmovups ymm3, [rsi + 96]",
    "vmovaps [rdi], ymm0",
    "vmovaps [rdi + 32], ymm1",
    "vmovaps [rdi + 64], ymm2",
    "vmovaps [rdi + 96], ymm3",
    "sub rsi, -128",
    "sub rdi, -128",
    "cmp rdi, r9",
    "jbe 1b",
    "2:",
    "cmp rdi, r8",
    "jae 3f",
    "vmovups ymm0, [rsi]",
    "vmovaps [rdi], ymm0",
    "add rsi, 32",
    "add rdi, 32",
    "jmp 2b",
    "3:",
    "vmovups [r8], ymm5",
    // A fault leaves the upper halves as they are, which costs other code some time at most.
    "vzeroupper",
    "xor eax, eax",
    "ret",
    ".cfi_endproc",
    ".size window_mman_0_1_copy_by_32, . - window_mman_0_1_copy_by_32",
    // rdi: to, rsi: from. A load of an aligned word is one, and acquires.
    ".p2align 4",
    ".globl window_mman_0_1_load_u64",
    ".hidden window_mman_0_1_load_u64",
    ".type window_mman_0_1_load_u64,@function",
    "window_mman_0_1_load_u64:",
    ".cfi_startproc",
    "mov r10, rsi",
    "lea r11, [rsi + 8]",
    "mov rax, [rsi]",
    "mov [rdi], rax",
    "xor eax, eax",
    "ret",
    ".cfi_endproc",
    ".size window_mman_0_1_load_u64, . - window_mman_0_1_load_u64",
    ".p2align 4",
    ".globl window_mman_0_1_load_u32",
    ".hidden window_mman_0_1_load_u32",
    ".type window_mman_0_1_load_u32,@function",
    "window_mman_0_1_load_u32:",
    ".cfi_startproc",
    "mov r10, rsi",
    "lea r11, [rsi + 4]",
    "mov eax, [rsi]",
    "mov [rdi], eax",
    "xor eax, eax",
    "ret",
    ".cfi_endproc",
    ".size window_mman_0_1_load_u32, . - window_mman_0_1_load_u32",
    ".globl window_mman_0_1_landing",
    ".hidden window_mman_0_1_landing",
    "window_mman_0_1_landing:",
    ".cfi_startproc",
    "mov eax, 1",
    "ret",
    ".cfi_endproc",
    ".popsection",
);

unsafe extern "C" {
    /// Where the routines begin.
    pub(super) static window_mman_0_1_begin: u8;
    /// Where they end, and where to go on after a fault.
    pub(super) static window_mman_0_1_landing: u8;
    pub(super) fn window_mman_0_1_copy(to: *mut u8, from: *const u8, len: usize) -> u32;
    fn window_mman_0_1_copy_by_32(to: *mut u8, from: *const u8, len: usize) -> u32;
    pub(super) fn window_mman_0_1_load_u64(to: *mut u64, from: *const u8) -> u32;
    pub(super) fn window_mman_0_1_load_u32(to: *mut u32, from: *const u8) -> u32;
}

/// From which length on the wider moves pay for the look whether there are any.
const LONG: usize = 256;

/// Copies `len` bytes; 0, or 1 if `from` is not to be had.
///
/// # Safety
///
/// As for the function of this name one module up; and the handler is installed.
#[inline]
pub(super) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> u32 {
    if len >= LONG && is_x86_feature_detected!("avx") {
        // SAFETY: as the caller says; it is long enough, and the processor and the system have the registers.
        unsafe { window_mman_0_1_copy_by_32(to, from, len) }
    } else {
        // SAFETY: as the caller says.
        unsafe { window_mman_0_1_copy(to, from, len) }
    }
}

/// The address of the instruction at which a signal came.
pub(super) fn instruction(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
}

/// What the interrupted routine reads.
pub(super) fn source(context: &libc::ucontext_t) -> Range<usize> {
    let register = |number: libc::c_int| context.uc_mcontext.gregs[number as usize] as usize;
    register(libc::REG_R10)..register(libc::REG_R11)
}

/// Makes the interrupted code go on at `address`.
pub(super) fn go_on_at(context: &mut libc::ucontext_t, address: usize) {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = address as libc::greg_t;
}
