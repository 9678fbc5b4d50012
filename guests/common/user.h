// What programs of processes share: the system call. Each kernel has numbers of its own.
#pragma once

#include <stdint.h>

static inline uint64_t system_call(uint64_t number, uint64_t argument) {
    register uint64_t a0 __asm__("a0") = argument;
    register uint64_t a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
    return a0;
}
