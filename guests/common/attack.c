#include "attack.h"
#include "board.h"

#define GIB 30

uint64_t root_table[512] __attribute__((aligned(PAGE_SIZE)));
uint64_t middle_table[512] __attribute__((aligned(PAGE_SIZE)));
uint64_t last_table[512] __attribute__((aligned(PAGE_SIZE)));

extern char attack_trap[];

const char *outcome(uint64_t cause) {
    switch (cause) {
    case NO_TRAP:
        return "done";
    case CAUSE_FETCH_ACCESS:
    case CAUSE_LOAD_ACCESS:
    case CAUSE_STORE_ACCESS:
        return "access fault";
    case CAUSE_FETCH_PAGE_FAULT:
    case CAUSE_LOAD_PAGE_FAULT:
    case CAUSE_STORE_PAGE_FAULT:
        return "page fault";
    case CAUSE_ILLEGAL_INSTRUCTION:
        return "illegal instruction";
    default:
        return "another trap";
    }
}

const char *refused(uint64_t cause) { return cause == NO_TRAP ? "done" : "refused"; }

void attack_begin(void) {
    csr_write(stvec, attack_trap);
    root_table[0] = entry_for(0, KERNEL_FLAGS & ~PTE_X); // the devices
    root_table[RAM >> GIB] = entry_for(RAM, KERNEL_FLAGS);
    root_table[WINDOW >> GIB] = entry_for((uint64_t)middle_table, PTE_V);
    middle_table[0] = entry_for((uint64_t)last_table, PTE_V);
    sfence_vma();
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root_table >> PAGE_SHIFT);
    sfence_vma();
}

void window_map(unsigned page, uint64_t address, uint64_t flags) {
    *(volatile uint64_t *)&last_table[page] = entry_for(address, flags);
    sfence_vma();
}
