// Where every hart enters the firmware: its number in a0, the device tree in a1, and in a2 what
// the machine says of the kernel (struct dynamic_information), if it says anything.
#include "firmware.h"
#include "riscv.h"

    .section .text.start, "ax"
    .globl _start
_start:
    csrw mie, zero
    la t0, unexpected
    csrw mtvec, t0
    li t0, MAX_HARTS
    bgeu a0, t0, park
    mv s0, a0
    mv s1, a1
    mv s2, a2
    mv a0, s0
    call use_own_stack
    bnez s0, secondary

    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:
    mv a0, s0
    mv a1, s1
    mv a2, s2
    tail boot_main

secondary:
    la t0, memory_ready
1:  lw t1, 0(t0)
    beqz t1, 1b
    fence r, rw
    mv a0, s0
    tail secondary_main

// sp = stacks + (hart + 1) * stack size; mscratch as well, for trap_entry.
use_own_stack:
    la sp, __stacks
    addi t0, a0, 1
    slli t0, t0, STACK_BITS
    add sp, sp, t0
    csrw mscratch, sp
    ret

// wait_anew(hart): hart_wait(hart) on an empty stack, for a hart that does not return.
    .globl wait_anew
wait_anew:
    mv s0, a0
    call use_own_stack
    mv a0, s0
    tail hart_wait

// enter_supervisor(a0, a1, address): leaves for S-mode with these in its registers, translation
// and interrupts off.
    .globl enter_supervisor
enter_supervisor:
    csrw mepc, a2
    li t0, MSTATUS_MPP | MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_MPRV
    csrc mstatus, t0
    li t0, MSTATUS_MPP_S
    csrs mstatus, t0
    csrw satp, zero
    csrw stvec, zero
    csrw sscratch, zero
    csrw sie, zero
    sfence.vma
    fence.i
    csrr t0, mhartid
    addi t0, t0, 1
    slli t0, t0, STACK_BITS
    la t1, __stacks
    add t0, t0, t1
    csrw mscratch, t0
    mret

park:
    wfi
    j park

// Before there is a trap vector, no trap is expected.
    .balign 4
unexpected:
    j unexpected
