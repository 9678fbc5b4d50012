// What start.S expects of an M-mode guest, and what it offers.
#pragma once

#include "trap_frame.h"

// Hart 0 runs this; the result is the exit code, 0 for success.
int main(uint64_t hart, const void *device_tree);

// The other harts run this, if the guest defines it. It may return: the hart is parked then.
void secondary_main(uint64_t hart, const void *device_tree);

// Ends the run through the test finisher.
__attribute__((noreturn)) void finish(int code);

// Sends M-mode traps to trap_handler, which the guest defines (link trap_entry.S).
void trap_init(void);
void trap_handler(struct trap_frame *frame);
