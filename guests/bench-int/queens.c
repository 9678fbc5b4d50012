// In how many ways can N queens stand on a board and attack none of the others? Recursion.
#include "bench.h"

#define N 7

static uint64_t place(uint32_t columns, uint32_t left, uint32_t right) {
    uint32_t all = (1u << N) - 1;
    if (columns == all)
        return 1;
    uint64_t solutions = 0;
    for (uint32_t free = all & ~(columns | left | right); free;) {
        uint32_t queen = free & -free;
        free ^= queen;
        solutions += place(columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return solutions;
}

uint64_t queens_run(void) { return place(0, 0, 0); }
