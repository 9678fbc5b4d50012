// Address translation: S-mode, Sv39, thousands of 4 KiB pages, far more than a TLB holds.
//
// A window of 32 MiB of virtual memory is mapped to 32 MiB of physical memory in scrambled order;
// everything goes through the window. The guest itself runs in a gigapage.
#include "bench.h"
#include "guest.h"
#include "riscv.h"

#define PAGES           8192u
#define WINDOW          0x1000000000ul
#define WINDOW_PHYSICAL 0x82000000ul
#define ENTRIES         512
#define RAM_ENTRY       (0x80000000ul >> 30)

typedef uint64_t pte;

static pte root[ENTRIES] __attribute__((aligned(PAGE_SIZE)));
static pte middle[ENTRIES] __attribute__((aligned(PAGE_SIZE)));
static pte leaves[PAGES] __attribute__((aligned(PAGE_SIZE)));

static pte pointer(const pte *table) {
    return (uint64_t)table >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_V;
}

static pte leaf(uint64_t physical) {
    return physical >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_V | PTE_R | PTE_W | PTE_A | PTE_D;
}

// The window's page i is physical page i * 4051 (odd, so that each is used once).
static void map_window(void) {
    for (uint32_t i = 0; i < PAGES; i++)
        leaves[i] = leaf(WINDOW_PHYSICAL + (uint64_t)(i * 4051 % PAGES) * PAGE_SIZE);
}

static void paging_on(void) {
    root[RAM_ENTRY] = leaf(0x80000000) | PTE_X | PTE_G;
    root[WINDOW >> 30] = pointer(middle);
    for (uint32_t i = 0; i < PAGES / ENTRIES; i++)
        middle[i] = pointer(&leaves[i * ENTRIES]);
    map_window();
    sfence_vma();
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root >> PAGE_SHIFT);
    sfence_vma();
}

// A word of a page, at an offset that differs from page to page.
static volatile uint64_t *word(uint32_t page) {
    return (volatile uint64_t *)(WINDOW + (uint64_t)page * PAGE_SIZE + page * 8 % PAGE_SIZE);
}

// Every page once, in order.
static uint64_t touch(void) {
    uint64_t checksum = 0;
    for (uint32_t page = 0; page < PAGES; page++)
        *word(page) = page * 3;
    for (uint32_t page = 0; page < PAGES; page++)
        checksum += *word(page) ^ page;
    return checksum;
}

// Pages in strides.
static uint64_t stride(void) {
    uint64_t checksum = 0;
    for (uint32_t step = 3; step < 200; step += 49)
        for (uint32_t i = 0, page = 0; i < PAGES; i++, page = (page + step) % PAGES)
            checksum = checksum * 3 + *word(page);
    return checksum;
}

// Pages at random, loads and stores.
static uint64_t random_access(void) {
    uint64_t checksum = 0, seed = 9;
    for (uint32_t i = 0; i < 2 * PAGES; i++) {
        uint32_t number = bench_random(&seed);
        volatile uint64_t *p = word(number % PAGES);
        if (number >> 30 == 0)
            *p = *p + i;
        else
            checksum += *p;
    }
    return checksum;
}

// Words next to each other, all through a few dozen pages: what a TLB is good at.
static uint64_t nearby(void) {
    uint64_t checksum = 0;
    const volatile uint64_t *words = (const volatile uint64_t *)WINDOW;
    for (uint32_t i = 0; i < 40 * (PAGE_SIZE / 8); i++)
        checksum += words[i] ^ i;
    return checksum;
}

// Exchanges two pages, and says so for these two addresses only.
static uint64_t remap(void) {
    uint64_t checksum = 0, seed = 10;
    for (int i = 0; i < 500; i++) {
        uint32_t a = bench_random(&seed) % PAGES, b = bench_random(&seed) % PAGES;
        checksum = bench_mix(checksum, *word(a) + 3 * *word(b));
        pte swapped = leaves[a];
        leaves[a] = leaves[b];
        leaves[b] = swapped;
        sfence_vma_address(WINDOW + (uint64_t)a * PAGE_SIZE);
        sfence_vma_address(WINDOW + (uint64_t)b * PAGE_SIZE);
        checksum = bench_mix(checksum, *word(a) + 3 * *word(b));
    }
    map_window(); // as it was, for the next time
    sfence_vma();
    return checksum;
}

const struct bench_part bench_parts[] = {
    {"touch", touch},   {"stride", stride}, {"random", random_access},
    {"nearby", nearby}, {"remap", remap},   {0, 0},
};

BENCH_ITERATIONS(150);

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    paging_on();
    return bench_run();
}
