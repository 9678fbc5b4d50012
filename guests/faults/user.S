// A process that makes faults on purpose. Before each it tells the kernel what is to come: where it
// will trap (a1), the trap's value (a2; -1 if that is the hart's choice), where to go on (a3), and what
// this is (a4). Then come the labels 1, where it traps, and 2.
#include "faults.h"
#include "hypercall.h"

    .option norvc
    .option norelax

.macro EXPECT text
    .pushsection .rodata
8:  .asciz "\text"
    .popsection
    la a1, 1f
    la a3, 2f
    la a4, 8b
.endm

    .cfi_sections .debug_frame
    .text
    .balign 4
    .globl program
program:
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
    EXPECT "a load from a page that is not there"
    li a2, NOWHERE + 8
1:  ld t0, 0(a2)
2:  EXPECT "a store to it"
    li a2, NOWHERE + 16
1:  sd t0, 0(a2)
2:  EXPECT "a jump to it"
    li a2, NOWHERE
    mv a1, a2
    jr a2
1:
2:  EXPECT "a store to a page that may only be read"
    li a2, READABLE
1:  sb t0, 0(a2)
2:  EXPECT "an atomic operation on it"
    li a2, READABLE + 4
1:  amoswap.w t0, t0, (a2)
2:  EXPECT "a jump to it"
    li a2, READABLE
    mv a1, a2
    jr a2
1:
2:  EXPECT "a load from a page that may only be executed"
    li a2, EXECUTABLE
1:  lw t0, 0(a2)
2:  EXPECT "a store to the program"
    la a2, program
1:  sw t0, 0(a2)
2:  EXPECT "a load from the kernel"
    li a2, KERNEL_ADDRESS
1:  ld t0, 0(a2)
2:  EXPECT "a store to the kernel"
    li a2, KERNEL_ADDRESS
1:  sd t0, 0(a2)
2:  EXPECT "a jump into the kernel"
    li a2, KERNEL_ADDRESS
    mv a1, a2
    jr a2
1:
2:  EXPECT "a load from the other half of the addresses"
    li a2, -4096
1:  ld t0, 0(a2)
2:  EXPECT "a load from an address that is none"
    li a2, 1 << 50
1:  ld t0, 0(a2)
2:  EXPECT "a push to a stack that is full"
    li a2, STACK_END - 8
1:  sd t0, 0(a2)
2:  EXPECT "an instruction that is none"
    li a2, -1
1:  .word 0
2:  EXPECT "a CSR of the kernel's"
    li a2, -1
1:  csrr t0, sstatus
2:  EXPECT "another page table"
    li a2, -1
1:  csrw satp, zero
2:  EXPECT "a return from a trap"
    li a2, -1
1:  sret
2:  EXPECT "a fence of the kernel's"
    li a2, -1
1:  sfence.vma
2:  EXPECT "a breakpoint"
    li a2, -1
1:  ebreak
2:  EXPECT "a call of the firmware below the kernel"
    li a2, 0
    li a0, 0
    li a6, SBI_SRST_SYSTEM_RESET
    li a7, SBI_EXT_SRST
1:  ecall
2:  EXPECT "a hypercall"
    li a2, 0
    li a6, HC_RETURN
    li a7, HC_EXTENSION
1:  ecall

// Faults that the kernel mends, so that the instruction is done.
2:  EXPECT "a load from a page that is there on demand"
    li a2, ON_DEMAND + 40
1:  ld t0, 0(a2)
2:  li t1, ON_DEMAND_WORD
    bne t0, t1, failed
    EXPECT "a store to it"
    li a2, ON_DEMAND + 40
    li t2, 7
1:  amoadd.d t0, t2, (a2)
2:  bne t0, t1, failed
    ld t0, 0(a2)
    addi t1, t1, 7
    bne t0, t1, failed

    li a0, 0
    j end
failed:
    li a0, 1
end:
    li a7, CALL_EXIT
    ecall
    .cfi_endproc
