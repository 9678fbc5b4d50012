// FWFT: what a kernel may switch on its hart. What is not switched by a bit of menvcfg is as it is:
// misaligned accesses that trap are the kernel's, for nobody here would emulate them.
#include "firmware.h"
#include "riscv.h"

#define LOCAL_FEATURES 6 // known to the specification; all others are reserved

// The bit of menvcfg, where there is one.
static const uint64_t switches[LOCAL_FEATURES] = {
    [SBI_FWFT_LANDING_PAD] = BIT(2),         // LPE
    [SBI_FWFT_SHADOW_STACK] = BIT(3),        // SSE
    [SBI_FWFT_DOUBLE_TRAP] = BIT(59),        // DTE
    [SBI_FWFT_PTE_AD_HW_UPDATING] = BIT(61), // ADUE
};

// A hart has a feature if its bit can be changed.
static bool is_there(uint64_t bit) {
    uint64_t old = read_environment();
    uint64_t changed = write_environment(old ^ bit);
    write_environment(old);
    return bit != 0 && (old ^ changed) == bit;
}

static struct sbi_result set(uint64_t feature, uint64_t value, uint64_t flags) {
    struct hart *hart = &harts[csr_read(mhartid)];
    if (value > 1 || (flags & ~(uint64_t)SBI_FWFT_LOCK))
        return failure(SBI_ERR_INVALID_PARAM);
    if (hart->locked & BIT(feature))
        return failure(SBI_ERR_DENIED_LOCKED);
    if (feature == SBI_FWFT_MISALIGNED_EXC_DELEG && value == 0)
        return failure(SBI_ERR_DENIED);
    uint64_t bit = switches[feature];
    write_environment((read_environment() & ~bit) | (value ? bit : 0));
    if (flags & SBI_FWFT_LOCK)
        hart->locked |= BIT(feature);
    return success(0);
}

struct sbi_result sbi_fwft(uint64_t function, const uint64_t *args) {
    uint32_t feature = (uint32_t)args[0];
    if (function > SBI_FWFT_GET)
        return failure(SBI_ERR_NOT_SUPPORTED);
    if (feature >= LOCAL_FEATURES)
        return failure(SBI_ERR_DENIED);
    if (feature != SBI_FWFT_MISALIGNED_EXC_DELEG && !is_there(switches[feature]))
        return failure(SBI_ERR_NOT_SUPPORTED);
    if (function == SBI_FWFT_SET)
        return set(feature, args[1], args[2]);
    if (feature == SBI_FWFT_MISALIGNED_EXC_DELEG)
        return success(1);
    return success((read_environment() & switches[feature]) != 0);
}

// For a hart that starts anew.
void reset_features(uint64_t self) {
    write_environment(harts[self].environment);
    harts[self].locked = 0;
}
