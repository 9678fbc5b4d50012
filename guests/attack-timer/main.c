// A kernel that wants the hart for itself: it takes away every means by which it could be made to
// give it up. When it has had enough, its own timer is as it was.
#include "riscv.h"
#include "console.h"
#include "guest.h"
#include "sbi.h"
#include <stdbool.h>

#define NEVER (-1ul)
#define LOOPS 30000

static bool pending(void) { return csr_read(sip) & MIP_STIP; }

static unsigned keep_the_hart(void) {
    unsigned seen = 0;
    for (volatile unsigned n = 0; n < LOOPS; n++)
        seen += pending();
    return seen;
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    sbi_set_timer(0);
    printf("a timer in the past: pending %d\n", pending());
    csr_write(sie, 0);
    csr_clear(sstatus, MSTATUS_SIE);
    sbi_set_timer(NEVER);
    printf("a timer that never comes: pending %d\n", pending());
    printf("all interrupts off, in %d looks: pending %u\n", LOOPS, keep_the_hart());

    uint64_t before = mtime();
    sbi_set_timer(before + 1000);
    while (!pending())
        ;
    printf("a timer again: it came %s\n", mtime() - before >= 1000 ? "in time" : "too early");
    sbi_set_timer(NEVER);
    csr_set(sie, MIP_STIP);
    before = mtime();
    sbi_set_timer(before + 100000);
    wfi();
    printf("waiting for one: woken %s\n", mtime() - before >= 100000 ? "in time" : "too early");
    sbi_set_timer(NEVER);
    return 0;
}
