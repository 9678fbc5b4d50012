// A process that uses more pages than there are frames, and one of them all the time.
#include "pager.h"

#define WORDS     512 // of a page
#define ACCESSES  3000
#define HOT       5

static volatile uint64_t *page_at(unsigned page) { return (volatile uint64_t *)DATA + page * WORDS; }

static uint64_t next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ul + 1442695040888963407ul;
    return *seed >> 33;
}

// Every word is what it was last set to, if the kernel loses nothing: page and word, and how often
// it was increased since.
static uint64_t first_value(unsigned page, unsigned word) { return (uint64_t)page << 32 | word << 16; }

static uint64_t sum_all(void) {
    uint64_t sum = 0;
    for (unsigned page = 0; page < DATA_PAGES; page++)
        for (unsigned word = 0; word < WORDS; word++)
            sum += page_at(page)[word] - first_value(page, word);
    return sum;
}

void program(uint64_t argument) {
    (void)argument;
    for (unsigned page = 0; page < DATA_PAGES; page++)
        for (unsigned word = 0; word < WORDS; word++)
            page_at(page)[word] = first_value(page, word);
    system_call(CALL_TELL, 0);

    uint64_t seed = 1, increased = 0;
    for (unsigned access = 0; access < ACCESSES; access++) {
        unsigned page = next(&seed) % DATA_PAGES, word = next(&seed) % WORDS;
        if (page % 3 == 0) { // the others are only read from here on
            page_at(page)[word]++;
            increased++;
        }
        if (page_at(page)[word] >> 32 != page)
            system_call(CALL_EXIT, 1);
        if (page_at(HOT)[0] != first_value(HOT, 0))
            system_call(CALL_EXIT, 2);
    }
    system_call(CALL_TELL, increased);
    if (sum_all() != increased)
        system_call(CALL_EXIT, 3);
    system_call(CALL_TELL, sum_all());
    system_call(CALL_ABSENT, 0);
    system_call(CALL_TELL, sum_all());
    system_call(CALL_EXIT, 0);
}
