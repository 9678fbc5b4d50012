// Into a kernel with processes, and out of it (hart.h).
//
// While a process runs, sscratch holds the address of its trap frame. The kernel has one stack, empty
// whenever a process runs: nothing blocks inside the kernel, so a process that waits needs no stack
// of its own there.
#include "riscv.h"
#include "trap_frame.h"

    .text
    .balign 4
user_trap_entry:
    .cfi_startproc
    TRAP_HANDLER_CFI DWARF_SEPC
    csrrw sp, sscratch, sp
    .cfi_def_cfa DWARF_SSCRATCH, 0
    SAVE_REGISTERS
    csrr t0, sscratch
    sd t0, 2 * 8(sp)
    csrr t0, sepc
    sd t0, TRAP_FRAME_EPC(sp)
    csrr t0, sstatus
    sd t0, TRAP_FRAME_STATUS(sp)
    csrr t0, scause
    sd t0, TRAP_FRAME_CAUSE(sp)
    csrr t0, stval
    sd t0, TRAP_FRAME_TVAL(sp)

    mv s0, sp // saved by user_trap, for debuggers
    .cfi_endproc
1:
    mv a0, sp
    la sp, kernel_stack_top
    la t0, kernel_trap_entry
    csrw stvec, t0
    call user_trap // returns the frame of the process to run next
    nop // where it returns to is in the trap's frame as well
    TRAP_FRAME_CFI 1b, 8, DWARF_SEPC

// enter_user(frame): the first process starts as if it returned from a trap.
    .globl enter_user
enter_user:
    mv sp, a0
    csrw sscratch, sp
    la t0, user_trap_entry
    csrw stvec, t0
    ld t0, TRAP_FRAME_EPC(sp)
    csrw sepc, t0
    ld t0, TRAP_FRAME_STATUS(sp)
    csrw sstatus, t0
    RESTORE_REGISTERS
    ld sp, 2 * 8(sp)
    sret

// wait_for_timer(): the one place where the kernel has interrupts on. It has nothing to do there, so
// the interrupt, if it comes, need not return to where it came: it lands at the label.
    .globl wait_for_timer
wait_for_timer:
    la t0, timer_came
    csrrw t0, stvec, t0
    csrsi sstatus, MSTATUS_SIE
    wfi
    csrci sstatus, MSTATUS_SIE
    li a0, 0
    csrw stvec, t0
    ret
    .balign 4
timer_came: // the trap has cleared SIE
    li a0, 1
    csrw stvec, t0
    ret

// Elsewhere it runs with interrupts off, and touches only memory that is mapped: a trap is a bug.
    .balign 4
    .globl kernel_trap_entry
kernel_trap_entry:
    la sp, kernel_stack_top
    call kernel_trap
