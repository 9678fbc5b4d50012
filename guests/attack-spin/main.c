// A kernel that never gives up control: no interrupts, no traps, no calls, no end for a long while.
#include "console.h"
#include "guest.h"
#include "riscv.h"

#define LOOPS 10000000ul

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    csr_write(sie, 0);
    csr_clear(sstatus, MSTATUS_SIE);
    printf("%lu loops begin\n", LOOPS);
    uint64_t left = LOOPS;
    __asm__ volatile("1: addi %0, %0, -1\n"
                     "   bnez %0, 1b"
                     : "+r"(left));
    printf("%lu are left\n", left);
    return 0;
}
