// The start of a machine without firmware: the stub sets up M-mode on hart 0, then enters the
// S-mode kernel as SBI firmware would, with the hart in a0 and the device tree in a1.
#include "riscv.h"

    .cfi_sections .debug_frame
    .section .text.start, "ax"
    .globl _start
_start:
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
    csrw mie, zero
    csrr t0, mhartid
    bnez t0, park // the guests that use the stub want one hart

    la sp, stub_stack_top
    mv s0, a0
    mv s1, a1
    call trap_init
    la a0, _start
    la a1, _kernel_start
    call stub_setup

    // "Return" to the kernel in S-mode, with paging and interrupts off.
    la t0, _kernel_start
    csrw mepc, t0
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPP_S
    csrs mstatus, t0
    csrw satp, zero
    mv a0, s0
    mv a1, s1
    mret

park:
    wfi
    j park
    .cfi_endproc

    .bss
    .balign 16
    .space 4096
stub_stack_top:
