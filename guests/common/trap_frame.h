// Where a trap handler finds the interrupted program: its registers by number, and the four CSRs
// that say what happened. Shared by C and assembly, by M-mode and S-mode handlers.
#pragma once

#define TRAP_FRAME_EPC    (32 * 8)
#define TRAP_FRAME_STATUS (33 * 8)
#define TRAP_FRAME_CAUSE  (34 * 8)
#define TRAP_FRAME_TVAL   (35 * 8)
#define TRAP_FRAME_SIZE   (36 * 8) // a multiple of 16: the ABI wants an aligned stack

#ifdef __ASSEMBLER__

// Saves or restores every integer register but x0 and sp (x2), with the frame's address in sp:
// who uses these moves the interrupted sp in and out of its slot, 2 * 8.
.macro SAVE_REGISTERS
    sd x1, 1 * 8(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd x\n, \n * 8(sp)
    .endr
.endm

.macro RESTORE_REGISTERS
    ld x1, 1 * 8(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld x\n, \n * 8(sp)
    .endr
.endm

// Tells a debugger where the interrupted program's registers are from here on: in the frame that a
// register holds the address of. Stands between .cfi_startproc and .cfi_endproc of a handler that
// began with TRAP_HANDLER_CFI; `epc` is the CSR's DWARF number, below.
.macro TRAP_FRAME_CFI base, epc
    .cfi_def_cfa \base, 0
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .cfi_offset \n, \n * 8
    .endr
    .cfi_offset \epc, TRAP_FRAME_EPC
.endm

// It was interrupted and made no call, and goes on where the CSR says.
.macro TRAP_HANDLER_CFI epc
    .cfi_signal_frame
    .cfi_return_column \epc
.endm

#define DWARF_SEPC 4417 // 4096 + the number of the CSR
#define DWARF_MEPC 4929

    .cfi_sections .debug_frame

#else

#include <stdint.h>

struct trap_frame {
    uint64_t x[32];
    uint64_t epc;
    uint64_t status;
    uint64_t cause;
    uint64_t tval;
};

// The ABI's names of the registers that carry arguments and results.
enum { REG_RA = 1, REG_SP = 2, REG_A0 = 10, REG_A1 = 11, REG_A2 = 12, REG_A6 = 16, REG_A7 = 17 };

#endif
