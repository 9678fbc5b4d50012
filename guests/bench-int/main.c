// Integer work of the kinds that compiled programs do: pointers, tables, calls, unpredictable
// branches, multiplication, bit twiddling. This main is for M-mode, without paging.
#include "bench.h"
#include "guest.h"

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    return bench_run();
}
