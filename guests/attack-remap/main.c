// Entries that change after they were used: whoever keeps what an old one said gives this guest
// what it has no more right to. They are changed in every way that there is, most of them through a
// mapping of the table itself.
#include "attack.h"
#include "console.h"
#include "guest.h"

#define HOST  (2ul << 36) // beyond any machine's memory
#define PAGES 4

static uint64_t own[PAGES][512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t spare_table[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t spare_root[512] __attribute__((aligned(PAGE_SIZE)));

#define TABLE WINDOW_PAGE(511) // where the window shows the table of its own entries

static uint64_t page(unsigned n) { return (uint64_t)own[n]; }

// Uses the first page of the window, in all ways.
static void use(const char *after) {
    uint64_t value, result;
    printf("%-36s load %s", after, outcome(try_load(WINDOW, &value)));
    printf(" (%lx), store %s", value, outcome(try_store(WINDOW + 8, 1)));
    printf(", jump %s", outcome(try_call(WINDOW + 16, &result)));
    printf(" (%lx)\n", result);
}

static void set_up(void) {
    for (unsigned n = 0; n < PAGES; n++) {
        own[n][0] = 0x1111 * (n + 1);
        // li a0, n + 1; ret
        own[n][2] = (0x513ul | (uint64_t)(n + 1) << 20) | 0x8067ul << 32;
    }
    window_map(511, (uint64_t)last_table, KERNEL_FLAGS);
    window_map(0, page(0), KERNEL_FLAGS);
    fence_i();
}

static void by_stores(void) {
    uint64_t next = entry_for(page(1), KERNEL_FLAGS);
    use("own memory");
    window_map(0, page(1), KERNEL_FLAGS);
    use("another page, where the table is");
    try_store(TABLE, entry_for(page(2), KERNEL_FLAGS));
    sfence_vma();
    use("and by the window's view of it");
    try_swap(TABLE, next);
    sfence_vma_address(WINDOW);
    use("by an amo, and one page fenced");
    try_store32(TABLE, (uint32_t)entry_for(page(3), KERNEL_FLAGS));
    sfence_vma();
    use("the lower half");
    try_store32(TABLE + 4, (uint32_t)(entry_for(HOST, 0) >> 32));
    sfence_vma();
    use("the upper half, to the host's memory");
    try_store(TABLE, entry_for(HOST, KERNEL_FLAGS));
    sfence_vma();
    use("all of it");
    try_store(TABLE, 0);
    sfence_vma();
    use("nothing");
    try_store(TABLE, entry_for(page(0), KERNEL_FLAGS & ~PTE_W & ~PTE_X));
    sfence_vma();
    use("to be read alone");
    try_store(TABLE, entry_for(page(0), PTE_V | PTE_X | PTE_A));
    sfence_vma();
    use("to be executed alone");
    // A misaligned store changes two entries by parts: V of the first stays, of the second goes.
    window_map(0, page(2), KERNEL_FLAGS);
    window_map(1, page(3), KERNEL_FLAGS);
    uint64_t value;
    printf("the second page: load %s", outcome(try_load(WINDOW_PAGE(1), &value)));
    try_store(TABLE + 4, 0);
    sfence_vma();
    printf(" (%lx), then %s\n", value, outcome(try_load(WINDOW_PAGE(1), &value)));
    use("and the first");
}

static void by_tables(void) {
    window_map(0, page(0), KERNEL_FLAGS);
    for (unsigned n = 0; n < 512; n++)
        spare_table[n] = entry_for(page(1), KERNEL_FLAGS);
    middle_table[0] = entry_for((uint64_t)spare_table, PTE_V);
    sfence_vma();
    use("another table");
    middle_table[0] = entry_for(page(2) & -(1ul << 21), KERNEL_FLAGS);
    sfence_vma();
    uint64_t value;
    try_load(WINDOW + (page(2) & ((1ul << 21) - 1)), &value);
    printf("a large page in place of it: %lx\n", value);
    middle_table[0] = entry_for(HOST, PTE_V);
    sfence_vma();
    printf("a table in the host's memory: load %s\n", refused(try_load(WINDOW, &value)));
    middle_table[0] = entry_for((uint64_t)last_table, PTE_V);
    sfence_vma();
    use("the first table again");

    // A table that becomes code, and code that becomes a table.
    window_map(2, (uint64_t)last_table, KERNEL_FLAGS);
    last_table[100] = 0x513ul | 77 << 20 | 0x8067ul << 32; // li a0, 77; ret
    fence_i();
    printf("code in a table: %s", outcome(try_call(WINDOW_PAGE(2) + 800, &value)));
    last_table[100] = 0x513ul | 78 << 20 | 0x8067ul << 32;
    fence_i();
    printf(" (%lx)", value);
    printf(", then %s", outcome(try_call(WINDOW_PAGE(2) + 800, &value)));
    printf(" (%lx)\n", value);
}

// Address spaces of which one is changed while another is in use.
static void by_spaces(void) {
    for (unsigned n = 0; n < 512; n++)
        spare_root[n] = root_table[n];
    uint64_t first = SATP_MODE_SV39 | (uint64_t)root_table >> PAGE_SHIFT;
    uint64_t second = SATP_MODE_SV39 | (uint64_t)spare_root >> PAGE_SHIFT;
    window_map(0, page(3), KERNEL_FLAGS);
    for (uint64_t asid = 1; asid <= 40; asid++) {
        uint64_t value;
        csr_write(satp, first | asid << SATP_ASID_SHIFT);
        sfence_vma();
        try_load(WINDOW, &value);
        csr_write(satp, second | asid << SATP_ASID_SHIFT);
        sfence_vma();
        try_load(WINDOW, &value);
    }
    window_map(0, page(1), KERNEL_FLAGS & ~PTE_W); // in both
    csr_write(satp, first | 1ul << SATP_ASID_SHIFT);
    sfence_vma();
    use("after 80 address spaces, the first");
    csr_write(satp, second | 40ul << SATP_ASID_SHIFT);
    spare_root[WINDOW >> 30] = 0;
    sfence_vma();
    use("the last, without the window");
    csr_write(satp, first);
    sfence_vma();
    use("and the first again");
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    attack_begin();
    set_up();
    by_stores();
    by_tables();
    by_spaces();
    return 0;
}
