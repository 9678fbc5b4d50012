// What the SBI stub does besides when the kernel above it is a hypervisor: the traps of its guests
// are the hypervisor's, and so is the timer that Sstc adds.
#include "board.h"
#include "hypervisor.h"
#include "riscv.h"
#include <stdbool.h>

void stub_print(const char *text);

// Called by stub_setup. True if S-mode has stimecmp now, and mip.STIP follows it.
bool stub_extend(void) {
    if (!(csr_read(misa) & MISA_H)) {
        stub_print("[M] this hart lacks the hypervisor extension\n");
        board_finish(1);
    }
    // VS-level interrupts need not be delegated: their bits in mideleg are always one.
    csr_set(medeleg, 1 << CAUSE_ECALL_VS | 1 << CAUSE_FETCH_GUEST_PAGE_FAULT |
                         1 << CAUSE_LOAD_GUEST_PAGE_FAULT | 1 << CAUSE_VIRTUAL_INSTRUCTION |
                         1 << CAUSE_STORE_GUEST_PAGE_FAULT);
    // Without Sstc, reading stimecmp traps, even here, and the flag stays 0.
    uint64_t has_stimecmp;
    __asm__ volatile("   la t0, 1f\n"
                     "   csrrw t0, mtvec, t0\n"
                     "   li %0, 0\n"
                     "   csrr t1, stimecmp\n"
                     "   li %0, 1\n"
                     "   .balign 4\n"
                     "1: csrw mtvec, t0\n"
                     : "=&r"(has_stimecmp)::"t0", "t1", "memory");
    if (has_stimecmp)
        csr_set(menvcfg, ENVCFG_STCE); // now S-mode may use it, too
    return has_stimecmp;
}
