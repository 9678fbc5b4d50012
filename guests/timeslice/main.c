// Preemption: the timer takes the hart from processes that never give it up; round robin, and a wait
// for the timer where all sleep. What is printed does not depend on time.
#include "console.h"
#include "guest.h"
#include "nucleus.h"
#include "sbi.h"
#include "timeslice.h"

#define TICK      1000 // in units of `time`: 0.1 ms on a 10 MHz board
#define PROCESSES 4
#define SLEEPER   (PROCESSES - 1)

void compute(uint64_t number);
void sleep_until_alone(uint64_t number);

static struct task {
    struct process process; // first: its frame is what traps give
    uint64_t *preemptions;  // the page that it may read
    uint64_t wakes;         // the tick until which it sleeps
    uint64_t result, status;
    bool ended;
} tasks[PROCESSES];

static uint64_t ticks;
static bool idled;

static void tick(void) {
    ticks++;
    sbi_set_timer(csr_read(time) + TICK);
}

static void end(void) {
    int failures = 0;
    for (struct task *task = tasks; task < tasks + SLEEPER; task++) {
        printf("process %u: %lu steps; %s times preempted, with its registers %s\n",
               (unsigned)(task - tasks), task->result,
               *task->preemptions >= ENOUGH ? "often enough" : "too few",
               task->status ? "CHANGED" : "kept");
        failures += task->status != 0 || *task->preemptions < ENOUGH;
    }
    printf("process %u: slept while others ran: %s\n", SLEEPER, tasks[SLEEPER].result ? "yes" : "no");
    printf("the kernel waited while all slept: %s\n", idled ? "yes" : "no");
    finish(failures);
}

static bool all_ended(const struct task *but) {
    for (const struct task *task = tasks; task < tasks + PROCESSES; task++)
        if (task != but && !task->ended)
            return false;
    return true;
}

// The next process that can run, whose turn begins.
static struct trap_frame *schedule(const struct task *after) {
    if (all_ended(NULL))
        end();
    for (;;) {
        for (int i = 1; i <= PROCESSES; i++) {
            struct task *task = &tasks[(after - tasks + i) % PROCESSES];
            if (task->ended || task->wakes > ticks)
                continue;
            process_activate(&task->process);
            return &task->process.frame;
        }
        idled = true;
        if (hart_wait_for_timer())
            tick();
    }
}

static struct trap_frame *answer(struct task *task) {
    uint64_t *x = task->process.frame.x;
    task->process.frame.epc += 4;
    switch (x[REG_A7]) {
    case CALL_RESULT:
        task->result = x[REG_A0];
        break;
    case CALL_ALONE:
        x[REG_A0] = all_ended(task);
        break;
    case CALL_SLEEP:
        task->wakes = ticks + x[REG_A0];
        return schedule(task);
    case CALL_EXIT:
        task->status = x[REG_A0];
        task->ended = true;
        return schedule(task);
    }
    return &task->process.frame;
}

struct trap_frame *user_trap(struct trap_frame *frame) {
    struct task *task = (struct task *)frame; // its first member's first member
    if (frame->cause == (CAUSE_INTERRUPT | IRQ_S_TIMER)) {
        tick();
        ++*task->preemptions;
        return schedule(task);
    }
    if (frame->cause == CAUSE_ECALL_U)
        return answer(task);
    printf("a process traps: cause %lx at %lx, value %lx\n", frame->cause, frame->epc, frame->tval);
    finish(4);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    nucleus_start();
    for (uint64_t n = 0; n < PROCESSES; n++) {
        struct task *task = &tasks[n];
        process_make(&task->process, n == SLEEPER ? sleep_until_alone : compute, n);
        task->preemptions = page_allocate();
        *task->preemptions = 0;
        pte_set(process_entry(&task->process, PREEMPTIONS),
                user_leaf(task->preemptions, PTE_R | PTE_A));
    }
    printf("%u processes, and a timer\n", PROCESSES);
    hart_enable_timer();
    tick();
    hart_enter_user(schedule(&tasks[SLEEPER]));
}
