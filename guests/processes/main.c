// Two processes that compute, with a timer that takes the hart from them a thousand times in a second,
// and a system call for each step of their work: what an ordinary system spends its time with.
#include "bench.h"
#include "console.h"
#include "guest.h"
#include "nucleus.h"
#include "processes.h"
#include "sbi.h"

#define TICK      10000 // in units of `time`: 1 ms on a 10 MHz board
#define PROCESSES 2

BENCH_ITERATIONS(30);

void work(uint64_t number);

static struct task {
    struct process process; // first: its frame is what traps give
    uint64_t steps, checksum;
    bool changed;
} tasks[PROCESSES];

static bool preempted;

static void end(void) {
    int failures = !preempted;
    for (struct task *task = tasks; task < tasks + PROCESSES; task++) {
        printf("process %u: %016lx%s\n", (unsigned)(task - tasks), task->checksum,
               task->changed ? " and then another" : "");
        failures += task->changed;
    }
    printf("the timer took turns: %s\n", preempted ? "yes" : "no");
    finish(failures);
}

// The other process, if it has work left.
static struct trap_frame *schedule(struct task *task) {
    struct task *other = &tasks[task == &tasks[0]];
    if (other->steps >= bench_iterations) {
        if (task->steps >= bench_iterations)
            end();
        return &task->process.frame;
    }
    process_activate(&other->process);
    return &other->process.frame;
}

struct trap_frame *user_trap(struct trap_frame *frame) {
    struct task *task = (struct task *)frame; // its first member's first member
    if (frame->cause == (CAUSE_INTERRUPT | IRQ_S_TIMER)) {
        preempted = true;
        sbi_set_timer(csr_read(time) + TICK);
        return schedule(task);
    }
    if (frame->cause != CAUSE_ECALL_U) {
        printf("a process traps: cause %lx at %lx, value %lx\n", frame->cause, frame->epc,
               frame->tval);
        finish(4);
    }
    frame->epc += 4;
    if (task->steps++ == 0)
        task->checksum = frame->x[REG_A0];
    else if (task->checksum != frame->x[REG_A0])
        task->changed = true;
    frame->x[REG_A0] = task->steps < bench_iterations;
    return frame->x[REG_A0] ? frame : schedule(task);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    nucleus_start();
    for (uint64_t n = 0; n < PROCESSES; n++) {
        struct task *task = &tasks[n];
        process_make(&task->process, work, n);
        for (uint64_t page = 0; page < DATA_PAGES; page++)
            pte_set(process_entry(&task->process, DATA + page * PAGE_SIZE),
                    user_leaf(page_allocate(), PTE_R | PTE_W | PTE_A | PTE_D));
    }
    printf("%u processes compute\n", PROCESSES);
    hart_enable_timer();
    sbi_set_timer(csr_read(time) + TICK);
    process_activate(&tasks[0].process);
    hart_enter_user(&tasks[0].process.frame);
}
