// Why did we come into the kernel?
#include "kernel.h"
#include "sbi.h"

#define TICK 4000 // in units of `time`: 0.4 ms on a 10 MHz board

static uint64_t tick_count, preemption_count;

uint64_t ticks(void) { return tick_count; }
uint64_t preemptions(void) { return preemption_count; }

// The interrupt is pending until the next deadline is set.
void timer_tick(void) {
    tick_count++;
    sbi_set_timer(csr_read(time) + TICK);
    processes_wake();
}

static const char *cause_name(uint64_t cause) {
    switch (cause) {
    case CAUSE_MISALIGNED_FETCH:
        return "misaligned instruction address";
    case CAUSE_FETCH_ACCESS:
        return "instruction access fault";
    case CAUSE_ILLEGAL_INSTRUCTION:
        return "illegal instruction";
    case CAUSE_BREAKPOINT:
        return "breakpoint";
    case CAUSE_MISALIGNED_LOAD:
        return "misaligned load";
    case CAUSE_LOAD_ACCESS:
        return "load access fault";
    case CAUSE_MISALIGNED_STORE:
        return "misaligned store";
    case CAUSE_STORE_ACCESS:
        return "store access fault";
    case CAUSE_FETCH_PAGE_FAULT:
        return "instruction page fault";
    case CAUSE_LOAD_PAGE_FAULT:
        return "load page fault";
    case CAUSE_STORE_PAGE_FAULT:
        return "store page fault";
    default:
        return "unknown cause";
    }
}

// An exception other than a system call: true if the process may try again.
static bool mend(struct process *process) {
    switch (process->frame.cause) {
    case CAUSE_ILLEGAL_INSTRUCTION:
        return fp_first_use(process);
    case CAUSE_FETCH_PAGE_FAULT:
    case CAUSE_LOAD_PAGE_FAULT:
        return vm_fault(process, process->frame.tval, false);
    case CAUSE_STORE_PAGE_FAULT:
        return vm_fault(process, process->frame.tval, true);
    default:
        return false;
    }
}

// Called by kernel_entry.S with the frame of the process that trapped; returns that of the one to go on.
struct trap_frame *user_trap(struct trap_frame *frame) {
    struct process *process = (struct process *)frame; // its first member
    bool timer = frame->cause == (CAUSE_INTERRUPT | IRQ_S_TIMER);
    bool give_up = timer;
    if (timer) {
        timer_tick();
    } else if (frame->cause == CAUSE_ECALL_U) {
        give_up = syscall(process);
    } else if (!mend(process)) {
        printf("[S] process %lu is killed: %s, stval 0x%lx\n", process->pid,
               cause_name(frame->cause), frame->tval);
        process_exit(process, -1);
        give_up = true;
    }
    if (!give_up)
        return frame;

    fp_leave(process);
    struct process *next = schedule(process);
    if (timer && next != process)
        preemption_count++;
    return &next->frame;
}

void kernel_trap(void) {
    struct trap_frame trap = hart_trap();
    printf("[S] %s in the kernel: scause 0x%lx, sepc 0x%lx, stval 0x%lx\n",
           cause_name(trap.cause), trap.cause, trap.epc, trap.tval);
    panic("trap in the kernel");
}
