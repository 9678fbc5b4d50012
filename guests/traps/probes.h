// Pieces of code that cause one trap each, and the way into and out of a lower privilege mode.
#pragma once

#include <stdint.h>

// What the last trap said.
struct trap_report {
    uint64_t cause, tval, epc, mpp;
};

extern struct trap_report report;

// Runs `code` in the mode whose mstatus.MPP encoding is `mpp`, with `argument` in a0, until a trap
// into M-mode ends it (`report` says which).
void enter(uint64_t mpp, const void *code, uint64_t argument);

// Where a trap handler returns to, to end `enter`; and with which sp.
extern const char enter_end[];
extern uint64_t enter_sp;

// Which entry of the vectored trap table was last used.
extern uint64_t vector_used;
extern const char vector_table[], supervisor_trap[];

// The instruction that may trap comes first, then an ecall.
extern const char code_load[], code_store[], code_amo[], code_lr[], code_fetch[];
extern const char code_ecall[], code_ebreak[], code_c_ebreak[], code_illegal[], code_c_illegal[];
extern const char code_absent_csr[], code_read_only_csr[], code_mstatus[], code_sstatus[];
extern const char code_satp[], code_cycle[], code_mret[], code_sret[], code_sfence[], code_wfi[];
extern const char code_flw[], code_spin[];

// Reads through MPRV: M-mode, but with the data accesses of S-mode.
extern const char code_load_mprv[];
