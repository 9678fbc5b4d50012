// Where the second hart begins, in S-mode with paging off.
    .text
    .globl second_start
second_start:
    la sp, second_stack_top
    tail second_main

    .bss
    .balign 16
    .space 8192
second_stack_top:
