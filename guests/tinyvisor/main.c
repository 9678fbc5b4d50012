// tinyvisor: a small hypervisor in HS-mode. It runs S-mode kernels, unmodified, in VS-mode: two
// tinyos at once and, beside them, two programs that try what a hypervisor must not allow.
//
// The files, in the order in which to read them:
//   main.c        whose turn it is
//   machines.c    which VMs there are
//   vcpu_run.S    into a guest and out of it again
//   exits.c       why a guest left, and what is done about it
//   gstage.c      its memory
//   vcpu.c        taking turns on one hart
//   timer.c       what ends a turn, and the guests' own timers
//   guest_sbi.c   the firmware that guests see
//   transcript.c  what they print
#include "tinyvisor.h"
#include "guest.h"
#include "sbi.h"

#define SLICE 2000 // in units of `time`: 0.2 ms on a 10 MHz board

static struct vm vms[VMS_MAX];
static uint64_t vm_count;

void panic(const char *reason) {
    printf("[hv] panic: %s\n", reason);
    sbi_shutdown(SBI_RESET_REASON_FAILURE);
}

// A trap of our own is a bug: guests' traps arrive elsewhere (vcpu_run.S).
__attribute__((aligned(4), noreturn)) static void host_trap(void) {
    printf("[hv] scause 0x%lx, sepc 0x%lx, stval 0x%lx\n", csr_read(scause), csr_read(sepc),
           csr_read(stval));
    panic("trap in the hypervisor");
}

// What guests need not come to us for: most of their own exceptions and of their processes' go
// straight to VS-mode, and VS-level interrupts do when they are pending. What comes: a kernel's
// ecall, which is an SBI call; what only we can mend or judge (guest-page faults, virtual
// instructions); and access faults, which a guest that keeps to its memory never sees. Illegal
// instructions and misaligned accesses are rare, and in other hypervisors need emulation: we see
// them, too, and pass them on. (QEMU 7.2, asked to delegate causes 2 and 6, says 1 and 5 to guests.)
static void delegate(void) {
    csr_write(hedeleg, 1 << CAUSE_MISALIGNED_FETCH | 1 << CAUSE_BREAKPOINT | 1 << CAUSE_ECALL_U |
                           1 << CAUSE_FETCH_PAGE_FAULT | 1 << CAUSE_LOAD_PAGE_FAULT |
                           1 << CAUSE_STORE_PAGE_FAULT);
    csr_write(hideleg, HVIP_VSSIP | HVIP_VSTIP | HVIP_VSEIP);
    csr_write(hcounteren, 7); // cycle, time, instret
}

// The next VM to run after the given one, in turn; NULL when all have ended. While all wait, so do
// we, until the first of their timers is due.
static struct vm *schedule(const struct vm *after) {
    uint64_t start = after == NULL ? 0 : after->number; // numbers begin with 1
    for (;;) {
        uint64_t now = mtime(), first_due = NEVER;
        struct vm *waiting = NULL;
        for (uint64_t i = 0; i < vm_count; i++) {
            struct vm *vm = &vms[(start + i) % vm_count];
            if (vm->state == VM_READY)
                return vm;
            if (vm->state == VM_ENDED)
                continue;
            uint64_t due = timer_guest_due(vm);
            if (due <= now) {
                vm->state = VM_READY;
                return vm;
            }
            waiting = vm;
            first_due = due < first_due ? due : first_due;
        }
        if (waiting == NULL)
            return NULL;
        if (first_due == NEVER)
            vm_end(waiting, "is stopped: it waits for an interrupt that will never come");
        else
            timer_wait(first_due);
    }
}

// One turn of a VM: until its slice is over, or it waits, or it has ended.
static void run(struct vm *vm) {
    uint64_t slice_end = mtime() + SLICE;
    vcpu_load(vm);
    timer_guest_check(vm);
    do {
        timer_arm(vm, slice_end);
        vcpu_run(&vm->vcpu);
    } while (handle_exit(vm, slice_end));
    timer_guest_save(vm);
}

// How often something happened may depend on the machine below: when it was often enough, no more
// is said than is always true.
static void print_count(const char *what, uint64_t count, uint64_t enough) {
    if (count < enough)
        printf("%s = %lu", what, count);
    else
        printf("%s >= %lu", what, enough);
}

static void summary(void) {
    uint64_t slices = 0;
    for (const struct vm *vm = vms; vm < vms + vm_count; vm++) {
        printf("[hv] vm %lu came back for", vm->number);
        print_count(" SBI calls", vm->exits[EXIT_ECALL], 10);
        print_count(", guest-page faults", vm->exits[EXIT_GUEST_PAGE_FAULT], 5);
        print_count(", virtual and illegal instructions", vm->exits[EXIT_INSTRUCTION], 2);
        printf("\n");
        slices += vm->slices;
    }
    print_count("[hv] and time slices used up", slices, 1);
    printf("\n");
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    csr_write(stvec, (uint64_t)host_trap);
    printf("[hv] tinyvisor is in HS-mode; its machines run in VS-mode\n");
    gstage_init();
    timer_init();
    delegate();

    while (vm_configs[vm_count].memory != 0) {
        if (vm_count == VMS_MAX)
            panic("machines.c wants too many machines");
        struct vm *vm = &vms[vm_count++];
        vm_create(vm, vm_count, &vm_configs[vm_count - 1]);
        printf("[hv] vm %lu has %lu MiB at guest-physical 0x%lx\n", vm->number,
               vm->config->memory >> 20, GUEST_RAM);
    }

    for (struct vm *vm = NULL; (vm = schedule(vm)) != NULL;)
        run(vm);

    printf("[hv] all machines have ended; %lu pages are in use\n", pages_used());
    summary();
    return 0;
}
