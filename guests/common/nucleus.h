// A nucleus for small S-mode kernels: Sv39 page tables for the kernel and for each process, natively
// and in a paravirtual machine. Traps come by hart.h.
#pragma once

#include "hart.h"

// Physical memory, 2 MiB each: the kernel with the programs' image in its second half (nucleus.ld),
// tables, and pages to give out. The kernel has all of it mapped where it is.
#define KERNEL     0x80200000ul
#define USER_IMAGE 0x80300000ul
#define TABLES     0x80400000ul
#define PAGES      0x80600000ul

// Virtual, in each process: all programs, a stack of one page, and what the kernel puts there.
#define USER_TEXT      0x40000000ul
#define USER_STACK_TOP 0x40400000ul
#define USER_DATA      0x50000000ul

struct process {
    struct trap_frame frame; // first: all that kernel_entry.S knows of it
    pte *root;
};

// Turns paging on. To be called once, before anything else of these.
void nucleus_start(void);

void *page_allocate(void); // not cleared, and for good

// Makes a process that will call program(argument) when it is entered, and maps the programs and its
// stack. Its address space stays if it is made again.
void process_make(struct process *process, void (*program)(uint64_t), uint64_t argument);

// The entry for an address of a process, of a page of 4 KiB; the tables above it are made.
pte *process_entry(struct process *process, uint64_t address);

// An entry that maps a page. flags: PTE_R to PTE_X, PTE_A, PTE_D.
pte user_leaf(const void *page, uint64_t flags);

// The process's address space is used from now on, with all changes of its entries.
void process_activate(const struct process *process);
