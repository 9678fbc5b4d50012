// HSM: harts that the kernel starts, stops and suspends.
#include "firmware.h"
#include "riscv.h"

#define HART_START      0
#define HART_STOP       1
#define HART_GET_STATUS 2
#define HART_SUSPEND    3

#define SUSPEND_RETENTIVE     0x00000000
#define SUSPEND_NON_RETENTIVE 0x80000000

// Whether S-mode can start at an address.
static bool is_start(uint64_t address) {
    uint8_t byte;
    return address % 2 == 0 && is_open(address, 2) && try_load8(address, &byte);
}

// Wait, stopped, until a hart_start; meanwhile do what other harts want.
void hart_wait(uint64_t self) {
    struct hart *hart = &harts[self];
    csr_write(mie, MIP_MSIP);
    for (;;) {
        if (atomic_read(hart->state) == HART_START_PENDING) {
            uint64_t start = hart->start, opaque = hart->opaque;
            atomic_write(hart->state, HART_STARTED);
            csr_clear(mip, MIP_SSIP | MIP_STIP);
            reset_features(self);
            enter_supervisor(self, opaque, start);
        }
        wfi();
        serve_messages(self);
    }
}

static struct sbi_result hart_start(uint64_t target, uint64_t start, uint64_t opaque) {
    if (target >= hart_count)
        return failure(SBI_ERR_INVALID_PARAM);
    if (!is_start(start))
        return failure(SBI_ERR_INVALID_ADDRESS);
    struct hart *hart = &harts[target];
    if (atomic_read(hart->state) != HART_STOPPED)
        return failure(SBI_ERR_ALREADY_AVAILABLE);
    hart->start = start;
    hart->opaque = opaque;
    atomic_write(hart->state, HART_START_PENDING);
    send_message(target);
    return success(0);
}

// Retentive: as wfi. Not retentive: the hart then starts again, at an address.
static struct sbi_result hart_suspend(uint64_t self, uint32_t type, uint64_t resume,
                                      uint64_t opaque) {
    if (type != SUSPEND_RETENTIVE && type != SUSPEND_NON_RETENTIVE)
        return failure(SBI_ERR_INVALID_PARAM);
    if (type == SUSPEND_NON_RETENTIVE && !is_start(resume))
        return failure(SBI_ERR_INVALID_ADDRESS);
    struct hart *hart = &harts[self];
    atomic_write(hart->state, HART_SUSPENDED);
    // Whatever S-mode has enabled wakes it; a message that is for the firmware alone does not.
    for (;;) {
        serve_messages(self);
        if (csr_read(mip) & csr_read(mie) & (MIP_SSIP | MIP_STIP | MIP_SEIP | MIP_MTIP))
            break;
        wfi();
    }
    atomic_write(hart->state, HART_STARTED);
    if (type == SUSPEND_NON_RETENTIVE)
        enter_supervisor(self, opaque, resume);
    return success(0);
}

struct sbi_result sbi_hsm(uint64_t function, const uint64_t *args) {
    uint64_t self = csr_read(mhartid);
    switch (function) {
    case HART_START:
        return hart_start(args[0], args[1], args[2]);
    case HART_STOP:
        atomic_write(harts[self].state, HART_STOPPED);
        wait_anew(self);
    case HART_GET_STATUS:
        if (args[0] >= hart_count)
            return failure(SBI_ERR_INVALID_PARAM);
        return success(atomic_read(harts[args[0]].state));
    case HART_SUSPEND:
        return hart_suspend(self, (uint32_t)args[0], args[1], args[2]);
    default:
        return failure(SBI_ERR_NOT_SUPPORTED);
    }
}
