// The kernel's entry and exit, as short as they can be and still save what a C function may change;
// and the process, in a page of its own.
#include "riscv.h"

#define FRAME (18 * 8)

    .text
    .balign 4
    .globl trap_entry
trap_entry:
    csrrw sp, sscratch, sp
    addi sp, sp, -FRAME
    sd ra, 0(sp)
    sd t0, 8(sp)
    sd t1, 16(sp)
    sd t2, 24(sp)
    sd t3, 32(sp)
    sd t4, 40(sp)
    sd t5, 48(sp)
    sd t6, 56(sp)
    sd a2, 64(sp)
    sd a3, 72(sp)
    sd a4, 80(sp)
    sd a5, 88(sp)
    sd a6, 96(sp)
    sd a7, 104(sp)
    csrr a2, scause
    csrr a3, sepc
    addi t0, a3, 4
    csrw sepc, t0
    call system_call // (argument, argument, cause, pc): the result is in a0
    ld ra, 0(sp)
    ld t0, 8(sp)
    ld t1, 16(sp)
    ld t2, 24(sp)
    ld t3, 32(sp)
    ld t4, 40(sp)
    ld t5, 48(sp)
    ld t6, 56(sp)
    ld a2, 64(sp)
    ld a3, 72(sp)
    ld a4, 80(sp)
    ld a5, 88(sp)
    ld a6, 96(sp)
    ld a7, 104(sp)
    addi sp, sp, FRAME
    csrrw sp, sscratch, sp
    sret

// enter_process(entry, stack of the kernel)
    .globl enter_process
enter_process:
    csrw sepc, a0
    csrw sscratch, a1
    li t0, MSTATUS_SPP
    csrc sstatus, t0
    li a0, 0
    li a1, 0
    sret

    .balign 4096
    .globl process
process:
    // a0: what the last call returned; a1: that it was to be. Adds up calls, then ends.
    li s0, 10000
1:  mv a1, s0
    ecall
    addi s0, s0, -1
    bne a0, s0, 2f
    bnez s0, 1b
    li a0, 0
    j 3f
2:  li a0, 1
3:  li a1, -1
    ecall
    .balign 4096
