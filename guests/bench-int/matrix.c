// Matrices of 16-bit integers: products, sums, and extraction of bit fields.
#include "bench.h"

#define N 24

static int16_t a[N][N], b[N][N];
static int32_t product[N][N];

static void fill(uint64_t seed) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = (int16_t)bench_random(&seed);
            b[i][j] = (int16_t)(bench_random(&seed) & 0xff);
        }
    }
}

static void multiply(void) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            int32_t sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i][k] * b[k][j];
            product[i][j] = sum;
        }
    }
}

// The same with the middle bits of each product only.
static void multiply_bits(void) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            uint32_t sum = 0;
            for (int k = 0; k < N; k++) {
                uint32_t p = (uint32_t)(a[i][k] * b[k][j]);
                sum += ((p >> 2) & 15) * ((p >> 5) & 127);
            }
            product[i][j] = (int32_t)sum;
        }
    }
}

static uint64_t sum_up(void) {
    uint64_t checksum = 0;
    int32_t running = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            int32_t previous = j > 0 ? product[i][j - 1] : 0;
            running += product[i][j] > previous ? 10 : product[i][j] & 7;
        }
        checksum = bench_mix(checksum, (uint64_t)running);
    }
    return checksum;
}

uint64_t matrix_run(void) {
    fill(2);
    multiply();
    uint64_t checksum = sum_up();
    multiply_bits();
    return bench_mix(checksum, sum_up());
}
