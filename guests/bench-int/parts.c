// The parts of the integer benchmark, each in a file of its own.
#include "bench.h"

uint64_t list_run(void);
uint64_t matrix_run(void);
uint64_t scanner_run(void);
uint64_t crc_run(void);
uint64_t interpreter_run(void);
uint64_t queens_run(void);

const struct bench_part bench_parts[] = {
    {"list", list_run},
    {"matrix", matrix_run},
    {"scanner", scanner_run},
    {"crc", crc_run},
    {"interpreter", interpreter_run},
    {"queens", queens_run},
    {0, 0},
};

BENCH_ITERATIONS(300);
