// Entries that allow less than an access wants: without A, D, W, or for U-mode. Who sets A and D,
// the hart or the kernel, is the machine's choice; so this kernel does it where the hart does not,
// and tells what it came to.
#include "attack.h"
#include "console.h"
#include "guest.h"
#include <stdbool.h>

static uint64_t own[512] __attribute__((aligned(PAGE_SIZE)));

static uint64_t entry(void) { return *(volatile uint64_t *)&last_table[0]; }

// An access, again once A and D are set if they were what it lacked.
static uint64_t load(uint64_t *value) {
    uint64_t cause = try_load(WINDOW, value);
    if (cause == CAUSE_LOAD_PAGE_FAULT && !(entry() & PTE_A)) {
        window_map(0, (uint64_t)own, (entry() & 0x3ff) | PTE_A);
        cause = try_load(WINDOW, value);
    }
    return cause;
}

static uint64_t store(uint64_t value) {
    uint64_t cause = try_store(WINDOW, value);
    if (cause == CAUSE_STORE_PAGE_FAULT && (~entry() & (PTE_A | PTE_D))) {
        window_map(0, (uint64_t)own, (entry() & 0x3ff) | PTE_A | PTE_D);
        cause = try_store(WINDOW, value);
    }
    return cause;
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    static const struct {
        const char *name;
        uint64_t flags;
    } entries[] = {
        {"V R      ", PTE_V | PTE_R},
        {"V R W    ", PTE_V | PTE_R | PTE_W},
        {"V R   A  ", PTE_V | PTE_R | PTE_A},
        {"V R W A  ", PTE_V | PTE_R | PTE_W | PTE_A},
        {"V R   A D", PTE_V | PTE_R | PTE_A | PTE_D},
        {"V R W A D", PTE_V | PTE_R | PTE_W | PTE_A | PTE_D},
        {"V   W A D", PTE_V | PTE_W | PTE_A | PTE_D}, // reserved
        {"V X   A D", PTE_V | PTE_X | PTE_A | PTE_D},
        {"V U R W A D", PTE_V | PTE_U | PTE_R | PTE_W | PTE_A | PTE_D},
        {"  R W A D", PTE_R | PTE_W | PTE_A | PTE_D},
    };
    attack_begin();
    uint64_t value;
    for (unsigned n = 0; n < sizeof entries / sizeof entries[0]; n++) {
        *(volatile uint64_t *)own = n;
        window_map(0, (uint64_t)own, entries[n].flags);
        uint64_t loaded = load(&value);
        bool clean = !(entries[n].flags & PTE_D) && !(entry() & PTE_D);
        printf("%-11s load %s (%lx)", entries[n].name, outcome(loaded), value);
        uint64_t stored = store(0x6660 + n);
        printf(", store %s; memory has %lx", outcome(stored), *(volatile uint64_t *)own);
        if (stored == NO_TRAP && clean)
            printf(", and D is %s", entry() & PTE_D ? "set" : "clear");
        printf("\n");
    }

    // D goes away again behind the hart's back: what it set was not for ever.
    window_map(0, (uint64_t)own, KERNEL_FLAGS);
    store(1);
    window_map(0, (uint64_t)own, KERNEL_FLAGS & ~PTE_D & ~PTE_W);
    printf("W and D cleared: store %s\n", outcome(try_store(WINDOW, 2)));
    window_map(0, (uint64_t)own, KERNEL_FLAGS & ~PTE_D);
    printf("W set again: store %s", outcome(store(3)));
    printf(", D is %s, memory has %lx\n", entry() & PTE_D ? "set" : "clear",
           *(volatile uint64_t *)own);

    // The entry is in a page that the entry itself maps: setting D in it is a store to it.
    window_map(1, (uint64_t)last_table, KERNEL_FLAGS & ~PTE_D);
    uint64_t before = last_table[2];
    uint64_t cause = try_store(WINDOW_PAGE(1) + 2 * 8, 0);
    if (cause == CAUSE_STORE_PAGE_FAULT) {
        window_map(1, (uint64_t)last_table, KERNEL_FLAGS);
        cause = try_store(WINDOW_PAGE(1) + 2 * 8, 0);
    }
    printf("a table maps itself: store %s, the entry was %lx\n", outcome(cause), before);
    return 0;
}
