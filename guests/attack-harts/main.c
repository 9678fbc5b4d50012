// Harts share memory, and each has translations of its own. Here a second hart changes what the
// first one's accesses rest on, between two of them, and the other way round: whoever keeps for one
// hart what another has undone gives it what it has no more right to; and whoever mixes up what is
// each hart's own gives it the other's. On one hart, the first does it all.
#include "attack.h"
#include "console.h"
#include "guest.h"
#include "sbi.h"
#include <stdbool.h>

#define HOST       (2ul << 36) // beyond any machine's memory
#define PAGES      3
#define MOST_HARTS 8

enum attack {
    TO_ANOTHER_PAGE = 1,
    TO_THE_HOST,
    TO_READ_ALONE,
    A_TABLE_IN_THE_HOST,
    THE_TABLE_AGAIN,
    OTHER_CODE,
    LOOK,        // what does the second hart find in the window?
    OWN_SPACE,   // from now on, another address space of the same ASID
    SHARED_SPACE // and the first again
};

static uint64_t own[PAGES][512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t own_root[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t own_middle[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t own_last[512] __attribute__((aligned(PAGE_SIZE)));

static uint64_t first_hart;
static bool helped; // there is a second hart
static volatile enum attack wanted;
static volatile uint64_t ordered, done; // how many
static volatile uint64_t looked_cause, looked_value;

void second_start(void);

static uint64_t page(unsigned n) { return (uint64_t)own[n]; }

static void put(volatile uint64_t *entry, uint64_t value) { *entry = value; }

// Has harts fence, by the firmware.
static void fence_harts(uint64_t mask, uint64_t base) {
    fence();
    sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, mask, base, 0);
}

static void fence_all(void) { fence_harts(0, -1ul); }

static void enter(const uint64_t *root) {
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root >> PAGE_SHIFT);
    sfence_vma();
}

static void look(void) {
    uint64_t value;
    looked_cause = try_load(WINDOW, &value);
    looked_value = value;
}

static void attack(enum attack what) {
    switch (what) {
    case TO_ANOTHER_PAGE:
        put(&last_table[0], entry_for(page(1), KERNEL_FLAGS));
        break;
    case TO_THE_HOST:
        put(&last_table[0], entry_for(HOST, KERNEL_FLAGS));
        break;
    case TO_READ_ALONE:
        put(&last_table[0], entry_for(page(0), PTE_V | PTE_R | PTE_A | PTE_D));
        break;
    case A_TABLE_IN_THE_HOST:
        put(&middle_table[0], entry_for(HOST, PTE_V));
        break;
    case THE_TABLE_AGAIN:
        put(&last_table[0], entry_for(page(0), KERNEL_FLAGS));
        put(&middle_table[0], entry_for((uint64_t)last_table, PTE_V));
        break;
    case OTHER_CODE:
        own[0][2] = 0x513ul | 77ul << 20 | 0x8067ul << 32; // li a0, 77; ret
        break;
    case LOOK:
        look();
        return;
    case OWN_SPACE:
        enter(own_root);
        look();
        if (!helped)
            enter(root_table);
        return;
    case SHARED_SPACE:
        enter(root_table);
        look();
        return;
    }
    fence_harts(1, first_hart);
}

// Where the second hart comes to: it does what it is told, for ever, and never waits.
void second_main(void) {
    attack_begin();
    for (;;) {
        if (done == ordered)
            continue;
        fence();
        attack(wanted);
        fence();
        done = done + 1;
    }
}

static void order(enum attack what) {
    if (!helped) {
        attack(what);
        return;
    }
    wanted = what;
    fence();
    ordered = ordered + 1;
    while (done != ordered)
        ;
    fence();
}

// Uses the first page of the window, in all ways.
static void use(const char *after) {
    uint64_t value, result;
    fence_i();
    printf("%-34s load %s", after, refused(try_load(WINDOW, &value)));
    printf(" (%lx), store %s", value, refused(try_store(WINDOW + 8, 1)));
    printf(", jump %s", refused(try_call(WINDOW + 16, &result)));
    printf(" (%lx)\n", result);
}

static void shown(const char *what) {
    printf("%-34s load %s (%lx)\n", what, refused(looked_cause), looked_value);
}

static void set_up(uint64_t hart) {
    for (unsigned n = 0; n < PAGES; n++) {
        own[n][0] = 0x1111 * (n + 1);
        // li a0, n + 1; ret
        own[n][2] = (0x513ul | (uint64_t)(n + 1) << 20) | 0x8067ul << 32;
    }
    attack_begin();
    for (unsigned n = 0; n < 512; n++)
        own_root[n] = root_table[n];
    own_root[WINDOW >> 30] = entry_for((uint64_t)own_middle, PTE_V);
    own_middle[0] = entry_for((uint64_t)own_last, PTE_V);
    own_last[0] = entry_for(page(2), KERNEL_FLAGS);
    window_map(0, page(0), KERNEL_FLAGS);
    first_hart = hart;
    fence();
    for (uint64_t other = 0; other < MOST_HARTS && !helped; other++)
        helped = sbi_call(SBI_EXT_HSM, SBI_HSM_HART_START, other, (uint64_t)second_start, 0)
                     .error == SBI_SUCCESS;
}

int main(uint64_t hart, const void *device_tree) {
    (void)device_tree;
    set_up(hart);
    use("own memory");

    // What the first uses, the second changes.
    order(TO_ANOTHER_PAGE);
    use("another page");
    order(TO_THE_HOST);
    use("the host's memory");
    order(TO_READ_ALONE);
    use("to be read alone");
    order(A_TABLE_IN_THE_HOST);
    use("a table in the host's memory");
    order(THE_TABLE_AGAIN);
    use("the table again");
    order(OTHER_CODE);
    use("other code");

    // What the second uses, the first changes.
    order(LOOK);
    shown("the other hart");
    put(&last_table[0], entry_for(page(1), KERNEL_FLAGS));
    fence_all();
    order(LOOK);
    shown("and after a change");
    put(&last_table[0], entry_for(HOST, KERNEL_FLAGS));
    fence_all();
    order(LOOK);
    shown("and of the host's memory");
    put(&last_table[0], entry_for(page(0), KERNEL_FLAGS));
    fence_all();

    // Address spaces are each hart's own, whatever ASID they have.
    order(OWN_SPACE);
    shown("the other hart in its own space");
    use("this one meanwhile");
    order(SHARED_SPACE);
    shown("the other hart, back again");
    return 0;
}
