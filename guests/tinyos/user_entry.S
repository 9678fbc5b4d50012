// A user program starts here, at USER_TEXT, and asks the kernel for things from here.
#include "syscall.h"

    .cfi_sections .debug_frame
    .section .text.start, "ax"
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
    call user_main
    call exit
    .cfi_endproc

.macro SYSTEM_CALL name, number
    .globl \name
\name:
    .cfi_startproc
    li a7, \number
    ecall
    ret
    .cfi_endproc
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
