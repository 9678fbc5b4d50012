// The same work in S-mode, with Sv39 paging on: to be compared with itself in VS-mode, where all
// that it does is translated twice.
#include "bench.h"
#include "guest.h"
#include "riscv.h"

#define RAM_ENTRY (0x80000000ul >> 30)

static uint64_t root[512] __attribute__((aligned(PAGE_SIZE)));

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;
    root[RAM_ENTRY] = RAM_ENTRY << 18 << PTE_PPN_SHIFT | flags; // one gigapage, where it lies
    sfence_vma();
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root >> PAGE_SHIFT);
    sfence_vma();
    return bench_run();
}
