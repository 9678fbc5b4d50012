// Registers and CSRs of a hart that others use as well: what is there is this guest's, whoever had
// the hart in between. A host may write another seed into the image, so that several of these
// guests differ.
#include "attack.h"
#include "console.h"
#include "guest.h"
#include "sbi.h"
#include <stdbool.h>

#define ROUNDS 8
#define LOOPS  100000ul // enough for other guests to have their turns

uint64_t leak_seed __attribute__((section(".data"))) = 1;

struct registers {
    uint64_t x[32]; // only some of them: 18 to 27
    uint64_t f[32];
    uint64_t fcsr, sscratch, sepc, scause, stval, scounteren, sie;
};

extern void leak_spin(struct registers *registers, uint64_t loops);

static uint64_t mix(uint64_t n) {
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ul;
    n = (n ^ n >> 27) * 0x94d049bb133111ebul;
    return n ^ n >> 31;
}

static struct registers before, after;
static unsigned different;

static void compare(const char *name, uint64_t expected, uint64_t found) {
    if (expected != found) {
        printf("%s: %lx became %lx\n", name, expected, found);
        different++;
    }
}

static uint64_t reserved;
static volatile unsigned kept; // reservations, which a host may break, but not only when it is shared

// A reservation for sc, in every other round: other guests' fail then, and this one's in the others.
static void reserve(void) {
    uint64_t value;
    __asm__ volatile("lr.d %0, (%1)" : "=r"(value) : "r"(&reserved) : "memory");
}

static bool store_conditional(void) {
    uint64_t failed;
    __asm__ volatile("sc.d %0, zero, (%1)" : "=r"(failed) : "r"(&reserved) : "memory");
    return !failed;
}

static void look(uint64_t round) {
    bool reserves = (leak_seed + round) & 1;
    uint64_t n = leak_seed * 1000 + round * 100;
    for (unsigned r = 18; r < 28; r++)
        before.x[r] = mix(n + r);
    for (unsigned r = 0; r < 32; r++)
        before.f[r] = mix(n + 32 + r);
    before.fcsr = mix(n + 64) & 0x9f; // rounding modes 0 to 4
    before.sscratch = mix(n + 65);
    before.sepc = mix(n + 66) & ~3ul;
    before.scause = mix(n + 67) & 15;
    before.stval = mix(n + 68) & 0xffffffff;
    before.scounteren = mix(n + 69) & 7;
    before.sie = mix(n + 70) & (MIP_SSIP | MIP_STIP | MIP_SEIP);
    after = before;
    if (reserves)
        reserve();
    leak_spin(&after, LOOPS);
    bool stored = store_conditional();
    if (stored && !reserves) {
        printf("a reservation that is not this guest's\n");
        different++;
    }
    kept += stored;
    for (unsigned r = 18; r < 28; r++)
        compare("an integer register", before.x[r], after.x[r]);
    for (unsigned r = 0; r < 32; r++)
        compare("a floating-point register", before.f[r], after.f[r]);
    compare("fcsr", before.fcsr, after.fcsr);
    compare("sscratch", before.sscratch, after.sscratch);
    compare("sepc", before.sepc, after.sepc);
    compare("scause", before.scause, after.scause);
    compare("stval", before.stval, after.stval);
    compare("scounteren", before.scounteren, after.scounteren);
    compare("sie", before.sie, after.sie);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    attack_begin();
    csr_clear(sstatus, MSTATUS_SIE);
    csr_set(sstatus, MSTATUS_FS_DIRTY);
    for (uint64_t round = 0; round < ROUNDS; round++)
        look(round);
    printf("%d rounds: %u registers are not as they were\n", ROUNDS, different);

    // Nothing is pending that this guest has not asked for.
    sbi_set_timer(-1ul);
    uint64_t pending = 0;
    for (volatile unsigned n = 0; n < 10000; n++)
        pending |= csr_read(sip);
    printf("interrupts pending: %lx\n", pending);
    return 0;
}
