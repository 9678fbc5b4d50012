// What the kernel and its processes agree on.
#pragma once

#include "user.h"

// Pages of data that a process has, from 0x50000000 up.
#define DATA       0x50000000ul
#define DATA_PAGES 16

enum {
    CALL_STEP, // (checksum): a step of the work is done; returns whether there is another
};
