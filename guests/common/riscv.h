// What the privileged specification names: CSR access, CSR bits, trap causes, page table bits.
//
// This header is shared by C and assembly; everything below the #ifndef is for C alone.
#pragma once

// mstatus and sstatus (priv. spec. 3.1.6). sstatus is a view of mstatus: the bits are the same.
#define MSTATUS_SIE  (1 << 1)
#define MSTATUS_MIE  (1 << 3)
#define MSTATUS_SPIE (1 << 5)
#define MSTATUS_MPIE (1 << 7)
#define MSTATUS_SPP  (1 << 8)
#define MSTATUS_MPP  (3 << 11)
#define MSTATUS_FS   (3 << 13)
#define MSTATUS_MPRV (1 << 17)
#define MSTATUS_SUM  (1 << 18)
#define MSTATUS_MXR  (1 << 19)
#define MSTATUS_TVM  (1 << 20)
#define MSTATUS_TW   (1 << 21)
#define MSTATUS_TSR  (1 << 22)

#define MSTATUS_MPP_U (0 << 11)
#define MSTATUS_MPP_S (1 << 11)
#define MSTATUS_MPP_M (3 << 11)

#define MSTATUS_FS_OFF     (0 << 13)
#define MSTATUS_FS_INITIAL (1 << 13)
#define MSTATUS_FS_CLEAN   (2 << 13)
#define MSTATUS_FS_DIRTY   (3 << 13)

// mie and mip, sie and sip (3.1.9).
#define MIP_SSIP (1 << 1)
#define MIP_MSIP (1 << 3)
#define MIP_STIP (1 << 5)
#define MIP_MTIP (1 << 7)
#define MIP_SEIP (1 << 9)
#define MIP_MEIP (1 << 11)

// mcause and scause (3.1.15). The top bit says "interrupt".
#define CAUSE_INTERRUPT (1ul << 63)

#define CAUSE_MISALIGNED_FETCH    0
#define CAUSE_FETCH_ACCESS        1
#define CAUSE_ILLEGAL_INSTRUCTION 2
#define CAUSE_BREAKPOINT          3
#define CAUSE_MISALIGNED_LOAD     4
#define CAUSE_LOAD_ACCESS         5
#define CAUSE_MISALIGNED_STORE    6
#define CAUSE_STORE_ACCESS        7
#define CAUSE_ECALL_U             8
#define CAUSE_ECALL_S             9
#define CAUSE_ECALL_M             11
#define CAUSE_FETCH_PAGE_FAULT    12
#define CAUSE_LOAD_PAGE_FAULT     13
#define CAUSE_STORE_PAGE_FAULT    15

#define IRQ_S_SOFTWARE 1
#define IRQ_M_SOFTWARE 3
#define IRQ_S_TIMER    5
#define IRQ_M_TIMER    7
#define IRQ_S_EXTERNAL 9
#define IRQ_M_EXTERNAL 11

// pmpcfg (3.7.1).
#define PMP_R     (1 << 0)
#define PMP_W     (1 << 1)
#define PMP_X     (1 << 2)
#define PMP_TOR   (1 << 3)
#define PMP_NA4   (2 << 3)
#define PMP_NAPOT (3 << 3)

// A NAPOT pmpaddr names the naturally aligned power of two region [base, base + size).
#define PMP_NAPOT_ADDR(base, size) (((base) >> 2) | (((size) >> 3) - 1))

// satp and page table entries (12.1.11, 12.4).
#define SATP_MODE_SV39  (8ul << 60)
#define SATP_ASID_SHIFT 44
#define SATP_ASID       (0xfffful << SATP_ASID_SHIFT)

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1 << PAGE_SHIFT)

#define PTE_V (1 << 0)
#define PTE_R (1 << 1)
#define PTE_W (1 << 2)
#define PTE_X (1 << 3)
#define PTE_U (1 << 4)
#define PTE_G (1 << 5)
#define PTE_A (1 << 6)
#define PTE_D (1 << 7)
#define PTE_RSW0 (1 << 8) // the two bits reserved for software
#define PTE_RSW1 (1 << 9)
#define PTE_PPN_SHIFT 10

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

#define csr_read(csr)                                                  \
    ({                                                                 \
        uint64_t value_;                                               \
        __asm__ volatile("csrr %0, " #csr : "=r"(value_)::"memory");   \
        value_;                                                        \
    })

#define csr_write(csr, value) \
    ({ __asm__ volatile("csrw " #csr ", %0" ::"rK"((uint64_t)(value)) : "memory"); })

#define csr_set(csr, bits) \
    ({ __asm__ volatile("csrs " #csr ", %0" ::"rK"((uint64_t)(bits)) : "memory"); })

#define csr_clear(csr, bits) \
    ({ __asm__ volatile("csrc " #csr ", %0" ::"rK"((uint64_t)(bits)) : "memory"); })

// Writes a CSR and returns what it held before.
#define csr_swap(csr, value)                                                                   \
    ({                                                                                         \
        uint64_t old_;                                                                         \
        __asm__ volatile("csrrw %0, " #csr ", %1" : "=r"(old_) : "rK"((uint64_t)(value)) : "memory"); \
        old_;                                                                                  \
    })

static inline void wfi(void) { __asm__ volatile("wfi" ::: "memory"); }
static inline void fence(void) { __asm__ volatile("fence" ::: "memory"); }
static inline void fence_i(void) { __asm__ volatile("fence.i" ::: "memory"); }
static inline void sfence_vma(void) { __asm__ volatile("sfence.vma" ::: "memory"); }

static inline void sfence_vma_address(uint64_t va) {
    __asm__ volatile("sfence.vma %0, x0" ::"r"(va) : "memory");
}

static inline void sfence_vma_asid(uint64_t asid) {
    __asm__ volatile("sfence.vma x0, %0" ::"r"(asid) : "memory");
}

static inline uint64_t mtime(void) { return csr_read(time); }

#endif
