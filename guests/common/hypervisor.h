// What the hypervisor extension names (priv. spec., chapter "H" Extension): CSR bits, trap causes,
// and the instructions that older assemblers do not know.
//
// Shared by C and assembly; everything below the #ifndef is for C alone.
#pragma once

#define MISA_H (1 << 7)

// hstatus: SPV and SPVP say where sret goes, as sstatus.SPP does without a hypervisor.
#define HSTATUS_GVA  (1 << 6)  // stval holds a guest virtual address
#define HSTATUS_SPV  (1 << 7)  // V before the trap, and after sret
#define HSTATUS_SPVP (1 << 8)  // the guest's privilege before the trap: 0 is VU, 1 is VS
#define HSTATUS_VTVM (1 << 20) // a guest's satp and sfence.vma trap
#define HSTATUS_VTW  (1 << 21) // a guest's wfi traps
#define HSTATUS_VTSR (1 << 22) // a guest's sret traps

// hvip, hip, hie, hideleg: VS-level interrupts, each one bit above its supervisor namesake.
#define HVIP_VSSIP (1 << 2)
#define HVIP_VSTIP (1 << 6)
#define HVIP_VSEIP (1 << 10)

// menvcfg and henvcfg.
#define ENVCFG_STCE (1ul << 63) // the next level down has stimecmp (Sstc)

#define CAUSE_ECALL_VS               10
#define CAUSE_FETCH_GUEST_PAGE_FAULT 20
#define CAUSE_LOAD_GUEST_PAGE_FAULT  21
#define CAUSE_VIRTUAL_INSTRUCTION    22
#define CAUSE_STORE_GUEST_PAGE_FAULT 23

// hgatp. Sv39x4 is Sv39 with two more bits of address: its root table is four pages, not one.
#define HGATP_MODE_SV39X4 (8ul << 60)
#define HGATP_VMID_SHIFT  44
#define HGATP_VMID        (0x3ffful << HGATP_VMID_SHIFT)

#ifndef __ASSEMBLER__

#include <stdint.h>

// Forgets the G-stage translations of a guest-physical address, for one VMID. The instruction
// wants the address shifted right by two, as htval and hgatp's range of 56 + 2 bits do.
static inline void hfence_gvma_address(uint64_t guest_physical, uint64_t vmid) {
    __asm__ volatile(".insn r 0x73, 0, 0x31, x0, %0, %1" ::"r"(guest_physical >> 2), "r"(vmid)
                     : "memory");
}

// Forgets all G-stage translations, and what was derived from them, for one VMID.
static inline void hfence_gvma_vmid(uint64_t vmid) {
    __asm__ volatile(".insn r 0x73, 0, 0x31, x0, x0, %0" ::"r"(vmid) : "memory");
}

// Forgets all VS-stage translations of the VMID in hgatp.
static inline void hfence_vvma(void) {
    __asm__ volatile(".insn r 0x73, 0, 0x11, x0, x0, x0" ::: "memory");
}

// HLVX.WU: loads 32 bits of a guest's code, by its own tables of both stages, with its privilege.
static inline uint32_t hlvx_wu(uint64_t guest_virtual) {
    uint64_t value;
    __asm__ volatile(".insn r 0x73, 4, 0x34, %0, %1, x3"
                     : "=r"(value)
                     : "r"(guest_virtual)
                     : "memory");
    return (uint32_t)value;
}

#endif
