// Why did the guest come back, and may it go on?
#include "tinyvisor.h"

#define WFI 0x10500073

// A guest used memory that its G-stage table does not map. RAM is mapped when it is first used;
// anything else is a guest reaching out of its machine. The access may have been an instruction's
// own, or one to the guest's page tables on its behalf; htval is the guest-physical address either
// way, shifted right by two. Of stval, only the two bits that are missing are wanted.
static bool guest_page_fault(struct vm *vm, const char *access) {
    uint64_t guest_physical = vm->vcpu.htval << 2 | (vm->vcpu.frame.tval & 3);
    if (gstage_page(vm, guest_physical) != NULL)
        return true;
    vm_end(vm, "is killed: %s guest-page fault at 0x%lx, its memory is 0x%lx to 0x%lx", access,
           guest_physical, GUEST_RAM, GUEST_RAM + vm->config->memory - 1);
    return false;
}

// A guest executed something that only a hypervisor may do, or that we asked to see (wfi). A hart
// without the extension would call the former illegal, and so does the one that the guest sees.
static bool virtual_instruction(struct vm *vm) {
    uint64_t instruction = vm->vcpu.frame.tval; // a hart may leave it zero
    if (instruction == 0)
        vm->vcpu.frame.tval = instruction = hlvx_wu(vm->vcpu.frame.epc);
    if (instruction != WFI) {
        vcpu_inject(&vm->vcpu, CAUSE_ILLEGAL_INSTRUCTION);
        return true;
    }
    vm->vcpu.frame.epc += 4;
    timer_guest_check(vm);
    if (csr_read(vsip) & csr_read(vsie))
        return true; // there is nothing to wait for
    vm->state = VM_WAITING;
    return false;
}

// Our timer interrupts whatever runs in a guest, even one whose own interrupts are off.
static bool timer_interrupt(struct vm *vm, uint64_t slice_end) {
    timer_guest_check(vm);
    if (mtime() < slice_end)
        return true;
    vm->slices++;
    if (vm->slices == vm->config->slices)
        vm_end(vm, "is stopped: it has used up its %lu time slices", vm->slices);
    return false;
}

bool handle_exit(struct vm *vm, uint64_t slice_end) {
    uint64_t cause = vm->vcpu.frame.cause;
    switch (cause) {
    case CAUSE_INTERRUPT | IRQ_S_TIMER:
        return timer_interrupt(vm, slice_end);
    case CAUSE_ECALL_VS:
        vm->exits[EXIT_ECALL]++;
        return guest_sbi(vm);
    case CAUSE_FETCH_GUEST_PAGE_FAULT:
        vm->exits[EXIT_GUEST_PAGE_FAULT]++;
        return guest_page_fault(vm, "instruction");
    case CAUSE_LOAD_GUEST_PAGE_FAULT:
        vm->exits[EXIT_GUEST_PAGE_FAULT]++;
        return guest_page_fault(vm, "load");
    case CAUSE_STORE_GUEST_PAGE_FAULT:
        vm->exits[EXIT_GUEST_PAGE_FAULT]++;
        return guest_page_fault(vm, "store");
    case CAUSE_VIRTUAL_INSTRUCTION:
        vm->exits[EXIT_INSTRUCTION]++;
        return virtual_instruction(vm);
    case CAUSE_ILLEGAL_INSTRUCTION:
        vm->exits[EXIT_INSTRUCTION]++;
        vcpu_inject(&vm->vcpu, cause);
        return true;
    case CAUSE_MISALIGNED_LOAD:
    case CAUSE_MISALIGNED_STORE:
        vcpu_inject(&vm->vcpu, cause);
        return true;
    default: // not delegated, and no guest's right: an access fault, an ecall of a strange kind
        vm_end(vm, "is killed: scause 0x%lx, sepc 0x%lx, stval 0x%lx", cause, vm->vcpu.frame.epc,
               vm->vcpu.frame.tval);
        return false;
    }
}
