// A process that does nothing but system calls, and a kernel that does nothing but answer them.
#include "console.h"
#include "guest.h"
#include "nucleus.h"

extern char trap_entry[], pv_trap_entry[], kernel_stack_top[];
__attribute__((noreturn)) void enter_process(void (*entry)(uint64_t), void *kernel_stack);
__attribute__((noreturn)) void pv_enter_process(void (*entry)(uint64_t), void *kernel_stack);
void process(uint64_t argument);

static uint64_t calls;

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
    static struct process alone;
    nucleus_start();
    process_make(&alone, process, 0);
    process_activate(&alone);
    printf("a process makes system calls\n");
    if (paravirtual) {
        pv_shared.entry = (uint64_t)pv_trap_entry;
        pv_enter_process(process, kernel_stack_top);
    }
    csr_write(stvec, trap_entry);
    enter_process(process, kernel_stack_top);
}
