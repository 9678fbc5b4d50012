// The kernel's entry and exit, as short as they can be and still save what a C function may change.
#include "riscv.h"
#include "save.h"

    .text
    .balign 4
    .globl trap_entry
trap_entry:
    csrrw sp, sscratch, sp
    addi sp, sp, -FRAME
    SAVE_FOR_C
    csrr a2, scause
    csrr a3, sepc
    addi t0, a3, 4
    csrw sepc, t0
    call system_call // (argument, argument, cause, pc): the result is in a0
    RESTORE_FROM_C
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
