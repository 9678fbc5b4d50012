// Instructions that may trap, in a paravirtual kernel. The handler goes on after the one that did, or
// where a jump was to come back to (t3), with the cause in t2.
#include "hypercall.h"

    .text
    .option norvc
    .globl try_load
try_load:
    li t2, -1
    ld t1, 0(a0)
    mv a0, t2
    ret

    .globl try_store
try_store:
    li t2, -1
    sd a1, 0(a0)
    mv a0, t2
    ret

// try_return(epc, status)
    .globl try_return
try_return:
    la t5, pv_shared
    la t3, returned
    sd a0, HC_SHARED_EPC(t5)
    sd a1, HC_SHARED_STATUS(t5)
    sd sp, HC_SHARED_SP(t5)
    li t2, -1
    li a6, HC_RETURN
    li a7, HC_EXTENSION
    ecall
returned:
    mv a0, t2
    ret

    .globl try_satp
try_satp:
    li t2, -1
    csrw satp, a0
    mv a0, t2
    ret

    .balign 4
    .globl probe_trap
probe_trap:
    la t5, pv_shared
    ld t2, HC_SHARED_CAUSE(t5)
    li t4, 12 // an instruction page fault
    mv t6, t3
    beq t2, t4, 1f
    ld t6, HC_SHARED_EPC(t5)
    addi t6, t6, 4
1:  sd t6, HC_SHARED_EPC(t5)
    li t6, 1 << 8 // to the kernel, which may have been a process for a moment
    sd t6, HC_SHARED_STATUS(t5)
    li a6, HC_RETURN
    li a7, HC_EXTENSION
    ecall
