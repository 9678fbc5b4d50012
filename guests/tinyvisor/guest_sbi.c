// To its guests the hypervisor is firmware: an ecall from VS-mode is an SBI call, as one from
// S-mode is to M-mode. The guest cannot tell.
#include "sbi.h"
#include "tinyvisor.h"

#define SPEC_VERSION (2 << 24) // 2.0, the first with DBCN
#define IMPL_ID      0x7476    // "tv", not a registered number

static struct sbi_result base(uint64_t function, uint64_t extension) {
    switch (function) {
    case SBI_BASE_GET_SPEC_VERSION:
        return (struct sbi_result){SBI_SUCCESS, SPEC_VERSION};
    case SBI_BASE_GET_IMPL_ID:
        return (struct sbi_result){SBI_SUCCESS, IMPL_ID};
    case SBI_BASE_GET_IMPL_VERSION:
        return (struct sbi_result){SBI_SUCCESS, 1};
    case SBI_BASE_PROBE_EXTENSION:
        return (struct sbi_result){
            SBI_SUCCESS, extension == SBI_EXT_BASE || extension == SBI_EXT_TIME ||
                             extension == SBI_EXT_SRST || extension == SBI_EXT_DBCN ||
                             extension == SBI_EXT_LEGACY_PUTCHAR};
    case SBI_BASE_GET_MVENDORID:
    case SBI_BASE_GET_MARCHID:
    case SBI_BASE_GET_MIMPID: // the hart is the real one: ask the firmware below us
        return sbi_call(SBI_EXT_BASE, function, 0, 0, 0);
    default:
        return (struct sbi_result){SBI_ERR_NOT_SUPPORTED, 0};
    }
}

// Prints from the guest's memory as far as there is room. An SBI call names memory by its guest-
// physical address, so that we find it by the G-stage alone, whatever the guest's own tables say.
static struct sbi_result console_write(struct vm *vm, uint64_t count, uint64_t address,
                                       uint64_t address_high) {
    if (address_high != 0 || address + count < address)
        return (struct sbi_result){SBI_ERR_INVALID_PARAM, 0};
    for (uint64_t i = 0; i < count; i++) {
        const char *page = gstage_page(vm, address + i);
        if (page == NULL)
            return (struct sbi_result){SBI_ERR_INVALID_PARAM, (int64_t)i};
        if (!transcript_put(vm, page[(address + i) % PAGE_SIZE]))
            return (struct sbi_result){SBI_SUCCESS, (int64_t)i};
    }
    return (struct sbi_result){SBI_SUCCESS, (int64_t)count};
}

// Answers the call in the guest's registers, and lets it go on behind its ecall. A call that cannot
// be done yet stays unanswered: the guest executes its ecall again, when it is its turn again.
bool guest_sbi(struct vm *vm) {
    uint64_t *x = vm->vcpu.frame.x;
    uint64_t extension = x[REG_A7], function = x[REG_A6];
    struct sbi_result result = {SBI_ERR_NOT_SUPPORTED, 0};

    if (extension == SBI_EXT_LEGACY_PUTCHAR) {
        if (!transcript_put(vm, (char)x[REG_A0]))
            return false;
        x[REG_A0] = 0; // the legacy calls return in a0 alone
        vm->vcpu.frame.epc += 4;
        return true;
    }
    if (extension == SBI_EXT_BASE) {
        result = base(function, x[REG_A0]);
    } else if (extension == SBI_EXT_TIME && function == SBI_TIME_SET_TIMER) {
        timer_guest_set(vm, x[REG_A0]);
        result = (struct sbi_result){SBI_SUCCESS, 0};
    } else if (extension == SBI_EXT_SRST && function == SBI_SRST_SYSTEM_RESET) {
        bool failed = x[REG_A1] != SBI_RESET_REASON_NONE;
        vm_end(vm, "%s", failed ? "gives up" : "has switched itself off");
        return false;
    } else if (extension == SBI_EXT_DBCN && function == SBI_DBCN_CONSOLE_WRITE) {
        result = console_write(vm, x[REG_A0], x[REG_A1], x[REG_A2]);
        if (result.error == SBI_SUCCESS && result.value == 0 && x[REG_A0] != 0)
            return false;
    } else if (extension == SBI_EXT_DBCN && function == SBI_DBCN_CONSOLE_READ) {
        result = (struct sbi_result){SBI_SUCCESS, 0}; // no input, ever
    } else if (extension == SBI_EXT_DBCN && function == SBI_DBCN_CONSOLE_WRITE_BYTE) {
        if (!transcript_put(vm, (char)x[REG_A0]))
            return false;
        result = (struct sbi_result){SBI_SUCCESS, 0};
    }
    x[REG_A0] = (uint64_t)result.error;
    x[REG_A1] = (uint64_t)result.value;
    vm->vcpu.frame.epc += 4;
    return true;
}
