// hold(seed, count, enough): puts a number of its own into every register that it can spare, waits
// until *count is enough, and returns 0 if the registers are what they were.
    .macro EACH_REGISTER operation // but zero, sp, t0 and the arguments
    .irp n, 1, 3, 4, 6, 7, 8, 9, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \operation \n
    .endr
    .endm

    .macro SAVE n
    sd x\n, 8 * \n(sp)
    .endm

    .macro RESTORE n
    ld x\n, 8 * \n(sp)
    .endm

    .macro SET n
    addi x\n, a0, \n
    .endm

    .macro CHECK n
    addi t0, a0, \n
    bne x\n, t0, 2f
    .endm

    .text
    .globl hold
hold:
    addi sp, sp, -256
    EACH_REGISTER SAVE
    EACH_REGISTER SET
1:  ld t0, 0(a1)
    bltu t0, a2, 1b
    EACH_REGISTER CHECK
    li a0, 0
    j 3f
2:  li a0, 1
3:  EACH_REGISTER RESTORE
    addi sp, sp, 256
    ret
