// leak_spin(registers, loops): loads what `struct registers` (main.c) has, loops, and stores it.
    .text
    .globl leak_spin
leak_spin:
    addi sp, sp, -96
    .irp n, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    sd x\n, (\n - 18) * 8(sp)
    ld x\n, \n * 8(a0)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fld f\n, (32 + \n) * 8(a0)
    .endr
    ld t0, 64 * 8(a0)
    fscsr t0
    ld t0, 65 * 8(a0)
    csrw sscratch, t0
    ld t0, 66 * 8(a0)
    csrw sepc, t0
    ld t0, 67 * 8(a0)
    csrw scause, t0
    ld t0, 68 * 8(a0)
    csrw stval, t0
    ld t0, 69 * 8(a0)
    csrw scounteren, t0
    ld t0, 70 * 8(a0)
    csrw sie, t0

1:  addi a1, a1, -1
    bnez a1, 1b

    .irp n, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    sd x\n, \n * 8(a0)
    ld x\n, (\n - 18) * 8(sp)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fsd f\n, (32 + \n) * 8(a0)
    .endr
    frcsr t0
    sd t0, 64 * 8(a0)
    csrr t0, sscratch
    sd t0, 65 * 8(a0)
    csrr t0, sepc
    sd t0, 66 * 8(a0)
    csrr t0, scause
    sd t0, 67 * 8(a0)
    csrr t0, stval
    sd t0, 68 * 8(a0)
    csrr t0, scounteren
    sd t0, 69 * 8(a0)
    csrr t0, sie
    sd t0, 70 * 8(a0)
    csrw sie, zero
    addi sp, sp, 96
    ret
