// Into a paravirtual kernel and out of it: what kernel_entry.S does, with the shared page in place of
// CSRs. While a process runs, kernel_sp holds the address of its trap frame.
#include "hypercall.h"
#include "trap_frame.h"

.macro COPY_FROM_SHARED word, slot // t0: the shared page
    ld t1, \word(t0)
    sd t1, \slot(sp)
.endm

.macro COPY_TO_SHARED word, slot
    ld t1, \slot(sp)
    sd t1, \word(t0)
.endm

    .text
    .balign 4
user_trap_entry:
    .cfi_startproc
    TRAP_HANDLER_CFI DWARF_SEPC
    SAVE_REGISTERS
    la t0, pv_shared
    COPY_FROM_SHARED HC_SHARED_SP, 2 * 8
    COPY_FROM_SHARED HC_SHARED_EPC, TRAP_FRAME_EPC
    COPY_FROM_SHARED HC_SHARED_STATUS, TRAP_FRAME_STATUS
    COPY_FROM_SHARED HC_SHARED_CAUSE, TRAP_FRAME_CAUSE
    COPY_FROM_SHARED HC_SHARED_TVAL, TRAP_FRAME_TVAL
    la t1, pv_kernel_trap_entry
    sd t1, HC_SHARED_ENTRY(t0)
    mv s0, sp // saved by user_trap, for debuggers
    .cfi_endproc
1:
    mv a0, sp
    la sp, kernel_stack_top
    call user_trap // returns the frame of the process to run next
    nop // where it returns to is in the trap's frame as well
    TRAP_FRAME_CFI 1b, 8, DWARF_SEPC

// pv_enter_user(frame): the first process starts as if it returned from a trap.
    .globl pv_enter_user
pv_enter_user:
    mv sp, a0
    la t0, pv_shared
    sd sp, HC_SHARED_KERNEL_SP(t0)
    la t1, user_trap_entry
    sd t1, HC_SHARED_ENTRY(t0)
    COPY_TO_SHARED HC_SHARED_EPC, TRAP_FRAME_EPC
    COPY_TO_SHARED HC_SHARED_STATUS, TRAP_FRAME_STATUS
    COPY_TO_SHARED HC_SHARED_SP, 2 * 8
    COPY_TO_SHARED HC_SHARED_A6, 16 * 8
    COPY_TO_SHARED HC_SHARED_A7, 17 * 8
    RESTORE_REGISTERS
    li a6, HC_RETURN
    li a7, HC_EXTENSION
    ecall

// The kernel itself must not trap.
    .balign 4
    .globl pv_kernel_trap_entry
pv_kernel_trap_entry:
    la sp, kernel_stack_top
    call kernel_trap
