// What the kernel and its process agree on. Shared by C and assembly.
#pragma once

#define NOWHERE        0x50000000 // where there is nothing
#define READABLE       0x50001000 // a page that may only be read
#define EXECUTABLE     0x50002000 // one that may only be executed
#define ON_DEMAND      0x50003000 // one that is made when it is needed, word by word ON_DEMAND_WORD
#define ON_DEMAND_WORD 0x1234567
#define STACK_END      0x403ff000 // the lowest address of the stack
#define KERNEL_ADDRESS 0x80200000

#define CALL_EXIT 1 // (status)
