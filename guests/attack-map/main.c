// Entries of every level that lead out of the guest's memory: to where a host may have its own, or
// another guest's.
#include "attack.h"
#include "console.h"
#include "guest.h"

static uint64_t own[512] __attribute__((aligned(PAGE_SIZE)));

static const uint64_t targets[] = {
    1ul << 36,    // what follows is beyond any machine's memory
    (1ul << 36) + (1ul << 30) + 0x100000,
    2ul << 36,
    3ul << 36,
    7ul << 36,
    (1ul << 40) + 0x80000000,
    1ul << 41, // and beyond what two-stage translation has addresses for
    1ul << 55,
    (1ul << 56) - PAGE_SIZE,
};

static void try_all(const char *how, uint64_t target, uint64_t address) {
    uint64_t value, result;
    printf("%-6s 0x%014lx: load %s", how, target, refused(try_load(address, &value)));
    printf(" (%lx), store %s", value, refused(try_store(address, 0x6666)));
    printf(", amo %s", refused(try_swap(address, 0x6666)));
    printf(", jump %s\n", refused(try_call(address, &result)));
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    attack_begin();
    own[0] = 0x8067; // ret
    window_map(0, (uint64_t)own, KERNEL_FLAGS);
    uint64_t value, result;
    printf("own memory: load %s", refused(try_load(WINDOW, &value)));
    printf(" (%lx), jump %s\n", value, refused(try_call(WINDOW, &result)));

    for (unsigned n = 0; n < sizeof targets / sizeof targets[0]; n++) {
        window_map(0, targets[n], KERNEL_FLAGS);
        try_all("page", targets[n], WINDOW);
        window_map(0, (uint64_t)own, KERNEL_FLAGS);

        middle_table[1] = entry_for(targets[n], PTE_V);
        sfence_vma();
        try_all("table", targets[n], WINDOW + (1ul << 21));
        middle_table[1] = entry_for(targets[n] & -(1ul << 21), KERNEL_FLAGS);
        sfence_vma();
        try_all("2 MiB", targets[n] & -(1ul << 21), WINDOW + (1ul << 21));

        root_table[3] = entry_for(targets[n], PTE_V);
        sfence_vma();
        try_all("tables", targets[n], 3ul << 30);
        root_table[3] = 0;
        sfence_vma();
    }
    printf("own memory: load %s", refused(try_load(WINDOW, &value)));
    printf(" (%lx)\n", value);
    return 0;
}
