#include "riscv.h"

    .text
    .option push
    .option norvc
    .option norelax // relaxed code would be shorter, and what is aligned after it no longer so

    .globl enter
enter:
    addi sp, sp, -14 * 8
    sd ra, 0(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, (\n + 1) * 8(sp)
    .endr
    la t0, enter_sp
    sd sp, 0(t0)
    csrw mepc, a1
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    csrs mstatus, a0
    mv a0, a2
    mret

// The trap handler comes back here, in M-mode, with sp as it was.
    .globl enter_end
enter_end:
    ld ra, 0(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, (\n + 1) * 8(sp)
    .endr
    addi sp, sp, 14 * 8
    ret

// A vectored table: interrupts come to their own entry, exceptions to the first. The probes keep
// nothing in t5 and t6.
    .balign 256
    .globl vector_table
vector_table:
    .rept 16
    jal t6, 1f
    .endr
1:  la t5, vector_table + 4
    sub t6, t6, t5
    srli t6, t6, 2
    la t5, vector_used
    sd t6, 0(t5)
    tail trap_entry

// Receives what is delegated to S-mode, and tells M-mode by an ecall, with the S-mode CSRs.
    .balign 4
    .globl supervisor_trap
supervisor_trap:
    csrr a0, scause
    csrr a1, stval
    csrr a2, sepc
    csrr a3, sstatus
    ecall

.macro PROBE name
    .globl \name
    .balign 4
\name:
.endm

    PROBE code_load
    ld a0, 0(a0)
    ecall
    PROBE code_store
    sd zero, 0(a0)
    ecall
    PROBE code_amo
    amoadd.w zero, zero, (a0)
    ecall
    PROBE code_lr
    lr.w a0, (a0)
    ecall
    PROBE code_fetch
    jr a0
    PROBE code_ecall
    ecall
    PROBE code_ebreak
    ebreak
    PROBE code_c_ebreak
    .2byte 0x9002
    ecall
    PROBE code_illegal
    .4byte 0x0000700b // in the space reserved for custom instructions
    ecall
    PROBE code_c_illegal
    .2byte 0
    ecall
    PROBE code_absent_csr
    csrr a0, 0x123
    ecall
    PROBE code_read_only_csr
    csrw mhartid, zero
    ecall
    PROBE code_mstatus
    csrr a0, mstatus
    ecall
    PROBE code_sstatus
    csrr a0, sstatus
    ecall
    PROBE code_satp
    csrr a0, satp
    ecall
    PROBE code_cycle
    csrr a0, cycle
    ecall
    PROBE code_mret
    mret
    ecall
    PROBE code_sret
    sret
    ecall
    PROBE code_sfence
    sfence.vma
    ecall
    PROBE code_wfi
    wfi
    ecall
    PROBE code_flw
    .4byte 0x00052007 // flw f0, 0(a0)
    ecall
    PROBE code_spin
    j code_spin

// mret has set MPP to U; the test wants S.
    PROBE code_load_mprv
    li t0, MSTATUS_MPRV | MSTATUS_MPP_S
    csrs mstatus, t0
    ld a0, 0(a0)
    li t0, MSTATUS_MPRV
    csrc mstatus, t0
    ecall
    .option pop

    .bss
    .balign 8
    .globl enter_sp, vector_used, report
enter_sp:
    .space 8
vector_used:
    .space 8
report:
    .space 4 * 8
