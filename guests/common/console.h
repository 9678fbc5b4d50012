// Printing. Who links printf.c provides console_putc: uart.c for M-mode guests, an SBI call for
// S-mode ones.
#pragma once

void console_putc(char c);

// Knows %d %u %x %c %s %p %%, an `l` before d, u, x, a width, `0` for zero padding and `-` for left.
__attribute__((format(printf, 1, 2))) void printf(const char *format, ...);
