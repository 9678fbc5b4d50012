// Instructions that may trap. The handler goes on after the one that did, with the cause in t2.
    .text
    .option norvc

probes:
    .globl try_load
try_load:
    li t2, -1
    li t1, 0
    ld t1, 0(a0)
    sd t1, 0(a1)
    mv a0, t2
    ret

    .globl try_load32
try_load32:
    li t2, -1
    li t1, 0
    lwu t1, 0(a0)
    sd t1, 0(a1)
    mv a0, t2
    ret

    .globl try_store
try_store:
    li t2, -1
    sd a1, 0(a0)
    mv a0, t2
    ret

    .globl try_store32
try_store32:
    li t2, -1
    sw a1, 0(a0)
    mv a0, t2
    ret

    .globl try_swap
try_swap:
    li t2, -1
    amoswap.d zero, a1, (a0)
    mv a0, t2
    ret

    .globl try_call
try_call:
    li t2, -1
    mv t3, ra
    mv t1, a0
    li a0, 0
    jalr t1
    sd a0, 0(a1)
    mv ra, t3
    mv a0, t2
    ret
probes_end:

    .balign 4
    .globl attack_trap
attack_trap:
    csrr t2, scause
    csrr t5, sepc
    la t6, probes
    bltu t5, t6, called
    la t6, probes_end
    bgeu t5, t6, called
    addi t5, t5, 4
    csrw sepc, t5
    sret

// What try_call called could not be fetched, or is no instruction. Anything else is a mistake.
called:
    li t6, 1 << 1 | 1 << 2 | 1 << 12
    srl t6, t6, t2
    andi t6, t6, 1
    beqz t6, 1f
    csrw sepc, ra
    sret
1:  addi a0, t2, 100
    tail finish
