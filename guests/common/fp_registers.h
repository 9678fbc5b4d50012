// Floating-point registers that are not in the hart; fp_registers.S moves them. The caller turns
// sstatus.FS on.
#pragma once

#include <stdint.h>

struct fp_state {
    uint64_t f[32];
    uint64_t fcsr;
};

void fp_save(struct fp_state *state);
void fp_restore(const struct fp_state *state);
