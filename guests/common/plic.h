// The platform-level interrupt controller, as a kernel on hart 0 uses it: the context of its S-mode.
#pragma once

#include "board.h"

#define PLIC               0xc000000ul
#define PLIC_PRIORITY(irq) (PLIC + 4 * (irq))
#define PLIC_ENABLE        (PLIC + 0x2080)
#define PLIC_THRESHOLD     (PLIC + 0x201000)
#define PLIC_CLAIM         (PLIC + 0x201004)

static inline void plic_enable(uint32_t irq) {
    mmio_write32(PLIC_PRIORITY(irq), 1);
    mmio_write32(PLIC_ENABLE, mmio_read32(PLIC_ENABLE) | 1u << irq);
    mmio_write32(PLIC_THRESHOLD, 0);
}

// The pending interrupt of highest priority, which is the caller's now; 0 if there is none.
static inline uint32_t plic_claim(void) { return mmio_read32(PLIC_CLAIM); }

static inline void plic_complete(uint32_t irq) { mmio_write32(PLIC_CLAIM, irq); }
