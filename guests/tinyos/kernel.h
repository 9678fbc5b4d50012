// The kernel's types, and what each of its files offers the others.
#pragma once

#include "console.h"
#include "fp_registers.h"
#include "hart.h"
#include "layout.h"

// Software's two bits in a page table entry.
#define PTE_COW    PTE_RSW0 // writable, once it is copied
#define PTE_SHARED PTE_RSW1 // fork gives the child this very page

enum process_state { FREE, RUNNABLE, SLEEPING, WAITING, ZOMBIE };

struct process {
    struct trap_frame frame; // first: all that kernel_entry.S knows of it
    enum process_state state;
    uint64_t pid; // from 1, never reused; also its ASID, where the hart has enough of them
    struct process *parent;
    pte *page_table;
    uint64_t heap_end;  // what sbrk has promised
    uint64_t wake_tick; // SLEEPING: until then
    int64_t exit_code;  // ZOMBIE
    struct fp_state fp;
};

// main.c
__attribute__((noreturn)) void panic(const char *reason);
__attribute__((noreturn)) void power_off(void);

// page.c: physical pages, named by their kernel virtual address. Pages are counted references.
void page_init(void);
void *page_allocate(void); // zeroed; panics when there are none
void page_share(void *page);
void page_release(void *page);
unsigned page_references(const void *page);
uint64_t pages_free(void);

static inline uint64_t to_physical(const void *p) { return (uint64_t)p - RAM_DISTANCE; }
static inline void *to_virtual(uint64_t physical) { return (void *)(physical + RAM_DISTANCE); }

// vm.c: address spaces.
void vm_init(void);
void vm_activate(const struct process *process);
void vm_activate_kernel(void);
void vm_create(struct process *process);
void vm_fork(struct process *child, struct process *parent);
void vm_destroy(struct process *process);
bool vm_fault(struct process *process, uint64_t address, bool store);
void *vm_user_byte(struct process *process, uint64_t address, bool store);

// process.c: the process table and the scheduler.
void process_init(void);
struct process *process_fork(struct process *parent);
void process_exit(struct process *process, int64_t code);
bool process_reap(struct process *parent, uint64_t *pid, int64_t *code);
void processes_wake(void);
struct process *schedule(struct process *after);

// trap.c
void timer_tick(void);
uint64_t ticks(void);
uint64_t preemptions(void);

// syscall.c: true if the caller gives up the processor.
bool syscall(struct process *process);

// fp.c: floating-point registers, saved and loaded only for those who use them.
bool fp_first_use(struct process *process);
void fp_leave(struct process *process);
void fp_enter(struct process *process);
void fp_forget(struct process *process);
