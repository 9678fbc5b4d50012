// Where things are, in physical memory and in the two halves of the Sv39 address space.
// Shared by C, assembly, and (by hand) tinyos.ld.
#pragma once

// Physical: firmware, then the kernel's image with the user programs' image inside, then pages to
// give out. 8 MiB of RAM are enough.
#define KERNEL_PHYSICAL 0x80200000
#define USER_IMAGE      0x80300000
#define HEAP_START      0x80400000
#define HEAP_END        0x80800000

// A paravirtual kernel's first page tables, and those of the pages to give out, which it must not
// have mapped for stores (boot_paravirt.c).
#define PV_TABLES HEAP_END

// Virtual, upper half: all of RAM, at a constant distance from its physical address.
#define RAM_PHYSICAL 0x80000000
#define RAM_VIRTUAL  0xffffffc000000000
#define RAM_DISTANCE (RAM_VIRTUAL - RAM_PHYSICAL)

// Virtual, lower half: one process.
#define USER_TEXT        0x00010000
#define USER_HEAP        0x01000000 // grows up with sbrk
#define USER_HEAP_LIMIT  0x02000000
#define USER_SHARED      0x03000000 // one page that fork does not copy
#define USER_STACK_LIMIT 0x03ff0000
#define USER_STACK_TOP   0x04000000 // grows down, 64 KiB at most
