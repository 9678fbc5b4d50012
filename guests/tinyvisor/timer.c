// Timers: one for us, which ends a guest's time slice, and one for each guest.
//
// A hart with Sstc has both: stimecmp is ours, and vstimecmp the guest's, which makes VSTIP pending
// without our help once time + htimedelta reaches it. Without, there is but the one timer that SBI
// offers: it is set for whichever is due first, and VSTIP is set in hvip by hand.
#include "sbi.h"
#include "tinyvisor.h"

static bool has_sstc;

void timer_init(void) {
    // Firmware and hart let us use vstimecmp, or else reading it is illegal, and the flag stays 0.
    uint64_t readable;
    __asm__ volatile("   la t0, 1f\n"
                     "   csrrw t0, stvec, t0\n"
                     "   li %0, 0\n"
                     "   csrr t1, vstimecmp\n"
                     "   li %0, 1\n"
                     "   .balign 4\n"
                     "1: csrw stvec, t0\n"
                     : "=&r"(readable)::"t0", "t1", "memory");
    has_sstc = readable;
    if (has_sstc)
        csr_set(henvcfg, ENVCFG_STCE); // and that is what lets the guests use stimecmp
    csr_write(sie, MIP_STIP);
}

static void set_host_timer(uint64_t deadline) {
    if (has_sstc)
        csr_write(stimecmp, deadline);
    else
        sbi_set_timer(deadline);
}

// When the guest's timer is due, in our time. A deadline past the end of time never comes.
uint64_t timer_guest_due(const struct vm *vm) {
    uint64_t start = -vm->vcpu.htimedelta;
    return vm->vcpu.timer < NEVER - start ? vm->vcpu.timer + start : NEVER;
}

// The interrupt is pending from the deadline on, until the guest sets another.
void timer_guest_set(struct vm *vm, uint64_t deadline) {
    vm->vcpu.timer = deadline;
    if (has_sstc)
        csr_write(vstimecmp, deadline);
    else
        csr_clear(hvip, HVIP_VSTIP);
    timer_guest_check(vm);
}

void timer_guest_check(struct vm *vm) {
    if (!has_sstc && mtime() >= timer_guest_due(vm))
        csr_set(hvip, HVIP_VSTIP);
}

void timer_guest_load(struct vm *vm) {
    if (has_sstc)
        csr_write(vstimecmp, vm->vcpu.timer);
}

void timer_guest_save(struct vm *vm) {
    if (has_sstc)
        vm->vcpu.timer = csr_read(vstimecmp); // it need not have asked us
}

// Before a guest is entered: come back when its slice is over, or when its timer needs our help.
void timer_arm(const struct vm *vm, uint64_t slice_end) {
    uint64_t due = timer_guest_due(vm);
    bool help = !has_sstc && due < slice_end && !(csr_read(hvip) & HVIP_VSTIP);
    set_host_timer(help ? due : slice_end);
}

// Sleeps. Our interrupts are off, but one that sie enables ends wfi all the same.
void timer_wait(uint64_t deadline) {
    set_host_timer(deadline);
    while (mtime() < deadline)
        wfi();
}
