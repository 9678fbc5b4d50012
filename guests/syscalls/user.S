// The process. a0: what the last call returned; a1: that it was to be. It counts down, then ends.
    .cfi_sections .debug_frame
    .text
    .globl process
process:
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
    li s0, 10000
1:  mv a1, s0
    ecall
    addi s0, s0, -1
    bne a0, s0, 2f
    bnez s0, 1b
    li a0, 0
    j 3f
2:  li a0, 1
3:  li a1, -1
    ecall
    .cfi_endproc
