// Floating-point registers belong to whoever used them last. A process begins with sstatus.FS off;
// its first floating-point instruction is illegal then, and turns the unit on for it. From there
// FS says whether there is anything to save.
#include "kernel.h"

static const struct process *owner; // whose registers are in the hart

static bool uses_fp(const struct process *p) { return p->frame.status & MSTATUS_FS; }

static void set_fs(struct process *process, uint64_t fs) {
    process->frame.status = (process->frame.status & ~(uint64_t)MSTATUS_FS) | fs;
}

// An illegal instruction: true if that may have been because FS was off.
bool fp_first_use(struct process *process) {
    if (uses_fp(process))
        return false;
    bool has_fp = hart_set_fs(MSTATUS_FS_INITIAL);
    hart_set_fs(MSTATUS_FS_OFF);
    if (!has_fp)
        return false;
    process->fp = (struct fp_state){0};
    set_fs(process, MSTATUS_FS_INITIAL);
    owner = NULL;
    fp_enter(process);
    return true;
}

// Before another process may run: what the hart has changed is saved.
void fp_leave(struct process *process) {
    if (process->state == ZOMBIE || (process->frame.status & MSTATUS_FS) != MSTATUS_FS_DIRTY)
        return;
    hart_set_fs(MSTATUS_FS_INITIAL);
    fp_save(&process->fp);
    hart_set_fs(MSTATUS_FS_OFF);
    set_fs(process, MSTATUS_FS_CLEAN);
}

// Before a process goes on: its registers are loaded, unless they are still there.
void fp_enter(struct process *process) {
    if (!uses_fp(process) || owner == process)
        return;
    hart_set_fs(MSTATUS_FS_INITIAL);
    fp_restore(&process->fp);
    hart_set_fs(MSTATUS_FS_OFF);
    set_fs(process, MSTATUS_FS_CLEAN);
    owner = process;
}

void fp_forget(struct process *process) {
    if (owner == process)
        owner = NULL;
}
