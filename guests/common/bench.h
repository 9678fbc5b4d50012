// Benchmarks: parts that compute a checksum, repeated a given number of times.
//
// Every repetition computes the same, so what is printed does not depend on their number, and a
// host may choose that by patching the word `bench_iterations` (in .data) before the guest runs.
#pragma once

#include <stdint.h>

struct bench_part {
    const char *name;
    uint64_t (*run)(void); // computes a checksum, the same one each time
};

// The guest defines its parts, ended by one without a name, and how often to run them all.
extern const struct bench_part bench_parts[];
extern volatile uint64_t bench_iterations;

#define BENCH_ITERATIONS(count) \
    __attribute__((section(".data"))) volatile uint64_t bench_iterations = (count)

// Runs every part bench_iterations times and prints the checksums; 0 if none ever changed.
int bench_run(void);

// Stirs a value into a checksum (the finaliser of splitmix64 over their sum).
static inline uint64_t bench_mix(uint64_t checksum, uint64_t value) {
    checksum += value + 0x9e3779b97f4a7c15;
    checksum = (checksum ^ (checksum >> 30)) * 0xbf58476d1ce4e5b9;
    checksum = (checksum ^ (checksum >> 27)) * 0x94d049bb133111eb;
    return checksum ^ (checksum >> 31);
}

// A linear congruential generator; the high bits are the good ones.
static inline uint32_t bench_random(uint64_t *state) {
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(*state >> 32);
}
