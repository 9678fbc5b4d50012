// Accesses that lie across pages, of which one is not the guest's to have, and addresses that are
// none, or become others when they wrap around.
#include "attack.h"
#include "console.h"
#include "guest.h"

#define HOST (2ul << 36) // beyond any machine's memory

static uint64_t own[1024] __attribute__((aligned(PAGE_SIZE)));

static void try_at(const char *name, uint64_t address) {
    uint64_t value;
    printf("%-34s load %s", name, outcome(try_load(address, &value)));
    printf(" (%lx), store %s\n", value, outcome(try_store(address, 0x6666666666666666)));
}

static void fill(void) {
    for (unsigned n = 0; n < 1024; n++)
        *(volatile uint64_t *)&own[n] = 0x1111111111111111ul * (1 + n / 512);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    attack_begin();
    fill();
    // Pages of the window: own, own, host, own, nothing, own but not to be stored to, own.
    window_map(0, (uint64_t)own, KERNEL_FLAGS);
    window_map(1, (uint64_t)own + PAGE_SIZE, KERNEL_FLAGS);
    window_map(2, HOST, KERNEL_FLAGS);
    window_map(3, (uint64_t)own, KERNEL_FLAGS);
    window_map(5, (uint64_t)own, KERNEL_FLAGS & ~PTE_W);
    window_map(6, (uint64_t)own + PAGE_SIZE, KERNEL_FLAGS);
    window_map(7, (uint64_t)last_table, KERNEL_FLAGS);
    window_map(8, (uint64_t)own, KERNEL_FLAGS);

    try_at("own page to own page", WINDOW_PAGE(1) - 4);
    fill();
    try_at("own page to the host's", WINDOW_PAGE(2) - 1);
    try_at("the host's page to own", WINDOW_PAGE(3) - 7);
    try_at("own page to none", WINDOW_PAGE(4) - 3);
    try_at("none to own page", WINDOW_PAGE(5) - 3);
    try_at("read-only page to own", WINDOW_PAGE(6) - 5);
    try_at("the last page of the window, on", WINDOW_PAGE(512) - 4);
    printf("stored in own memory: %lx %lx\n", *(volatile uint64_t *)&own[511],
           *(volatile uint64_t *)&own[512]);

    // Across the end of a page of entries: what is stored there is an entry by halves.
    uint64_t value;
    last_table[511] = 0;
    window_map(9, HOST, KERNEL_FLAGS);
    printf("a store into the table's last entry, and beyond: %s",
           outcome(try_store(WINDOW_PAGE(8) - 4, (entry_for(HOST, KERNEL_FLAGS) >> 32) |
                                                     0x2222222200000000)));
    printf(", which leaves %lx and %lx\n", *(volatile uint64_t *)&last_table[511],
           *(volatile uint64_t *)own);
    sfence_vma();
    printf("its page: load %s\n", outcome(try_load(WINDOW_PAGE(511), &value)));

    static const struct {
        const char *name;
        uint64_t address;
    } none[] = {
        {"the last bytes of the address space", -8ul},
        {"across its end", -4ul},
        {"the first address that is none", 1ul << 38},
        {"up to it", (1ul << 38) - 4},
        {"the last that is none", -(1ul << 38) - 8},
        {"from it to the upper half", -(1ul << 38) - 4},
        {"bit 63 and the window", 1ul << 63 | WINDOW},
        {"bit 39 and the window", 1ul << 39 | WINDOW},
        {"the window, 2^39 up", (1ul << 39) + WINDOW},
    };
    for (unsigned n = 0; n < sizeof none / sizeof none[0]; n++)
        try_at(none[n].name, none[n].address);
    return 0;
}
