// System calls: what a process may ask for.
#include "syscall.h"
#include "kernel.h"

static int64_t sys_write(struct process *process, uint64_t text, uint64_t length) {
    // Look before printing, so that a text is printed whole or not at all.
    for (uint64_t i = 0; i < length; i++)
        if (vm_user_byte(process, text + i, false) == NULL)
            return -1;
    for (uint64_t i = 0; i < length; i++)
        console_putc(*(const char *)vm_user_byte(process, text + i, false));
    return (int64_t)length;
}

static int64_t sys_sbrk(struct process *process, uint64_t bytes) {
    uint64_t old = process->heap_end;
    if (bytes > USER_HEAP_LIMIT - old)
        return -1;
    process->heap_end = old + bytes; // the pages come when they are touched
    return (int64_t)old;
}

static int64_t sys_fork(struct process *process) {
    struct process *child = process_fork(process);
    if (child == NULL)
        return -1;
    child->frame.x[REG_A0] = 0;
    return (int64_t)child->pid;
}

// If no child has ended yet, the process waits, and executes its ecall again when one has.
static int64_t sys_wait(struct process *process, uint64_t code_pointer) {
    uint64_t pid;
    int64_t code;
    if (!process_reap(process, &pid, &code)) {
        process->state = WAITING;
        process->frame.epc -= 4;
        return (int64_t)process->frame.x[REG_A0];
    }
    for (uint64_t i = 0; code_pointer != 0 && i < sizeof code; i++) {
        uint8_t *byte = vm_user_byte(process, code_pointer + i, true);
        if (byte == NULL)
            return -1;
        *byte = (uint8_t)((uint64_t)code >> (8 * i));
    }
    return (int64_t)pid;
}

bool syscall(struct process *process) {
    uint64_t *x = process->frame.x;
    uint64_t argument0 = x[REG_A0], argument1 = x[REG_A1];
    int64_t result = 0;
    process->frame.epc += 4; // past the ecall
    switch (x[REG_A7]) {
    case SYS_WRITE:
        result = sys_write(process, argument0, argument1);
        break;
    case SYS_GETPID:
        result = (int64_t)process->pid;
        break;
    case SYS_YIELD:
        x[REG_A0] = 0;
        return true;
    case SYS_SLEEP:
        process->wake_tick = ticks() + argument0;
        process->state = SLEEPING;
        break;
    case SYS_UPTIME:
        result = (int64_t)ticks();
        break;
    case SYS_SBRK:
        result = sys_sbrk(process, argument0);
        break;
    case SYS_FORK:
        result = sys_fork(process);
        break;
    case SYS_WAIT:
        result = sys_wait(process, argument0);
        break;
    case SYS_EXIT:
        process_exit(process, (int64_t)argument0);
        return true;
    default:
        result = -1;
    }
    x[REG_A0] = (uint64_t)result;
    return process->state != RUNNABLE;
}
