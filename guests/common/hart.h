// What a kernel with processes asks of its hart; or, in a paravirtual machine, of the VMM.
#pragma once

#include "paravirt.h"
#include "riscv.h"
#include "trap_frame.h"

typedef uint64_t pte;

// What the kernel offers kernel_entry.S, and paravirt_entry.S: given the frame of the process that
// trapped, user_trap returns that of the one to go on; kernel_trap is told of bugs. (And there is
// the top of the kernel's stack, kernel_stack_top.)
struct trap_frame *user_trap(struct trap_frame *frame);
__attribute__((noreturn)) void kernel_trap(void);

// kernel_entry.S
__attribute__((noreturn)) void enter_user(struct trap_frame *frame);
bool wait_for_timer(void); // true if its interrupt came, false if something else ended the wait

// Sets sstatus.FS; what it is then: 0 where the hart has no floating point.
static inline uint64_t hart_set_fs(uint64_t fs) {
    if (paravirtual) {
        uint64_t state = hypercall(HC_FLOATING_POINT, fs / MSTATUS_FS_INITIAL, 0).value;
        return state * MSTATUS_FS_INITIAL;
    }
    csr_clear(sstatus, MSTATUS_FS);
    csr_set(sstatus, fs);
    return csr_read(sstatus) & MSTATUS_FS;
}

// The status of a process that has not run yet: user mode, with interrupts on; no floating point.
static inline uint64_t hart_process_status(void) {
    if (paravirtual)
        return MSTATUS_SPIE;
    return (csr_read(sstatus) & ~(uint64_t)(MSTATUS_SPP | MSTATUS_FS)) | MSTATUS_SPIE;
}

// To a process for the first time; a later time is the end of a trap.
__attribute__((noreturn)) void pv_enter_user(struct trap_frame *frame); // paravirt_entry.S
__attribute__((noreturn)) static inline void hart_enter_user(struct trap_frame *frame) {
    if (paravirtual)
        pv_enter_user(frame);
    enter_user(frame);
}

// True if the timer's interrupt came, false if something else ended the wait.
static inline bool hart_wait_for_timer(void) {
    return paravirtual ? pv_wait_for_timer() : wait_for_timer();
}

// What the last trap was.
static inline struct trap_frame hart_trap(void) {
    if (paravirtual)
        return (struct trap_frame){
            .cause = pv_shared.cause, .epc = pv_shared.epc, .tval = pv_shared.tval};
    return (struct trap_frame){
        .cause = csr_read(scause), .epc = csr_read(sepc), .tval = csr_read(stval)};
}

static inline void hart_enable_timer(void) {
    if (!paravirtual) // where it can't be disabled
        csr_write(sie, MIP_STIP);
}

// Entries of page tables. Changes of a paravirtual machine's are made when a fence asks for it.
static inline pte pte_get(const pte *entry) {
    if (paravirtual)
        return pv_get_entry(entry);
    return *entry;
}

static inline void pte_set(pte *entry, pte value) {
    if (paravirtual) {
        pv_set_entry(entry, value);
        return;
    }
    *entry = value;
}

// Fences, after entries were changed: all, of one address space, of one page.
static inline void fence_all(void) {
    if (paravirtual) {
        pv_flush();
        return;
    }
    sfence_vma();
}

static inline void fence_space(uint64_t asid) {
    if (paravirtual) {
        pv_flush();
        return;
    }
    sfence_vma_asid(asid);
}

static inline void fence_page(uint64_t address) {
    if (paravirtual) {
        pv_flush();
        return;
    }
    sfence_vma_address(address);
}
