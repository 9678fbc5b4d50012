// A process: integer work on memory of its own, in steps of half a million instructions, each of
// which ends with a system call.
#include "bench.h"
#include "processes.h"

#define WORDS ((uint32_t)(DATA_PAGES * 4096 / sizeof(uint64_t)))
#define HOPS  4096u
#define SIEVE 16384u // bits
#define SIDE  24u

static uint64_t *const data = (uint64_t *)DATA;

static uint64_t count_primes(void) {
    uint8_t *composite = (uint8_t *)data;
    uint64_t primes = 0;
    for (uint32_t n = 0; n < SIEVE / 8; n++)
        composite[n] = 0;
    for (uint32_t n = 2; n < SIEVE; n++) {
        if (composite[n / 8] >> n % 8 & 1)
            continue;
        primes++;
        for (uint32_t multiple = 2 * n; multiple < SIEVE; multiple += n)
            composite[multiple / 8] |= 1 << multiple % 8;
    }
    return primes;
}

// Fills the data with numbers, and has each decide where to look next.
static uint64_t chase(uint64_t seed) {
    uint64_t checksum = 0;
    for (uint32_t n = 0; n < WORDS; n++)
        data[n] = bench_random(&seed);
    for (uint32_t n = 0, at = 0; n < HOPS; n++) {
        at = (data[at] + n) % WORDS;
        checksum += data[at] ^ n;
    }
    return checksum;
}

static uint64_t multiply(void) {
    uint64_t *a = data, *b = a + SIDE * SIDE, *product = b + SIDE * SIDE, checksum = 0;
    for (uint32_t n = 0; n < 2 * SIDE * SIDE; n++)
        data[n] = n * n % 97;
    for (uint32_t row = 0; row < SIDE; row++)
        for (uint32_t column = 0; column < SIDE; column++) {
            uint64_t sum = 0;
            for (uint32_t n = 0; n < SIDE; n++)
                sum += a[row * SIDE + n] * b[n * SIDE + column];
            product[row * SIDE + column] = sum;
            checksum = bench_mix(checksum, sum);
        }
    return checksum;
}

void work(uint64_t number) {
    uint64_t checksum;
    do {
        checksum = bench_mix(count_primes(), chase(number));
        checksum = bench_mix(checksum, multiply());
    } while (system_call(CALL_STEP, checksum));
    for (;;)
        ;
}
