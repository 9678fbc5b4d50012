// The console and the end of an M-mode guest, which owns the machine's devices itself.
#include "board.h"
#include "console.h"
#include "guest.h"

void console_putc(char c) { uart_putc(c); }

void finish(int code) { board_finish((uint16_t)code); }
