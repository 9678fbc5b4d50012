// From firmware to C: the kernel is entered in S-mode at its physical address, with paging off,
// the hart in a0 and the device tree in a1. It is linked for the upper half, so the first job is to
// map itself there, and the second to jump.
#include "hypercall.h"
#include "layout.h"
#include "riscv.h"
#include "sbi.h"

#ifdef PARAVIRT
    HC_NOTE
#endif
    .cfi_sections .debug_frame
    .section .text.start, "ax"
    .cfi_startproc
    .cfi_undefined ra // nobody has called this: backtraces end here
#ifdef PARAVIRT
    HC_PROBE s2, s0, s1 // before any privileged instruction
    bnez s2, clear
#endif
    csrw sie, zero
clear:

    // Addresses are relative to pc, so `la` gives physical ones until the jump.
    la t0, __bss_start
    la t1, __bss_end
1:  sd zero, 0(t0)
    addi t0, t0, 8
    bltu t0, t1, 1b

#ifdef PARAVIRT
    la t0, paravirtual
    sb s2, 0(t0)
    beqz s2, 1f
    la sp, kernel_stack_top
    call pv_boot
    j jump
1:
#endif
    // The first page table: one entry of 1 GiB where RAM is, and the same one in the upper half.
    la t0, boot_page_table
    li t1, (RAM_PHYSICAL >> PAGE_SHIFT << PTE_PPN_SHIFT) | PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D
    sd t1, (RAM_PHYSICAL >> 30) * 8(t0)
    li t2, ((RAM_VIRTUAL >> 30) & 511) * 8
    add t2, t0, t2
    sd t1, 0(t2)

    srli t0, t0, PAGE_SHIFT
    li t1, SATP_MODE_SV39
    or t0, t0, t1
    sfence.vma
    csrw satp, t0

jump:
    // From here both addresses work; go to the one that will stay.
    li t0, RAM_DISTANCE
    la t1, high
    add t1, t1, t0
    jr t1
high:
    la sp, kernel_stack_top
#ifdef PARAVIRT
    lbu t0, paravirtual
    la t1, pv_kernel_trap_entry
    la t2, pv_shared
    sd t1, HC_SHARED_ENTRY(t2)
    bnez t0, 1f
#endif
    la t0, kernel_trap_entry
    csrw stvec, t0
1:  call kernel_main
    .cfi_endproc

    .bss
    .balign PAGE_SIZE
boot_page_table:
    .space PAGE_SIZE
    .space 2 * PAGE_SIZE
    .globl kernel_stack_top
kernel_stack_top:

// The user programs' symbols are out of reach of pc-relative addressing; here they are as data.
    .section .rodata
    .balign 8
    .globl user_image_size, user_text_size
user_text_size:
    .dword __user_text_end - __user_start
user_image_size:
    .dword __user_end - __user_start
