// What the kernel and its process agree on.
#pragma once

#include "user.h"

#define DATA       0x50000000ul // where the process has its data
#define DATA_PAGES 24

enum {
    CALL_TELL,  // (number): the kernel prints how far the process is
    CALL_ABSENT, // the kernel takes all pages of data away
    CALL_EXIT,  // (status)
};
