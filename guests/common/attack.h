// What attack guests share: accesses that may trap, and an address space to try things in. They run
// in S-mode, and tell what they got: on a machine of their own, or beside others, it is the same.
#pragma once

#include "riscv.h"

#define NO_TRAP (-1ul)

// Accesses that may trap: the cause, or NO_TRAP. A value that was not loaded is 0.
uint64_t try_load(uint64_t address, uint64_t *value);
uint64_t try_load32(uint64_t address, uint64_t *value);
uint64_t try_store(uint64_t address, uint64_t value);
uint64_t try_store32(uint64_t address, uint64_t value);
uint64_t try_swap(uint64_t address, uint64_t value); // amoswap.d

// Calls code that changes a0 alone, which it gets as a value.
uint64_t try_call(uint64_t address, uint64_t *value);

// What became of an access, in words. (Machines differ in what fault an access is by way of tables
// that are in no memory: `refused` does not tell.)
const char *outcome(uint64_t cause);
const char *refused(uint64_t cause);

// The address space: memory and devices where they are, and a window of 512 pages that the last of
// three tables has the entries of.
#define WINDOW         0x40000000ul
#define WINDOW_PAGE(n) (WINDOW + PAGE_SIZE * (uint64_t)(n))

extern uint64_t root_table[512], middle_table[512], last_table[512];

#define KERNEL_FLAGS (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

static inline uint64_t entry_for(uint64_t address, uint64_t flags) {
    return address >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

// Sends traps to the handler of try_*, and turns paging on.
void attack_begin(void);

// Maps a page of the window.
void window_map(unsigned page, uint64_t address, uint64_t flags);
