// The hypervisor's types, and what each of its files offers the others.
//
// Three kinds of address occur. A guest's own page tables (VS-stage, vsatp) turn guest-virtual
// addresses into guest-physical ones; tables that only the hypervisor knows of (G-stage, hgatp)
// turn those into physical ones. The hypervisor runs without paging: its pointers are physical.
#pragma once

#include "console.h"
#include "hypervisor.h"
#include "riscv.h"
#include "vcpu.h"
#include <stdarg.h>
#include <stdbool.h>

// Guest-physical: every VM's RAM begins here, and its kernel there, where firmware would put it.
#define GUEST_RAM    0x80000000ul
#define GUEST_KERNEL 0x80200000ul

#define VMS_MAX 4
#define NEVER   (~0ul)

// One page table entry, and the 16 KiB root of a G-stage table.
typedef uint64_t pte;
struct gstage_root {
    pte entries[2048];
} __attribute__((aligned(4 * PAGE_SIZE)));

enum exit_cause {
    EXIT_ECALL,
    EXIT_GUEST_PAGE_FAULT,
    EXIT_INSTRUCTION, // virtual or illegal
    EXIT_CAUSES,
};

enum vm_state {
    VM_READY,
    VM_WAITING, // executed wfi: until its timer
    VM_ENDED,
};

struct vm {
    struct vcpu vcpu;
    enum vm_state state;
    uint64_t number; // from 1; also its VMID, where the hart has enough of them
    const struct vm_config *config;
    struct gstage_root *gstage;
    uint64_t slices; // that ended because time was up
    uint64_t exits[EXIT_CAUSES];
};

// What a VM is made of.
struct vm_config {
    uint64_t memory;             // bytes, from GUEST_RAM
    const char *image;           // the name of a guest that the build embeds; NULL: the first
    const char *flat, *flat_end; // instead a raw image, to be loaded and entered at GUEST_KERNEL
    uint64_t slices;             // time slices that it may use up; 0: as many as it likes
    const char *patch;           // a 64-bit word in the image, by its symbol, ...
    const volatile uint64_t *patch_value; // ... which gets this value
};

// machines.c lists the VMs, ended by one without memory.
extern const struct vm_config vm_configs[];

// The guests that the build embeds (guest.toml: embeds), as ELF files; ended by one without a name.
struct embedded_guest {
    const char *name;
    const char *start, *end;
};
extern const struct embedded_guest embedded_guests[];

static inline bool same_text(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

// main.c
__attribute__((noreturn)) void panic(const char *reason);

// page.c: physical pages, all zero when they are handed out.
void *page_allocate(void); // panics when there are none
void page_release(void *page);
uint64_t pages_used(void);

// gstage.c: where a VM's memory is, and where it is not.
void gstage_init(void);
void gstage_activate(const struct vm *vm);
void *gstage_page(struct vm *vm, uint64_t guest_physical); // made if need be; NULL: not its RAM
void gstage_destroy(struct vm *vm);

// vm.c: a VM from its birth to its end.
void vm_create(struct vm *vm, uint64_t number, const struct vm_config *config);
bool vm_copy_in(struct vm *vm, uint64_t guest_physical, const void *source, uint64_t size);
__attribute__((format(printf, 2, 3))) void vm_end(struct vm *vm, const char *format, ...);

// elf.c
bool elf_load(struct vm *vm, const char *file, uint64_t size, uint64_t *entry);
uint64_t elf_symbol(const char *file, const char *name); // its value; 0 if there is none

// vcpu.c: the VS-level state of the hart, which guests take turns to own.
void vcpu_init(struct vcpu *vcpu, uint64_t entry, uint64_t hart, uint64_t device_tree);
void vcpu_load(struct vm *vm);
void vcpu_inject(struct vcpu *vcpu, uint64_t cause); // an exception that frame.tval belongs to

// vcpu_run.S: enters the guest, and returns when it has left.
void vcpu_run(struct vcpu *vcpu);

// timer.c: the hypervisor's timer, and the guests'.
void timer_init(void);
uint64_t timer_guest_due(const struct vm *vm); // in the host's time
void timer_guest_set(struct vm *vm, uint64_t deadline); // in the guest's; the VM is loaded
void timer_guest_load(struct vm *vm);
void timer_guest_save(struct vm *vm);
void timer_arm(const struct vm *vm, uint64_t slice_end);
void timer_guest_check(struct vm *vm);
void timer_wait(uint64_t deadline);

// exits.c: why a guest left, and what is done about it. False: its turn is over.
bool handle_exit(struct vm *vm, uint64_t slice_end);

// guest_sbi.c: the firmware that guests believe to be below them. False: the VM's turn is over.
bool guest_sbi(struct vm *vm);

// transcript.c: what the VMs print, one line of each in turn.
bool transcript_put(struct vm *vm, char c); // false: there is no room now
void transcript_last_words(struct vm *vm, const char *format, va_list arguments);
void transcript_flush(void);
