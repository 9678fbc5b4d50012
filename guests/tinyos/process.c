// Processes: birth, death, and whose turn it is.
#include "kernel.h"

#define PROCESSES 8

static struct process processes[PROCESSES];
static uint64_t last_pid;

static struct process *find_free(void) {
    for (struct process *p = processes; p < processes + PROCESSES; p++)
        if (p->state == FREE)
            return p;
    return NULL;
}

// Makes the first process, which is the ancestor of all others.
void process_init(void) {
    struct process *p = find_free();
    *p = (struct process){.state = RUNNABLE, .pid = ++last_pid, .heap_end = USER_HEAP};
    vm_create(p);
    p->frame.epc = USER_TEXT;
    p->frame.x[REG_SP] = USER_STACK_TOP;
    p->frame.status = hart_process_status();
}

// A copy of a process; NULL when there is no room. The caller sets both results of the call.
struct process *process_fork(struct process *parent) {
    struct process *child = find_free();
    if (child == NULL)
        return NULL;
    fp_leave(parent); // so that its saved state is its current one
    *child = *parent;
    child->pid = ++last_pid;
    child->parent = parent;
    vm_fork(child, parent);
    return child;
}

// Ends a process; its number and exit code stay until the parent asks for them.
void process_exit(struct process *process, int64_t code) {
    vm_activate_kernel();
    vm_destroy(process);
    fp_forget(process);
    process->state = ZOMBIE;
    process->exit_code = code;
    if (process->parent == NULL)
        power_off();
    if (process->parent->state == WAITING)
        process->parent->state = RUNNABLE;
    for (struct process *p = processes; p < processes + PROCESSES; p++)
        if (p->state != FREE && p->parent == process)
            p->parent = &processes[0];
}

// Takes leave of one ended child. False when none has ended.
bool process_reap(struct process *parent, uint64_t *pid, int64_t *code) {
    for (struct process *p = processes; p < processes + PROCESSES; p++) {
        if (p->state == ZOMBIE && p->parent == parent) {
            *pid = p->pid;
            *code = p->exit_code;
            p->state = FREE;
            return true;
        }
    }
    return false;
}

void processes_wake(void) {
    for (struct process *p = processes; p < processes + PROCESSES; p++)
        if (p->state == SLEEPING && p->wake_tick <= ticks())
            p->state = RUNNABLE;
}

// Round robin: the next runnable process after the given one, made current. While there is none,
// sleeps until the timer wakes one.
struct process *schedule(struct process *after) {
    int start = after == NULL ? 0 : (int)(after - processes) + 1;
    for (;;) {
        for (int i = 0; i < PROCESSES; i++) {
            struct process *p = &processes[(start + i) % PROCESSES];
            if (p->state != RUNNABLE)
                continue;
            if (p != after)
                vm_activate(p);
            fp_enter(p);
            return p;
        }
        if (hart_wait_for_timer())
            timer_tick();
    }
}
