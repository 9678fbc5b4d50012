// System calls, for the kernel and the user programs: the number in a7, arguments from a0, the
// result in a0; -1 means that the kernel refused.
#pragma once

#define SYS_WRITE  1 // (text, length) -> length
#define SYS_GETPID 2 // () -> pid
#define SYS_YIELD  3 // ()
#define SYS_SLEEP  4 // (ticks)
#define SYS_UPTIME 5 // () -> ticks
#define SYS_SBRK   6 // (bytes) -> where they start
#define SYS_FORK   7 // () -> the child's pid; 0 in the child
#define SYS_WAIT   8 // (pointer to the exit code, or 0) -> pid of a child that ended
#define SYS_EXIT   9 // (code)
