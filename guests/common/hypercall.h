// The paravirtual interface of rvemu's VMM: what a kernel may ask of it, and what they share. The
// VMM's side is rvemu/vmm/hypercalls.py, which has the same names; docs/vmm.md explains it.
//
// Hypercalls are SBI calls of one extension: the function in a6, an SBI error in a0, a value in a1.
// A kernel that finds the extension (hc_offered) runs in U-mode, as its processes do, and must
// execute no privileged instruction. Addresses are guest-physical where nothing else is said.
#pragma once

#include "sbi.h"

#define HC_EXTENSION 0x0a007276 // the firmware specific extension of SBI implementation 0x7276

#define HC_START          0 // (shared page)
#define HC_UPDATE         1 // (struct hc_update[], how many): how many were made, before a refusal
#define HC_SET_ROOTS      2 // (the kernel's table, the processes' table)
#define HC_RETURN         3 // from a trap, as the shared page says
#define HC_WAIT           4 // until an event is pending
#define HC_YIELD          5 // the rest of the turn
#define HC_FLOATING_POINT 6 // (FS, 0 to 3): what it is now
#define HC_CONSOLE        7 // (struct hc_console)
#define HC_BLOCK          8 // (struct hc_block): sectors of the disk
#define HC_NOTIFY         9 // (HC_RING_* bits)

#define HC_SHARED_EPC       (0 * 8)
#define HC_SHARED_STATUS    (1 * 8)
#define HC_SHARED_CAUSE     (2 * 8)
#define HC_SHARED_TVAL      (3 * 8)
#define HC_SHARED_SP        (4 * 8)
#define HC_SHARED_A6        (5 * 8)
#define HC_SHARED_A7        (6 * 8)
#define HC_SHARED_ENTRY     (7 * 8)
#define HC_SHARED_KERNEL_SP (8 * 8)
#define HC_SHARED_ENABLED   (9 * 8)

#define HC_RING_CONSOLE 1
#define HC_RING_BLOCK   2

#ifdef __ASSEMBLER__

// Is there a VMM that offers hypercalls? 1 if so, 0 if not. a0 and a1 are as they were afterwards; two
// registers hold them meanwhile.
.macro HC_PROBE found, hold0, hold1
    mv \hold0, a0
    mv \hold1, a1
    li a0, HC_EXTENSION
    li a6, SBI_BASE_PROBE_EXTENSION
    li a7, SBI_EXT_BASE
    ecall
    snez \found, a1
    mv a0, \hold0
    mv a1, \hold1
.endm

// Says in the ELF file that the guest knows this interface: an ELF note.
.macro HC_NOTE
    .pushsection .note.rvemu, "a", %note
    .balign 4
    .word 6, 4, 1 // lengths of name and description, type
    .asciz "rvemu"
    .balign 4
    .word 1 // the interface's version
    .popsection
.endm

#else

#include <stdbool.h>
#include <stdint.h>

// The page that kernel and VMM share. A trap is told by its first words: epc, cause and tval as
// sepc, scause and stval would have them, status as sstatus (SPP, SPIE and FS), sp, a6 and a7 as they
// were. The kernel is entered at `entry`; from a process, with kernel_sp in sp; all other registers
// are as they were. HC_RETURN goes back to what the same words say then, sp, a6 and a7 included.
// A kernel that sets `enabled` by itself looks whether something is pending already, or makes any
// hypercall. The page holds no code.
struct hc_shared {
    uint64_t epc;
    uint64_t status;
    uint64_t cause;
    uint64_t tval;
    uint64_t sp;
    uint64_t a6;
    uint64_t a7;
    uint64_t entry; // virtual
    uint64_t kernel_sp;
    uint64_t enabled;  // 1: events interrupt the kernel too; a trap clears it, as it does SIE
    uint64_t wanted;   // HC_RING_*: whose events interrupt, and end HC_WAIT; none at first
    uint64_t timer;    // 1: the deadline of sbi_set_timer has passed (interrupt 5)
    uint64_t events;   // HC_RING_* (interrupt 9): the kernel clears what it has seen to
    uint64_t time;     // when the kernel was last entered, in ticks; rdtime works as well
    uint64_t distance; // physical addresses in page tables are larger by this
};

// What to do, in order; the first that is refused ends the list. Entries are given with
// guest-physical addresses. A table that is pinned may have any content that would be allowed
// entry by entry; it may be mapped, but not for stores.
struct hc_update {
    uint64_t what;
    uint64_t address;
    uint64_t value;
};
enum {
    HC_SET_ENTRY,   // the entry at the address
    HC_PIN_TABLE,   // the page at the address is a table now, of the level `value` (0: of leaves)
    HC_UNPIN_TABLE, // an ordinary page again, if nothing leads to it
};
#define HC_MOST_UPDATES 512

// Counts run on without bounds; positions in the rings are counts modulo their sizes.
struct hc_console {
    char input[1024];
    char output[2048];
    uint32_t input_consumed; // the kernel's
    uint32_t input_produced;
    uint32_t output_consumed;
    uint32_t output_produced; // the kernel's
};

struct hc_block_request {
    uint32_t operation;
    uint32_t status;  // the answer
    uint64_t sector;  // of 512 bytes
    uint64_t address; // of the data
    uint64_t length;  // bytes: whole sectors, up to 1 MiB
};
enum { HC_READ, HC_WRITE, HC_FLUSH, HC_CLEAR, HC_DISCARD }; // only the first two have data
enum { HC_DONE, HC_FAILED, HC_REFUSED };

#define HC_BLOCK_SLOTS 64
struct hc_block {
    uint32_t consumed;
    uint32_t produced; // the kernel's
    uint8_t unused[24];
    struct hc_block_request requests[HC_BLOCK_SLOTS];
};

static inline struct sbi_result hypercall(uint64_t function, uint64_t arg0, uint64_t arg1) {
    return sbi_call(HC_EXTENSION, function, arg0, arg1, 0);
}

// Events that the kernel has seen to. The VMM may set others at any time.
static inline void hc_clear_events(struct hc_shared *shared, uint64_t rings) {
    __atomic_fetch_and(&shared->events, ~rings, __ATOMIC_RELAXED);
}

// Whether the kernel runs in a paravirtual machine.
static inline bool hc_offered(void) { return sbi_has(HC_EXTENSION); }

#endif
