// What a VM's processor holds while it does not run. Shared by C and assembly (vcpu_run.S knows the
// first few members by offset).
#pragma once

#include "trap_frame.h"

#define VCPU_HSTATUS TRAP_FRAME_SIZE
#define VCPU_HTVAL   (TRAP_FRAME_SIZE + 8)
#define VCPU_HOST_SP (TRAP_FRAME_SIZE + 16)

#ifndef __ASSEMBLER__

#include "fp_registers.h"
#include <stdint.h>

struct vcpu {
    // Saved at every exit, because the hypervisor's own C code uses them: the registers, and the
    // CSRs that a trap into HS-mode writes and that sret reads.
    struct trap_frame frame; // first: sscratch points here while the guest runs
    uint64_t hstatus;
    uint64_t htval;
    uint64_t host_sp; // the hypervisor's stack pointer while the guest runs

    // Saved only when another VM is to run: the hypervisor does not use these itself. While V=1, a
    // guest that names sstatus accesses vsstatus, and so on; in HS-mode both are there.
    uint64_t vsstatus, vsie, vstvec, vsscratch, vsepc, vscause, vstval, vsatp;
    uint64_t hvip;                // the interrupts that are pending because we say so
    uint64_t htimedelta;          // guest's time - time
    uint64_t timer;               // the guest's stimecmp, if it has that, or last SBI deadline
    uint64_t scounteren, senvcfg; // these two have no VS twin: the guest sets the hart's own
    struct fp_state fp;
};

#endif
