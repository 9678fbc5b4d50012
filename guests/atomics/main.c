// The A extension: LR/SC and every AMO by their results, then all harts at once on shared memory.
//
// Prints the same on one hart and on several: what is counted is compared with what was done.
#include "board.h"
#include "console.h"
#include "device_tree.h"
#include "guest.h"
#include "riscv.h"
#include <stdbool.h>

static int failures;

static void check(const char *what, bool good) {
    printf("%-28s %s\n", what, good ? "ok" : "WRONG");
    failures += !good;
}

// Operands that tell signed from unsigned, and 32 bits from 64.
#define OLD_W    0x11111111fffffff0ul // the upper half must survive a .w operation
#define OLD_D    0x80000000fffffff0ul
#define OPERAND  0x7000000000000135ul

// One AMO: prints the old value it loaded and the new one it stored.
#define AMO(name, old)                                                                       \
    ({                                                                                       \
        uint64_t memory_ = (old), loaded_;                                                   \
        __asm__ volatile(name " %0, %2, (%1)"                                                \
                         : "=&r"(loaded_)                                                    \
                         : "r"(&memory_), "r"(OPERAND)                                       \
                         : "memory");                                                        \
        printf("%-12s loaded %016lx, stored %016lx\n", name, loaded_, memory_);              \
    })

static void amos(void) {
    AMO("amoswap.w", OLD_W);
    AMO("amoadd.w", OLD_W);
    AMO("amoxor.w", OLD_W);
    AMO("amoand.w", OLD_W);
    AMO("amoor.w", OLD_W);
    AMO("amomin.w", OLD_W);
    AMO("amomax.w", OLD_W);
    AMO("amominu.w", OLD_W);
    AMO("amomaxu.w", OLD_W);
    AMO("amoswap.d", OLD_D);
    AMO("amoadd.d", OLD_D);
    AMO("amoxor.d", OLD_D);
    AMO("amoand.d", OLD_D);
    AMO("amoor.d", OLD_D);
    AMO("amomin.d", OLD_D);
    AMO("amomax.d", OLD_D);
    AMO("amominu.d", OLD_D);
    AMO("amomaxu.d", OLD_D);
}

static uint64_t load_reserved(const uint64_t *p) {
    uint64_t value;
    __asm__ volatile("lr.d.aq %0, (%1)" : "=r"(value) : "r"(p) : "memory");
    return value;
}

// 0 if the store was done.
static uint64_t store_conditional(uint64_t *p, uint64_t value) {
    uint64_t failed;
    __asm__ volatile("sc.d.rl %0, %2, (%1)" : "=&r"(failed) : "r"(p), "r"(value) : "memory");
    return failed;
}

// Tries lr/sc until it succeeds, as one must: adds to *p and returns the old value.
static uint64_t add_reserved(uint64_t *p, uint64_t amount) {
    uint64_t old, scratch;
    __asm__ volatile("1: lr.d.aq %0, (%2)\n"
                     "   add %1, %0, %3\n"
                     "   sc.d.rl %1, %1, (%2)\n"
                     "   bnez %1, 1b\n"
                     : "=&r"(old), "=&r"(scratch)
                     : "r"(p), "r"(amount)
                     : "memory");
    return old;
}

static uint32_t add_reserved_w(uint32_t *p, uint32_t amount) {
    uint64_t old, scratch;
    __asm__ volatile("1: lr.w %0, (%2)\n"
                     "   addw %1, %0, %3\n"
                     "   sc.w %1, %1, (%2)\n"
                     "   bnez %1, 1b\n"
                     : "=&r"(old), "=&r"(scratch)
                     : "r"(p), "r"((uint64_t)amount)
                     : "memory");
    return (uint32_t)old;
}

static void reservations(void) {
    static uint64_t cell, other[64];
    cell = 5;
    check("lr/sc adds", add_reserved(&cell, 7) == 5 && cell == 12);
    uint32_t half = 0xffffffff;
    check("lr.w/sc.w wraps", add_reserved_w(&half, 2) == 0xffffffff && half == 1);

    // A store conditional ends the reservation, whether it succeeds or not.
    while (load_reserved(&cell), store_conditional(&cell, 1) != 0)
        ;
    check("sc without lr fails", store_conditional(&cell, 2) != 0 && cell == 1);
    load_reserved(&cell);
    check("sc elsewhere fails", store_conditional(&other[32], 3) != 0 && other[32] == 0);
    check("and ends the reservation", store_conditional(&cell, 4) != 0 && cell == 1);
}

// All harts together.
#define ROUNDS    2000
#define MAX_HARTS 8

static uint32_t arrived;            // harts that are here
static uint32_t finished;           // harts that have done their rounds
static volatile uint32_t may_start; // set by hart 0

static uint64_t counter_amo, counter_lrsc;
static uint32_t counter_w;
static uint32_t lock;
static volatile uint64_t locked_counter, locked_check; // changed only by the lock's holder
static uint64_t seen_or;

static uint32_t amoadd_w(uint32_t *p, uint32_t amount) {
    uint32_t old;
    __asm__ volatile("amoadd.w.aqrl %0, %2, (%1)" : "=&r"(old) : "r"(p), "r"(amount) : "memory");
    return old;
}

static void acquire(uint32_t *p) {
    uint32_t held;
    do {
        __asm__ volatile("amoswap.w.aq %0, %2, (%1)" : "=&r"(held) : "r"(p), "r"(1) : "memory");
    } while (held);
}

static void release(uint32_t *p) {
    __asm__ volatile("amoswap.w.rl x0, x0, (%0)" ::"r"(p) : "memory");
}

static void work(uint64_t hart) {
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile("amoadd.d x0, %1, (%0)" ::"r"(&counter_amo), "r"(1ul) : "memory");
        add_reserved(&counter_lrsc, 1);
        add_reserved_w(&counter_w, 1);
        acquire(&lock);
        locked_counter = locked_counter + 1;
        locked_check = locked_check + locked_counter;
        release(&lock);
    }
    __asm__ volatile("amoor.d x0, %1, (%0)" ::"r"(&seen_or), "r"(1ul << hart) : "memory");
    amoadd_w(&finished, 1);
}

// Where the other harts come to (start.S).
void secondary_main(uint64_t hart, const void *device_tree) {
    (void)device_tree;
    amoadd_w(&arrived, 1);
    while (!may_start)
        ;
    fence();
    work(hart);
}

static void all_harts(const void *device_tree) {
    uint32_t harts = device_tree_harts(device_tree);
    if (harts > MAX_HARTS)
        harts = MAX_HARTS; // start.S parks the others
    amoadd_w(&arrived, 1);
    while (amoadd_w(&arrived, 0) < harts)
        ;
    fence();
    may_start = 1;
    work(0);
    while (amoadd_w(&finished, 0) < harts)
        ;

    uint64_t total = (uint64_t)harts * ROUNDS;
    check("every hart took part", seen_or == (1ul << harts) - 1);
    check("amoadd.d lost nothing", counter_amo == total);
    check("lr.d/sc.d lost nothing", counter_lrsc == total);
    check("lr.w/sc.w lost nothing", counter_w == total);
    check("the lock kept others out",
          locked_counter == total && locked_check == total * (total + 1) / 2);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    amos();
    reservations();
    all_harts(device_tree);
    return failures;
}
