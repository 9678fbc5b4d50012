// Two small VS-mode programs that a hypervisor must cope with. They are copied to GUEST_KERNEL of a
// VM and run there, so they name their own data relative to pc.
#include "riscv.h"

#define EXT_DBCN 0x4442434e // SBI: the debug console
#define EXT_SRST 0x53525354 // SBI: system reset

// Prints a text, by way of its (guest-physical) address: there is no paging here.
.macro SAY text, end
    lla a1, \text
    lla a0, \end
    sub a0, a0, a1
    li a2, 0
    li a6, 0 // console write
    li a7, EXT_DBCN
    ecall
.endm

    .section .rodata.rogues
    .option norelax
    .balign 8
    .globl intruder, intruder_end
intruder:
    SAY text_intruder, text_intruder_end

    // A hypervisor's register: this hart may well have it, but this machine does not.
    lla t0, refused
    csrw stvec, t0
    csrr t0, hgatp
    SAY text_wrong, text_wrong_end
    j off
    .balign 4
refused:
    csrr t0, scause
    li t1, CAUSE_ILLEGAL_INSTRUCTION
    bne t0, t1, off
    SAY text_refused, text_refused_end

    // The first byte behind its own memory. Somebody has memory there, but not at this address.
    li t0, 0x80400000
    sb zero, 0(t0)
    SAY text_wrong, text_wrong_end
off:
    li a0, 0 // shut down
    li a1, 1 // because something failed
    li a6, 0
    li a7, EXT_SRST
    ecall
    j off

text_intruder:
    .ascii "I look for a way out of my machine\n"
text_intruder_end:
text_refused:
    .ascii "reading hgatp is an illegal instruction here; now for the memory behind mine\n"
text_refused_end:
text_wrong:
    .ascii "THAT WORKED\n"
text_wrong_end:
intruder_end:

    .balign 8
    .globl spinner, spinner_end
spinner:
    SAY text_spinner, text_spinner_end
    csrw sie, zero // nothing of its own will interrupt this
1:  j 1b

text_spinner:
    .ascii "I never give the processor back\n"
text_spinner_end:
spinner_end:
