// Processes: those who compute and never ask for anything in between, and one that sleeps.
#include "timeslice.h"

#define LAST 3000

uint64_t hold(uint64_t seed, const uint64_t *count, uint64_t enough); // user_hold.S

// How many steps (3 n + 1, or n / 2) all numbers up to LAST of a residue need to come to 1.
static uint64_t count_steps(uint64_t residue) {
    uint64_t steps = 0;
    for (uint64_t first = 3 + residue; first <= LAST; first += 3)
        for (uint64_t n = first; n != 1; steps++)
            n = n % 2 ? 3 * n + 1 : n / 2;
    return steps;
}

void compute(uint64_t number) {
    system_call(CALL_RESULT, count_steps(number));
    system_call(CALL_EXIT, hold(number << 32, (const uint64_t *)PREEMPTIONS, ENOUGH));
}

void sleep_until_alone(uint64_t number) {
    (void)number;
    uint64_t naps = 0;
    while (!system_call(CALL_ALONE, 0)) {
        system_call(CALL_SLEEP, 1);
        naps = 1;
    }
    system_call(CALL_SLEEP, 3);
    system_call(CALL_RESULT, naps);
    system_call(CALL_EXIT, 0);
}
