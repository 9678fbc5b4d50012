// A state machine that splits text into words, integers, decimals and hexadecimal numbers.
#include "bench.h"

enum state { START, WORD, ZERO, INTEGER, DECIMAL, EXPONENT, HEX, BAD, STATES };

static const char *const tokens[] = {
    "fence", "0x7fff", "12345", "3.25", "-17", "1.5e9", "x31", "0",
    "12ab", "hart", "0xg", "6e", "2048", "0.001", "satp", "--",
};

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static int is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static enum state step(enum state state, char c) {
    switch (state) {
    case START:
        if (c == '-')
            return INTEGER;
        if (c == '0')
            return ZERO;
        return is_digit(c) ? INTEGER : is_letter(c) ? WORD : BAD;
    case WORD:
        return is_letter(c) || is_digit(c) ? WORD : BAD;
    case ZERO:
        if (c == 'x')
            return HEX;
        // fall through
    case INTEGER:
        if (c == '.')
            return DECIMAL;
        if (c == 'e')
            return EXPONENT;
        return is_digit(c) ? INTEGER : BAD;
    case DECIMAL:
        if (c == 'e')
            return EXPONENT;
        return is_digit(c) ? DECIMAL : BAD;
    case EXPONENT:
        return is_digit(c) ? EXPONENT : BAD;
    case HEX:
        return is_digit(c) || (c >= 'a' && c <= 'f') ? HEX : BAD;
    default:
        return BAD;
    }
}

uint64_t scanner_run(void) {
    static char text[1024];
    uint64_t seed = 3;
    int length = 0;
    while (length < (int)sizeof text - 16) {
        for (const char *c = tokens[bench_random(&seed) % 16]; *c; c++)
            text[length++] = *c;
        text[length++] = ' ';
    }

    uint32_t ended[STATES] = {0}, visited[STATES] = {0};
    for (int pass = 0; pass < 4; pass++) {
        enum state state = START;
        for (int i = 0; i < length; i++) {
            if (text[i] == ' ') {
                ended[state]++;
                state = START;
            } else {
                state = step(state, text[i]);
                visited[state]++;
            }
        }
    }
    uint64_t checksum = 0;
    for (int i = 0; i < STATES; i++)
        checksum = bench_mix(checksum, ended[i] * 100000ul + visited[i]);
    return checksum;
}
