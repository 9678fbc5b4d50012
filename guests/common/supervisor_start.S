// Where an S-mode guest begins, in S-mode with paging off: the hart in a0, the device tree in a1.
    .section .text.start, "ax"
    csrw sie, zero
    la t0, unexpected_trap
    csrw stvec, t0
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:
    la sp, stack_top
    call main
    tail finish

// A guest that sets no trap vector of its own expects no trap.
    .balign 4
unexpected_trap:
    csrr a0, scause
    addi a0, a0, 100
    tail finish

    .bss
    .balign 16
    .space 16384
stack_top:
