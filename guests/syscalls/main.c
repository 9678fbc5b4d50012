// A process that does nothing but system calls, and a kernel that does nothing but answer them.
#include "console.h"
#include "guest.h"
#include "riscv.h"

#define PROCESS 0x40000000ul // where the process sees its page
#define GIB     30

extern char trap_entry[], process[];
__attribute__((noreturn)) void enter_process(uint64_t entry, void *kernel_stack);

static uint64_t root[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t middle[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t last[512] __attribute__((aligned(PAGE_SIZE)));
static char stack[4096] __attribute__((aligned(16)));
static uint64_t calls;

static uint64_t entry_for(const void *object, uint64_t flags) {
    return (uint64_t)object >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

uint64_t system_call(uint64_t status, uint64_t number, uint64_t cause, uint64_t pc) {
    if (cause != CAUSE_ECALL_U) {
        printf("unexpected trap: scause %lx, sepc %lx\n", cause, pc);
        finish(2);
    }
    if (number == -1ul) {
        printf("%lu system calls, all answered\n", calls);
        finish((int)status);
    }
    calls++;
    return number - 1;
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    const uint64_t all = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;
    root[2] = 0x80000000ul >> PAGE_SHIFT << PTE_PPN_SHIFT | all; // the kernel, where it is
    root[PROCESS >> GIB] = entry_for(middle, PTE_V);
    middle[0] = entry_for(last, PTE_V);
    last[0] = entry_for(process, PTE_V | PTE_R | PTE_X | PTE_U | PTE_A);
    sfence_vma();
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root >> PAGE_SHIFT);
    csr_write(stvec, trap_entry);
    printf("a process makes system calls\n");
    enter_process(PROCESS, stack + sizeof stack);
}
