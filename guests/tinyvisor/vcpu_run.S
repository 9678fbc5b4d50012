// The world switch.
//
// vcpu_run(vcpu) is a C function that takes long: it saves what C expects to find unchanged, loads
// the guest's registers, and "returns" from a trap that never was, into the guest. The guest's next
// trap into HS-mode arrives at vcpu_exit, which does the reverse and returns to vcpu_run's caller.
//
// sret leaves HS-mode for a guest because hstatus.SPV is set; sstatus.SPP says then whether for VS
// or VU. The trap back sets them from where it came.
#include "hypervisor.h"
#include "vcpu.h"

    .text
    .globl vcpu_run
vcpu_run:
    addi sp, sp, -14 * 8
    sd ra, 0 * 8(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, (\n + 1) * 8(sp)
    .endr
    la t0, vcpu_exit
    csrrw t0, stvec, t0
    sd t0, 13 * 8(sp)

    sd sp, VCPU_HOST_SP(a0)
    mv sp, a0
    csrw sscratch, sp
    ld t0, TRAP_FRAME_EPC(sp)
    csrw sepc, t0
    ld t0, TRAP_FRAME_STATUS(sp)
    csrw sstatus, t0
    ld t0, VCPU_HSTATUS(sp)
    csrw hstatus, t0
    RESTORE_REGISTERS
    ld sp, 2 * 8(sp)
    sret

    .balign 4
vcpu_exit:
    csrrw sp, sscratch, sp
    SAVE_REGISTERS
    csrr t0, sscratch
    sd t0, 2 * 8(sp)
    csrr t0, sepc
    sd t0, TRAP_FRAME_EPC(sp)
    csrr t0, sstatus
    sd t0, TRAP_FRAME_STATUS(sp)
    csrr t0, scause
    sd t0, TRAP_FRAME_CAUSE(sp)
    csrr t0, stval
    sd t0, TRAP_FRAME_TVAL(sp)
    csrr t0, hstatus
    sd t0, VCPU_HSTATUS(sp)
    csrr t0, htval
    sd t0, VCPU_HTVAL(sp)

    ld sp, VCPU_HOST_SP(sp)
    ld t0, 13 * 8(sp)
    csrw stvec, t0
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, (\n + 1) * 8(sp)
    .endr
    ld ra, 0 * 8(sp)
    addi sp, sp, 14 * 8
    ret
