// G-stage tables: guest-physical to physical addresses, Sv39x4.
//
// They look like any Sv39 table but for the root, which has 2048 entries: a guest-physical address
// has 41 bits. To the G-stage every guest access is a user's, so all leaves have U. A and D are set
// when an entry is made, so that harts which do not set them themselves need no help.
#include "tinyvisor.h"

#define LEVELS  3
#define ENTRIES 512
#define LEAF    (PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D)

static uint64_t vmid_max;

static void set_hgatp(const struct gstage_root *root, uint64_t vmid) {
    csr_write(hgatp, HGATP_MODE_SV39X4 | vmid << HGATP_VMID_SHIFT | (uint64_t)root >> PAGE_SHIFT);
}

static uint64_t vmid(const struct vm *vm) { return vm->number <= vmid_max ? vm->number : 0; }

// Is there Sv39x4, and how many VMIDs are there? Bits that are not implemented read zero.
void gstage_init(void) {
    csr_write(hgatp, HGATP_MODE_SV39X4 | HGATP_VMID);
    if (csr_read(hgatp) >> 60 != HGATP_MODE_SV39X4 >> 60)
        panic("this hart lacks Sv39x4");
    vmid_max = (csr_read(hgatp) & HGATP_VMID) >> HGATP_VMID_SHIFT;
    csr_write(hgatp, 0);
    hfence_gvma_vmid(0);
}

// Two registers cannot be changed at once, and the hart may translate ahead at any time: with VS-
// stage translation off in between, it cannot mix one guest's tables with another's. The caller
// writes vsatp next.
void gstage_activate(const struct vm *vm) {
    csr_write(vsatp, 0);
    set_hgatp(vm->gstage, vmid(vm));
    if (vmid(vm) == 0) { // without a VMID of its own, all that was cached must go
        hfence_gvma_vmid(0);
        hfence_vvma();
    }
}

static pte *table_of(pte entry) { return (pte *)(entry >> PTE_PPN_SHIFT << PAGE_SHIFT); }

static pte make_pte(const void *page, uint64_t flags) {
    return (uint64_t)page >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

// The page that a VM has at a guest-physical address: given to it now if it has none yet. NULL
// where the VM has no RAM; this comparison is all that keeps it out of the rest of the machine.
void *gstage_page(struct vm *vm, uint64_t guest_physical) {
    if (guest_physical < GUEST_RAM || guest_physical - GUEST_RAM >= vm->config->memory)
        return NULL;
    pte *entry = &vm->gstage->entries[guest_physical >> (PAGE_SHIFT + 9 * 2)];
    for (int level = 1; level >= 0; level--) {
        if (!(*entry & PTE_V))
            *entry = make_pte(page_allocate(), PTE_V);
        entry = &table_of(*entry)[(guest_physical >> (PAGE_SHIFT + 9 * level)) % ENTRIES];
    }
    if (!(*entry & PTE_V)) {
        *entry = make_pte(page_allocate(), LEAF);
        // The hart may have kept the entry as it was.
        hfence_gvma_address(guest_physical, vmid(vm));
    }
    return table_of(*entry);
}

static void release(pte *table, int count, int level) {
    for (int i = 0; i < count; i++) {
        if (!(table[i] & PTE_V))
            continue;
        if (level > 0)
            release(table_of(table[i]), ENTRIES, level - 1);
        page_release(table_of(table[i]));
        table[i] = 0;
    }
}

// Takes everything back. No translation may outlive the pages it leads to.
void gstage_destroy(struct vm *vm) {
    release(vm->gstage->entries, 4 * ENTRIES, LEVELS - 1);
    hfence_gvma_vmid(vmid(vm));
}
