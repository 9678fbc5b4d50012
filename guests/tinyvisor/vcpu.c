// One hart, several guests: whose VS-level state is in it.
#include "tinyvisor.h"
#include <stddef.h>

_Static_assert(offsetof(struct vcpu, hstatus) == VCPU_HSTATUS, "vcpu.h");
_Static_assert(offsetof(struct vcpu, htval) == VCPU_HTVAL, "vcpu.h");
_Static_assert(offsetof(struct vcpu, host_sp) == VCPU_HOST_SP, "vcpu.h");

#define VSSTATUS_UXL_64 (2ul << 32)

static struct vm *loaded; // whose VS CSRs and floating-point registers are in the hart

// A processor as firmware hands it to a kernel: in (V)S-mode, without paging, interrupts off.
void vcpu_init(struct vcpu *vcpu, uint64_t entry, uint64_t hart, uint64_t device_tree) {
    *vcpu = (struct vcpu){0};
    vcpu->frame.epc = entry;
    vcpu->frame.x[REG_A0] = hart;
    vcpu->frame.x[REG_A1] = device_tree;
    // sret goes to V=1 (SPV), there to S (SPP). wfi is to come back to us (VTW), so that a VM that
    // has nothing to do gives its time to another.
    vcpu->hstatus = csr_read(hstatus) | HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_VTW;
    vcpu->frame.status = (csr_read(sstatus) & ~(uint64_t)(MSTATUS_SPIE | MSTATUS_FS)) | MSTATUS_SPP;
    vcpu->vsstatus = VSSTATUS_UXL_64;
    vcpu->htimedelta = -csr_read(time); // its time begins now, at zero
    vcpu->timer = NEVER;
}

// A guest's floating-point instruction needs FS on twice: in vsstatus, which is the guest's to set,
// and in sstatus, which is ours; both become dirty when it changes a register. So ours is always
// clean when the guest's registers are loaded, and tells later whether there is anything to save.
static void fp_load(struct vm *vm) {
    csr_set(sstatus, MSTATUS_FS_INITIAL);
    if (!(csr_read(sstatus) & MSTATUS_FS))
        return; // the hart has no floating point
    fp_restore(&vm->vcpu.fp);
    vm->vcpu.frame.status = (vm->vcpu.frame.status & ~(uint64_t)MSTATUS_FS) | MSTATUS_FS_CLEAN;
}

static void fp_leave(struct vm *vm) {
    if ((vm->vcpu.frame.status & MSTATUS_FS) != MSTATUS_FS_DIRTY)
        return;
    csr_set(sstatus, MSTATUS_FS_INITIAL);
    fp_save(&vm->vcpu.fp);
}

static void save(struct vm *vm) {
    struct vcpu *vcpu = &vm->vcpu;
    vcpu->vsatp = csr_read(vsatp);
    vcpu->vsstatus = csr_read(vsstatus);
    vcpu->vsie = csr_read(vsie);
    vcpu->vstvec = csr_read(vstvec);
    vcpu->vsscratch = csr_read(vsscratch);
    vcpu->vsepc = csr_read(vsepc);
    vcpu->vscause = csr_read(vscause);
    vcpu->vstval = csr_read(vstval);
    vcpu->hvip = csr_read(hvip);
    vcpu->scounteren = csr_read(scounteren);
    vcpu->senvcfg = csr_read(senvcfg);
    fp_leave(vm);
}

// Makes the hart a VM's. That costs more than the instructions here: where the hart keeps no
// translations of several VMs, the guest finds an empty TLB. So a VM that is alone stays loaded.
void vcpu_load(struct vm *vm) {
    if (loaded == vm)
        return;
    if (loaded != NULL)
        save(loaded);
    loaded = vm;
    const struct vcpu *vcpu = &vm->vcpu;
    gstage_activate(vm);
    csr_write(vsatp, vcpu->vsatp);
    csr_write(vsstatus, vcpu->vsstatus);
    csr_write(vsie, vcpu->vsie);
    csr_write(vstvec, vcpu->vstvec);
    csr_write(vsscratch, vcpu->vsscratch);
    csr_write(vsepc, vcpu->vsepc);
    csr_write(vscause, vcpu->vscause);
    csr_write(vstval, vcpu->vstval);
    csr_write(hvip, vcpu->hvip);
    csr_write(scounteren, vcpu->scounteren);
    csr_write(senvcfg, vcpu->senvcfg);
    csr_write(htimedelta, vcpu->htimedelta);
    timer_guest_load(vm);
    fp_load(vm);
}

// Does to a guest what the hart would have done had we delegated the trap: the VS-level trap CSRs
// are written, and the guest goes on at its own trap handler. The VM is loaded.
void vcpu_inject(struct vcpu *vcpu, uint64_t cause) {
    uint64_t status = csr_read(vsstatus);
    uint64_t moved = MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE;
    uint64_t spp = vcpu->frame.status & MSTATUS_SPP; // where it was: SPP = 1 means VS
    uint64_t spie = status & MSTATUS_SIE ? MSTATUS_SPIE : 0;
    csr_write(vsstatus, (status & ~moved) | spp | spie);
    csr_write(vsepc, vcpu->frame.epc);
    csr_write(vscause, cause);
    csr_write(vstval, vcpu->frame.tval);
    vcpu->frame.epc = csr_read(vstvec) & ~3ul;
    vcpu->frame.status |= MSTATUS_SPP; // a trap goes to VS-mode
}
