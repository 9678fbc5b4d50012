// What a user program has: system calls, and a way to print.
#pragma once

#include <stdint.h>

int64_t write(const void *text, uint64_t length);
int64_t getpid(void);
void yield(void);
void sleep(uint64_t ticks);
uint64_t uptime(void);
void *sbrk(uint64_t bytes);
int64_t fork(void);
int64_t wait(int64_t *code);
__attribute__((noreturn)) void exit(int64_t code);

// Prints one line, as one write, with the process's number before it.
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
