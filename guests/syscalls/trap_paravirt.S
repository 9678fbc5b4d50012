// The same in a paravirtual machine. The shared page keeps what HC_RETURN is to restore: but for epc,
// that is as the trap has left it.
#include "hypercall.h"
#include "riscv.h"
#include "save.h"

    .text
    .balign 4
    .globl pv_trap_entry
pv_trap_entry:
    addi sp, sp, -FRAME
    SAVE_FOR_C
    la t1, pv_shared
    ld a2, HC_SHARED_CAUSE(t1)
    ld a3, HC_SHARED_EPC(t1)
    addi t0, a3, 4
    sd t0, HC_SHARED_EPC(t1)
    call system_call // (argument, argument, cause, pc): the result is in a0
    RESTORE_FROM_C
    li a6, HC_RETURN // which sets sp as well
    li a7, HC_EXTENSION
    ecall

// pv_enter_process(entry, stack of the kernel)
    .globl pv_enter_process
pv_enter_process:
    la t0, pv_shared
    sd a0, HC_SHARED_EPC(t0)
    sd a1, HC_SHARED_KERNEL_SP(t0)
    sd zero, HC_SHARED_STATUS(t0)
    li a0, 0
    li a1, 0
    li a6, HC_RETURN
    li a7, HC_EXTENSION
    ecall
