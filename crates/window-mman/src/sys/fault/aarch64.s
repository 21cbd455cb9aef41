    .pushsection .text.window_mman_0_1_fault,"ax",@progbits
    .p2align 6
    .globl window_mman_0_1_begin
    .hidden window_mman_0_1_begin
    .globl window_mman_0_1_copy
    .hidden window_mman_0_1_copy
    .type window_mman_0_1_copy,@function
window_mman_0_1_begin:
    // x0: to, x1: from, x2: length
window_mman_0_1_copy:
    .cfi_startproc
    // x9 to x10: what is read, for the handler.
    mov x9, x1
    add x10, x1, x2
    cmp x2, #16
    b.lo 3f
    sub x3, x2, #16
    ldr q4, [x1, x3]
    mov x4, #0
    // Sixty-four at a time while more than sixteen are left behind them.
    subs x5, x2, #80
    b.lo 2f
1:
    add x6, x1, x4
    add x7, x0, x4
    ldp q0, q1, [x6]
    ldp q2, q3, [x6, #32]
    stp q0, q1, [x7]
    stp q2, q3, [x7, #32]
    add x4, x4, #64
    cmp x4, x5
    b.ls 1b
2:
    // Sixteen at a time, and the last sixteen, which may overlap those before.
    cmp x4, x3
    b.hs 6f
    ldr q0, [x1, x4]
    str q0, [x0, x4]
    add x4, x4, #16
    b 2b
6:
    str q4, [x0, x3]
    mov w0, #0
    ret
3:
    cmp x2, #8
    b.lo 4f
    sub x3, x2, #8
    ldr x4, [x1]
    ldr x5, [x1, x3]
    str x4, [x0]
    str x5, [x0, x3]
    mov w0, #0
    ret
4:
    // 0 to 7, one at a time.
    cbz x2, 5f
    sub x2, x2, #1
    ldrb w3, [x1, x2]
    strb w3, [x0, x2]
    b 4b
5:
    mov w0, #0
    ret
    .cfi_endproc
    .size window_mman_0_1_copy, . - window_mman_0_1_copy
    // x0: to, x1: from
    .globl window_mman_0_1_load_u64
    .hidden window_mman_0_1_load_u64
    .type window_mman_0_1_load_u64,@function
window_mman_0_1_load_u64:
    .cfi_startproc
    mov x9, x1
    add x10, x1, #8
    ldar x2, [x1]
    str x2, [x0]
    mov w0, #0
    ret
    .cfi_endproc
    .size window_mman_0_1_load_u64, . - window_mman_0_1_load_u64
    .globl window_mman_0_1_load_u32
    .hidden window_mman_0_1_load_u32
    .type window_mman_0_1_load_u32,@function
window_mman_0_1_load_u32:
    .cfi_startproc
    mov x9, x1
    add x10, x1, #4
    ldar w2, [x1]
    str w2, [x0]
    mov w0, #0
    ret
    .cfi_endproc
    .size window_mman_0_1_load_u32, . - window_mman_0_1_load_u32
    .globl window_mman_0_1_landing
    .hidden window_mman_0_1_landing
window_mman_0_1_landing:
    .cfi_startproc
    mov w0, #1
    ret
    .cfi_endproc
    .popsection
