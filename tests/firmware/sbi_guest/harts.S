// What harts run that the firmware starts: a0 is the hart, a1 the opaque value, a stack's top.
    .text
    .balign 4
    .globl hart_entry
hart_entry:
    mv sp, a1
    tail secondary

// Where a non-retentive suspend comes back: a1 is the stack pointer that it left.
    .globl resume_entry
resume_entry:
    mv sp, a1
    li a0, 1
    ld ra, 0(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, 8 + 8 * \n(sp)
    .endr
    addi sp, sp, 112
    ret

// int suspend(void): suspends, not retentive. 1 if it came back by resume_entry.
    .globl suspend
suspend:
    addi sp, sp, -112
    sd ra, 0(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, 8 + 8 * \n(sp)
    .endr
    li a0, 0x80000000
    la a1, resume_entry
    mv a2, sp
    li a6, 3
    li a7, 0x48534d
    ecall
    addi sp, sp, 112
    li a0, 0
    ret

// uint64_t try_load(address): loads 4 bytes; scause if that traps, else -1.
    .globl try_load
try_load:
    la t0, 1f
    csrrw t0, stvec, t0
    lw a0, 0(a0)
    li a0, -1
    j 2f
    .balign 4
1:  csrr a0, scause
2:  csrw stvec, t0
    ret

// uint64_t try_illegal(): the same for an instruction that does not exist.
    .globl try_illegal
try_illegal:
    la t0, 1f
    csrrw t0, stvec, t0
    .word 0
    li a0, -1
    j 2f
    .balign 4
1:  csrr a0, scause
2:  csrw stvec, t0
    ret
