// tinyos: a small but honest kernel. It runs in S-mode on any SBI firmware, and keeps its
// processes apart with Sv39 paging.
#include "kernel.h"
#include "sbi.h"
#include "supervisor.h"

// Before paging is on, an object's address is its physical one.
uint64_t physical_address(const void *object) {
    return (uint64_t)object < RAM_VIRTUAL ? (uint64_t)object : to_physical(object);
}

void panic(const char *reason) {
    printf("[S] panic: %s\n", reason);
    sbi_shutdown(SBI_RESET_REASON_FAILURE);
}

// The kernel's last words; called when the first process has ended.
void power_off(void) {
    // Handing the processor over without a system call is what preemption is; the user programs
    // cannot come to their end with less of it (see user_programs.c).
    if (preemptions() < 5)
        panic("the timer did not preempt");
    printf("[S] the timer has preempted processes, 5 times or more\n");
    printf("[S] all processes have ended; %lu pages are free again\n", pages_free());
    printf("[S] asking SBI for the power to be switched off\n");
    sbi_shutdown(SBI_RESET_REASON_NONE);
}

// See, once, a timer interrupt arrive.
static void timer_init(void) {
    hart_enable_timer();
    timer_tick();
    while (!hart_wait_for_timer())
        ;
    timer_tick();
    printf("[S] the timer ticks: supervisor timer interrupt seen\n");
}

// Called by boot.S.
void kernel_main(void) {
    printf("[S] tinyos is in S-mode, loaded at 0x%lx by its firmware\n", (uint64_t)KERNEL_PHYSICAL);
    if (!sbi_has(SBI_EXT_TIME) || !sbi_has(SBI_EXT_SRST))
        panic("the SBI firmware lacks TIME or SRST");
    printf("[S] SBI offers a console, a timer (TIME) and a way to end (SRST)\n");

    page_init();
    uint64_t total = pages_free();
    vm_init();
    printf("[S] Sv39 paging is on: the kernel is at 0x%lx, writable or executable but not both\n",
           (uint64_t)KERNEL_PHYSICAL + RAM_DISTANCE);
    printf("[S] %lu pages of 4 KiB, %lu in use for the kernel's page tables\n", total,
           total - pages_free());
    timer_init();

    process_init();
    struct process *first = schedule(NULL);
    printf("[S] process %lu starts in U-mode\n", first->pid);
    hart_enter_user(&first->frame);
}
