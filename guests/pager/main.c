// Demand paging with replacement: the process's data are more pages than there are frames. A page that
// is not in a frame is on the "disk". Which page makes room is decided by the clock algorithm: a page
// whose A bit is set gets a second chance. What has no D bit need not be written back.
#include "console.h"
#include "guest.h"
#include "nucleus.h"
#include "pager.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t size);
void program(uint64_t argument);

#define FRAMES 6
#define NONE   DATA_PAGES

static struct process process;
static uint8_t disk[DATA_PAGES][PAGE_SIZE];
static struct frame {
    void *memory;
    unsigned page; // of the process's data, or NONE
} frames[FRAMES];
static unsigned hand; // of the clock

static uint64_t page_ins[DATA_PAGES];
static uint64_t evictions, write_backs, second_chances;

static uint64_t address_of(unsigned page) { return DATA + (uint64_t)page * PAGE_SIZE; }

// Takes the page away from a frame, and saves it if it was changed.
static void evict(struct frame *frame) {
    uint64_t address = address_of(frame->page);
    pte *entry = process_entry(&process, address);
    bool dirty = pte_get(entry) & PTE_D;
    pte_set(entry, 0);
    fence_page(address);
    if (dirty) {
        memcpy(disk[frame->page], frame->memory, PAGE_SIZE);
        write_backs++;
    }
    frame->page = NONE;
    evictions++;
}

static struct frame *frame_to_use(void) {
    for (;;) {
        struct frame *frame = &frames[hand];
        hand = (hand + 1) % FRAMES;
        if (frame->page == NONE)
            return frame;
        uint64_t address = address_of(frame->page);
        pte *entry = process_entry(&process, address);
        pte value = pte_get(entry);
        if (!(value & PTE_A)) {
            evict(frame);
            return frame;
        }
        pte_set(entry, value & ~(pte)PTE_A);
        fence_page(address); // so that the next access sets it again
        second_chances++;
    }
}

// A page fault: true if the process may try again.
static bool mend(uint64_t address, bool store) {
    if (address < DATA || address >= DATA + DATA_PAGES * PAGE_SIZE)
        return false;
    pte *entry = process_entry(&process, address);
    pte value = pte_get(entry);
    pte wanted = PTE_A | (store ? PTE_D : 0);
    if (value & PTE_V) { // a hart that does not set A and D itself
        if ((value & wanted) == wanted)
            return false;
        pte_set(entry, value | wanted);
    } else {
        unsigned page = (address - DATA) / PAGE_SIZE;
        struct frame *frame = frame_to_use();
        memcpy(frame->memory, disk[page], PAGE_SIZE);
        frame->page = page;
        page_ins[page]++;
        pte_set(entry, user_leaf(frame->memory, PTE_R | PTE_W));
    }
    fence_page(address);
    return true;
}

static void tell(uint64_t number) {
    uint64_t all = 0;
    for (unsigned page = 0; page < DATA_PAGES; page++)
        all += page_ins[page];
    printf("the process tells %lu; %lu page-ins, %lu evictions, %lu second chances, %lu write-backs\n",
           number, all, evictions, second_chances, write_backs);
}

static void end(uint64_t status) {
    printf("a page was brought in so many times:");
    for (unsigned page = 0; page < DATA_PAGES; page++)
        printf(" %lu", page_ins[page]);
    printf("\n");
    finish((int)status);
}

struct trap_frame *user_trap(struct trap_frame *frame) {
    switch (frame->cause) {
    case CAUSE_LOAD_PAGE_FAULT:
    case CAUSE_STORE_PAGE_FAULT:
        if (mend(frame->tval, frame->cause == CAUSE_STORE_PAGE_FAULT))
            return frame;
        break;
    case CAUSE_ECALL_U:
        frame->epc += 4;
        switch (frame->x[REG_A7]) {
        case CALL_TELL:
            tell(frame->x[REG_A0]);
            return frame;
        case CALL_ABSENT:
            for (struct frame *each = frames; each < frames + FRAMES; each++)
                if (each->page != NONE)
                    evict(each);
            return frame;
        case CALL_EXIT:
            end(frame->x[REG_A0]);
        }
    }
    printf("the process traps: cause %lu at %lx, value %lx\n", frame->cause, frame->epc,
           frame->tval);
    finish(4);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    nucleus_start();
    for (struct frame *each = frames; each < frames + FRAMES; each++)
        *each = (struct frame){page_allocate(), NONE};
    printf("%u pages of data, and %u frames for them\n", DATA_PAGES, FRAMES);
    process_make(&process, program, 0);
    process_activate(&process);
    hart_enter_user(&process.frame);
}
