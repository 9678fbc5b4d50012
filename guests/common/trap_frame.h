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

#define DW_CFA_def_cfa         0x0c
#define DW_CFA_offset_extended 0x05
#define DW_CFA_offset          0x80

// Begins a handler, between .cfi_startproc and .cfi_endproc: the registers are still the interrupted
// program's, which made no call, and goes on where the CSR of a DWARF number says.
.macro TRAP_HANDLER_CFI epc
    .cfi_signal_frame
    .cfi_return_column \epc
.endm

// Tells a debugger where the interrupted program's registers are, while the code from a label to
// here runs: in the frame that a register (of that number) holds the address of. It made no call, and
// goes on where the CSR with the DWARF number `epc` says, or what the frame has of it.
//
// The .cfi directives would say all this but for one thing, which LLVM's assembler leaves out of
// .debug_frame: that this is a trap's frame ("S", .cfi_signal_frame). Without it gdb takes for corrupt
// what goes from a kernel's stack down to a process's, and ends its backtrace there.
.macro TRAP_FRAME_CFI from, base, epc
.Ltrap_code_end\@:
    .pushsection .debug_frame, "", @progbits
    .balign 8
.Ltrap_cie\@: // what is common to functions (here: to one), DWARF 3, 6.4.1
    .4byte .Ltrap_fde\@ - . - 4
    .4byte 0xffffffff
    .byte 3 // the version
    .asciz "S"
    .uleb128 1 // unit of code
    .sleb128 8 // unit of offsets
    .uleb128 \epc // the return address
    .byte DW_CFA_def_cfa
    .uleb128 \base
    .uleb128 0
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .byte DW_CFA_offset + \n
    .uleb128 \n
    .endr
    .byte DW_CFA_offset_extended
    .uleb128 \epc
    .uleb128 TRAP_FRAME_EPC / 8
    .balign 8 // DW_CFA_nop
.Ltrap_fde\@: // where the code is
    .4byte .Ltrap_fde_end\@ - . - 4
    .4byte .Ltrap_cie\@
    .8byte \from
    .8byte .Ltrap_code_end\@ - \from
.Ltrap_fde_end\@:
    .popsection
.endm

#define DWARF_SSCRATCH 4416 // 4096 + the number of the CSR
#define DWARF_SEPC     4417
#define DWARF_MSCRATCH 4928
#define DWARF_MEPC     4929

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
