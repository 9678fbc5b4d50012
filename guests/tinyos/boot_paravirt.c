// The first page tables of a paravirtual kernel. It runs where it lies in memory, with paging off, so
// addresses are physical; the tables are in pages that the kernel never has mapped for stores.
#include "kernel.h"

#define ENTRIES 512
#define POINTER PTE_V
#define LEAF    (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D)

static pte entry_for(uint64_t physical, uint64_t flags) {
    return physical >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

// RAM below the pages to give out is mapped by 2 MiB, these by 4 KiB, for some will be tables; all
// of it where it is, and in the upper half.
void pv_boot(void) {
    pte *root = (pte *)PV_TABLES, *middle = root + ENTRIES, *heap = middle + ENTRIES;
    const uint64_t heap_tables = (HEAP_END - HEAP_START) >> 21;
    for (uint64_t i = 0; i < (2 + heap_tables) * ENTRIES; i++)
        root[i] = 0;
    root[RAM_PHYSICAL >> 30] = entry_for((uint64_t)middle, POINTER);
    root[(RAM_VIRTUAL >> 30) % ENTRIES] = entry_for((uint64_t)middle, POINTER);
    uint64_t below = (HEAP_START - RAM_PHYSICAL) >> 21;
    for (uint64_t i = 0; i < below; i++)
        middle[i] = entry_for(RAM_PHYSICAL + (i << 21), LEAF | PTE_X);
    for (uint64_t i = 0; i < heap_tables; i++)
        middle[below + i] = entry_for((uint64_t)(heap + i * ENTRIES), POINTER);
    for (uint64_t i = 0; i < heap_tables * ENTRIES; i++)
        heap[i] = entry_for(HEAP_START + (i << PAGE_SHIFT), LEAF);

    pv_start();
    for (uint64_t i = 0; i < heap_tables; i++)
        pv_update(HC_PIN_TABLE, (uint64_t)(heap + i * ENTRIES), 0);
    pv_update(HC_PIN_TABLE, (uint64_t)middle, 1);
    pv_update(HC_PIN_TABLE, (uint64_t)root, 2);
    pv_set_roots((uint64_t)root, (uint64_t)root);
}
