// What the kernel and its processes agree on.
#pragma once

#include "user.h"

// A page that a process may read: how often the timer has taken the hart from it.
#define PREEMPTIONS 0x50000000ul

#define ENOUGH 5 // so often each is preempted before it ends

enum {
    CALL_RESULT, // (number)
    CALL_ALONE,  // returns 1 if all other processes have ended
    CALL_SLEEP,  // (ticks)
    CALL_EXIT,   // (status)
};
