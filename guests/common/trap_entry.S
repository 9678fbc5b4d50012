// An M-mode trap vector for guests that handle traps in C: saves every integer register in a
// struct trap_frame, calls trap_handler(frame), and returns to wherever the frame then says.
//
// mscratch holds the top of a stack that only traps use, so this works from any mode and with any
// sp; a trap inside the handler would overwrite the frame, so the handler must not cause one.
#include "trap_frame.h"

    .text
    .balign 4
    .globl trap_entry
trap_entry:
    .cfi_startproc
    TRAP_HANDLER_CFI DWARF_MEPC
    csrrw sp, mscratch, sp
    .cfi_def_cfa DWARF_MSCRATCH, 0
    addi sp, sp, -TRAP_FRAME_SIZE
    SAVE_REGISTERS
    csrr t0, mscratch
    sd t0, 2 * 8(sp)
    csrr t0, mepc
    sd t0, TRAP_FRAME_EPC(sp)
    csrr t0, mstatus
    sd t0, TRAP_FRAME_STATUS(sp)
    csrr t0, mcause
    sd t0, TRAP_FRAME_CAUSE(sp)
    csrr t0, mtval
    sd t0, TRAP_FRAME_TVAL(sp)

    .cfi_endproc
1:
    mv a0, sp
    call trap_handler

    ld t0, TRAP_FRAME_EPC(sp)
    csrw mepc, t0
    ld t0, TRAP_FRAME_STATUS(sp)
    csrw mstatus, t0
    addi t0, sp, TRAP_FRAME_SIZE
    csrw mscratch, t0
    TRAP_FRAME_CFI 1b, 2, DWARF_MEPC
    RESTORE_REGISTERS
    ld sp, 2 * 8(sp)
    mret

// trap_init(): sends every M-mode trap to trap_entry.
    .globl trap_init
trap_init:
    la t0, trap_stack_top
    csrw mscratch, t0
    la t0, trap_entry
    csrw mtvec, t0
    ret

    .bss
    .balign 16
    .space 4096
trap_stack_top:
