// Physical pages: a list of free ones, and for the others a count of who uses them.
#include "kernel.h"

void *memset(void *destination, int byte, size_t size);

#define PAGES ((HEAP_END - HEAP_START) / PAGE_SIZE)

// A free page holds the link to the next one.
struct free_page {
    struct free_page *next;
};

static struct free_page *first_free;
static uint64_t free_count;
static uint8_t references[PAGES];

static uint64_t index_of(const void *page) {
    uint64_t physical = to_physical(page);
    if (physical < HEAP_START || physical >= HEAP_END)
        panic("not a page of the allocator");
    return (physical - HEAP_START) / PAGE_SIZE;
}

static void put(struct free_page *page) {
    page->next = first_free;
    first_free = page;
    free_count++;
}

void page_init(void) {
    for (uint64_t physical = HEAP_END; physical > HEAP_START; physical -= PAGE_SIZE)
        put(to_virtual(physical - PAGE_SIZE));
}

void *page_allocate(void) {
    struct free_page *page = first_free;
    if (page == NULL)
        panic("out of memory");
    first_free = page->next;
    free_count--;
    references[index_of(page)] = 1;
    return memset(page, 0, PAGE_SIZE);
}

void page_share(void *page) { references[index_of(page)]++; }

void page_release(void *page) {
    uint64_t index = index_of(page);
    if (references[index] == 0)
        panic("a free page was released");
    if (--references[index] == 0)
        put(page);
}

unsigned page_references(const void *page) { return references[index_of(page)]; }

uint64_t pages_free(void) { return free_count; }
