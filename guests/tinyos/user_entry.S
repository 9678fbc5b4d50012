// A user program starts here, at USER_TEXT, and asks the kernel for things from here.
#include "syscall.h"

    .section .text.start, "ax"
    call user_main
    call exit

.macro SYSTEM_CALL name, number
    .globl \name
\name:
    li a7, \number
    ecall
    ret
.endm

    .text
    SYSTEM_CALL write, SYS_WRITE
    SYSTEM_CALL getpid, SYS_GETPID
    SYSTEM_CALL yield, SYS_YIELD
    SYSTEM_CALL sleep, SYS_SLEEP
    SYSTEM_CALL uptime, SYS_UPTIME
    SYSTEM_CALL sbrk, SYS_SBRK
    SYSTEM_CALL fork, SYS_FORK
    SYSTEM_CALL wait, SYS_WAIT
    SYSTEM_CALL exit, SYS_EXIT
