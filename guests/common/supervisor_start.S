// Where an S-mode guest begins, in S-mode with paging off: the hart in a0, the device tree in a1.
#include "hypercall.h"

#ifdef PARAVIRT
    HC_NOTE
#endif
    .cfi_sections .debug_frame
    .section .text.start, "ax"
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
#ifdef PARAVIRT
    HC_PROBE s2, s0, s1 // before any privileged instruction
    bnez s2, clear
#endif
    csrw sie, zero
    la t0, unexpected_trap
    csrw stvec, t0
clear:
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:
    la sp, kernel_stack_top
#ifdef PARAVIRT
    la t0, paravirtual
    sb s2, 0(t0)
    beqz s2, 1f
    la t0, pv_shared
    la t1, pv_unexpected_trap
    sd t1, HC_SHARED_ENTRY(t0)
    call pv_start
    mv a0, s0
    mv a1, s1
1:
#endif
    call main
    tail finish

// A guest that sets no trap vector of its own expects no trap.
    .balign 4
unexpected_trap:
    csrr a0, scause
    addi a0, a0, 100
    tail finish
#ifdef PARAVIRT
pv_unexpected_trap:
    la a0, pv_shared
    ld a0, HC_SHARED_CAUSE(a0)
    addi a0, a0, 100
    tail finish
#endif
    .cfi_endproc

    .bss
    .balign 16
    .space 16384
    .globl kernel_stack_top
kernel_stack_top:
