// Memory: copies, fills, dependent loads, strides, single bytes.
#include "bench.h"
#include "guest.h"
#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t size);
void *memset(void *destination, int byte, size_t size);

#define SIZE  (256 * 1024)
#define WORDS (SIZE / sizeof(uint64_t))

static uint64_t source[WORDS], destination[WORDS];
static uint32_t chain[WORDS / 4];

static void fill(uint64_t seed) {
    for (size_t i = 0; i < WORDS; i += 16)
        source[i] = bench_random(&seed);
}

static uint64_t copy(void) {
    fill(1);
    uint64_t checksum = 0;
    for (size_t size = 64; size <= SIZE; size *= 4) {
        memcpy(destination, source, size);
        checksum = bench_mix(checksum, destination[size / 8 - 16 % (size / 8)]);
    }
    // Source and destination that are aligned differently go byte by byte.
    memcpy((char *)destination + 1, source, 4096);
    return bench_mix(checksum, destination[100]);
}

static uint64_t set(void) {
    uint64_t checksum = 0;
    for (int byte = 1; byte < 4; byte++) {
        memset(destination, byte, SIZE);
        memset((char *)destination + byte, 0, 1001);
        checksum = bench_mix(checksum, destination[125] + destination[WORDS - 1]);
    }
    return checksum;
}

// Each load's address is the previous load's result; one cycle through all places, made by
// Sattolo's shuffle.
static uint64_t chase(void) {
    const uint32_t count = sizeof chain / sizeof chain[0];
    uint64_t seed = 5;
    for (uint32_t i = 0; i < count; i++)
        chain[i] = i;
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = bench_random(&seed) % i;
        uint32_t swapped = chain[i];
        chain[i] = chain[j];
        chain[j] = swapped;
    }
    uint32_t place = 0;
    uint64_t checksum = 0;
    for (uint32_t i = 0; i < 4 * count; i++) {
        place = chain[place];
        checksum += place ^ i;
    }
    return bench_mix(checksum, place);
}

static uint64_t strides(void) {
    fill(6);
    uint64_t checksum = 0;
    for (size_t stride = 1; stride <= 512; stride *= 8) {
        uint64_t sum = 0;
        for (size_t start = 0; start < stride && start < 32; start++)
            for (size_t i = start; i < WORDS; i += stride)
                sum += source[i] + i;
        checksum = bench_mix(checksum, sum);
    }
    return checksum;
}

// Loads and stores of every width, signed and unsigned.
static uint64_t widths(void) {
    fill(7);
    volatile void *p = source;
    uint64_t sum = 0;
    for (size_t i = 0; i < SIZE; i += 64) {
        sum += ((volatile uint8_t *)p)[i] + (uint64_t)((volatile int8_t *)p)[i + 1];
        sum += ((volatile uint16_t *)p)[i / 2] + (uint64_t)((volatile int16_t *)p)[i / 2 + 1];
        sum += ((volatile uint32_t *)p)[i / 4] + (uint64_t)((volatile int32_t *)p)[i / 4 + 1];
        ((volatile uint8_t *)p)[i + 9] = (uint8_t)sum;
        ((volatile uint16_t *)p)[i / 2 + 6] = (uint16_t)sum;
        ((volatile uint32_t *)p)[i / 4 + 5] = (uint32_t)sum;
    }
    for (size_t i = 0; i < WORDS; i++)
        source[i] = 0; // as it was, for the other parts
    return sum;
}

const struct bench_part bench_parts[] = {
    {"copy", copy}, {"set", set}, {"chase", chase}, {"strides", strides}, {"widths", widths},
    {0, 0},
};

BENCH_ITERATIONS(100);

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    return bench_run();
}
