// Where an M-mode guest begins: every hart arrives here, with its number in a0 and the address of
// the device tree in a1. Hart 0 prepares memory and calls main(); the others wait until memory is
// ready and call secondary_main(hart, device_tree), which does nothing unless the guest defines it.
#include "riscv.h"

#define MAX_HARTS  8
#define STACK_BITS 14 // 16 KiB for each hart

    .cfi_sections .debug_frame
    .section .text.start, "ax"
    .globl _start
_start:
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
    csrw mie, zero
    la t0, unexpected_trap
    csrw mtvec, t0

    li t0, MAX_HARTS
    bgeu a0, t0, park

    // sp = stacks + (hart + 1) * stack size
    la sp, __stacks
    addi t0, a0, 1
    slli t0, t0, STACK_BITS
    add sp, sp, t0

#ifdef __riscv_flen
    // Compiled code may use the floating-point registers: turn the unit on.
    li t0, MSTATUS_FS_INITIAL
    csrs mstatus, t0
    fscsr zero
#endif

    bnez a0, secondary

    // The loader has filled .data; .bss is ours to clear. Both ends are 8-byte aligned.
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:
    // Now the other harts may come: the fence orders the cleared memory before the flag.
    la t0, memory_ready
    li t1, 1
    fence rw, w
    sw t1, 0(t0)

    call main
    // main's result is the exit code.
    tail finish

secondary:
    la t0, memory_ready
1:  lw t1, 0(t0)
    beqz t1, 1b
    fence r, rw
    call secondary_main

    .weak secondary_main
secondary_main:
park:
    wfi
    j park

// A guest that sets no trap vector of its own expects no trap. End with a code that says which.
    .balign 4
unexpected_trap:
    csrr a0, mcause
    addi a0, a0, 100
    tail finish
    .cfi_endproc

    .data
    .balign 4
memory_ready:
    .word 0
