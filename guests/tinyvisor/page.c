// Physical pages: those that never were used, in order, and those that came back, in a list.
#include "tinyvisor.h"

// The board's first 128 MiB of RAM; firmware and our own image come before __end.
#define RAM_END 0x88000000ul

void *memset(void *destination, int byte, size_t size);

extern char __end[]; // supervisor.ld

struct free_page {
    struct free_page *next;
};

static struct free_page *first_free;
static uint64_t next_unused, used;

void *page_allocate(void) {
    if (next_unused == 0)
        next_unused = ((uint64_t)__end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    used++;
    if (first_free != NULL) {
        struct free_page *page = first_free;
        first_free = page->next;
        return memset(page, 0, PAGE_SIZE); // what it held was another VM's
    }
    if (next_unused == RAM_END)
        panic("out of memory");
    void *page = (void *)next_unused;
    next_unused += PAGE_SIZE;
    return memset(page, 0, PAGE_SIZE);
}

void page_release(void *page) {
    struct free_page *free = page;
    free->next = first_free;
    first_free = free;
    used--;
}

uint64_t pages_used(void) { return used; }
