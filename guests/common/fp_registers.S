// fp_save(state) and fp_restore(state): f0 to f31, then fcsr (fp_registers.h).
    .text
    .option arch, +f, +d
    .globl fp_save, fp_restore
fp_save:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fsd f\n, \n * 8(a0)
    .endr
    csrr t0, fcsr
    sd t0, 32 * 8(a0)
    ret
fp_restore:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fld f\n, \n * 8(a0)
    .endr
    ld t0, 32 * 8(a0)
    csrw fcsr, t0
    ret
