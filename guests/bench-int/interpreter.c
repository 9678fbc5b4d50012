// A stack machine's interpreter: one indirect jump for every operation.
#include "bench.h"

enum operation { PUSH, LOAD, STORE, ADD, SUB, MUL, AND, SHIFT_RIGHT, DUP, JUMP, JUMP_IF, HALT };

struct instruction {
    enum operation operation;
    int32_t operand;
};

enum variable { NUMBER, VALUE, TOTAL, VARIABLES };
enum label { NEXT = 2, STEP = 4, ODD = 16, JOIN = 21 };

// Adds up the lengths of the Collatz sequences that start at 30, 29, ... 2.
static const struct instruction program[] = {
    {PUSH, 30}, {STORE, NUMBER},
    /* NEXT */ {LOAD, NUMBER}, {STORE, VALUE},
    /* STEP */ {LOAD, TOTAL}, {PUSH, 1}, {ADD, 0}, {STORE, TOTAL},
    {LOAD, VALUE}, {PUSH, 1}, {AND, 0}, {JUMP_IF, ODD},
    {LOAD, VALUE}, {PUSH, 1}, {SHIFT_RIGHT, 0}, {JUMP, JOIN},
    /* ODD  */ {LOAD, VALUE}, {PUSH, 3}, {MUL, 0}, {PUSH, 1}, {ADD, 0},
    /* JOIN */ {STORE, VALUE},
    {LOAD, VALUE}, {PUSH, 1}, {SUB, 0}, {JUMP_IF, STEP},
    {LOAD, NUMBER}, {PUSH, 1}, {SUB, 0}, {DUP, 0}, {STORE, NUMBER},
    {PUSH, 1}, {SUB, 0}, {JUMP_IF, NEXT},
    {HALT, 0},
};

uint64_t interpreter_run(void) {
    int64_t stack[8], variables[VARIABLES] = {0};
    int64_t *sp = stack; // the first free place
    uint64_t executed = 0;
    for (const struct instruction *pc = program;; pc++) {
        executed++;
        switch (pc->operation) {
        case PUSH:
            *sp++ = pc->operand;
            break;
        case LOAD:
            *sp++ = variables[pc->operand];
            break;
        case STORE:
            variables[pc->operand] = *--sp;
            break;
        case ADD:
            sp--, sp[-1] += sp[0];
            break;
        case SUB:
            sp--, sp[-1] -= sp[0];
            break;
        case MUL:
            sp--, sp[-1] *= sp[0];
            break;
        case AND:
            sp--, sp[-1] &= sp[0];
            break;
        case SHIFT_RIGHT:
            sp--, sp[-1] >>= sp[0];
            break;
        case DUP:
            sp[0] = sp[-1], sp++;
            break;
        case JUMP:
            pc = program + pc->operand - 1;
            break;
        case JUMP_IF:
            if (*--sp)
                pc = program + pc->operand - 1;
            break;
        case HALT:
            return bench_mix(executed, (uint64_t)variables[TOTAL]);
        }
    }
}
