// One VM, with the guest that guest.toml embeds: a benchmark, to be compared with itself in S-mode.
#include "bench.h"
#include "tinyvisor.h"

BENCH_ITERATIONS(150); // the guest's, by our order

const struct vm_config vm_configs[] = {
    {.memory = 64 << 20, .patch = "bench_iterations", .patch_value = &bench_iterations},
    {0},
};
