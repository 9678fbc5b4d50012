// The Supervisor Binary Interface: what an S-mode kernel may ask of the firmware below it, and how.
#pragma once

#define SBI_EXT_LEGACY_SET_TIMER 0x00
#define SBI_EXT_LEGACY_PUTCHAR   0x01
#define SBI_EXT_LEGACY_GETCHAR   0x02
#define SBI_EXT_LEGACY_SHUTDOWN  0x08
#define SBI_EXT_BASE             0x10
#define SBI_EXT_TIME             0x54494d45 // "TIME"
#define SBI_EXT_IPI              0x735049   // "sPI"
#define SBI_EXT_RFENCE           0x52464e43 // "RFNC"
#define SBI_EXT_HSM              0x48534d   // "HSM"
#define SBI_EXT_SRST             0x53525354 // "SRST"
#define SBI_EXT_PMU              0x504d55   // "PMU"
#define SBI_EXT_DBCN             0x4442434e // "DBCN"
#define SBI_EXT_FWFT             0x46574654 // "FWFT"

#define SBI_BASE_GET_SPEC_VERSION  0
#define SBI_BASE_GET_IMPL_ID       1
#define SBI_BASE_GET_IMPL_VERSION  2
#define SBI_BASE_PROBE_EXTENSION   3
#define SBI_BASE_GET_MVENDORID     4
#define SBI_BASE_GET_MARCHID       5
#define SBI_BASE_GET_MIMPID        6
#define SBI_TIME_SET_TIMER         0
#define SBI_IPI_SEND_IPI           0
#define SBI_RFENCE_SFENCE_VMA      1
#define SBI_HSM_HART_START         0
#define SBI_SRST_SYSTEM_RESET      0
#define SBI_DBCN_CONSOLE_WRITE     0
#define SBI_DBCN_CONSOLE_READ      1
#define SBI_DBCN_CONSOLE_WRITE_BYTE 2
#define SBI_FWFT_SET               0
#define SBI_FWFT_GET               1

#define SBI_SUCCESS               0
#define SBI_ERR_FAILED            (-1)
#define SBI_ERR_NOT_SUPPORTED     (-2)
#define SBI_ERR_INVALID_PARAM     (-3)
#define SBI_ERR_DENIED            (-4)
#define SBI_ERR_INVALID_ADDRESS   (-5)
#define SBI_ERR_ALREADY_AVAILABLE (-6)
#define SBI_ERR_ALREADY_STARTED   (-7)
#define SBI_ERR_ALREADY_STOPPED   (-8)
#define SBI_ERR_NO_SHMEM          (-9)
#define SBI_ERR_DENIED_LOCKED     (-14)

#define SBI_RESET_TYPE_SHUTDOWN    0
#define SBI_RESET_TYPE_WARM_REBOOT 2
#define SBI_RESET_REASON_NONE      0
#define SBI_RESET_REASON_FAILURE   1

#define SBI_FWFT_MISALIGNED_EXC_DELEG  0
#define SBI_FWFT_LANDING_PAD           1
#define SBI_FWFT_SHADOW_STACK          2
#define SBI_FWFT_DOUBLE_TRAP           3
#define SBI_FWFT_PTE_AD_HW_UPDATING    4
#define SBI_FWFT_POINTER_MASKING_PMLEN 5
#define SBI_FWFT_LOCK                  1

#ifndef __ASSEMBLER__

#include <stdint.h>

struct sbi_result {
    int64_t error;
    int64_t value;
};

static inline struct sbi_result sbi_call(uint64_t extension, uint64_t function, uint64_t arg0,
                                         uint64_t arg1, uint64_t arg2) {
    register uint64_t a0 __asm__("a0") = arg0;
    register uint64_t a1 __asm__("a1") = arg1;
    register uint64_t a2 __asm__("a2") = arg2;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;
    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_result){(int64_t)a0, (int64_t)a1};
}

static inline int sbi_has(uint64_t extension) {
    return sbi_call(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, extension, 0, 0).value != 0;
}

// A timer interrupt will be pending once `time` reaches the deadline; until then it is not.
static inline void sbi_set_timer(uint64_t deadline) {
    sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0);
}

__attribute__((noreturn)) static inline void sbi_shutdown(uint64_t reason) {
    sbi_call(SBI_EXT_SRST, SBI_SRST_SYSTEM_RESET, SBI_RESET_TYPE_SHUTDOWN, reason, 0);
    for (;;)
        __asm__ volatile("wfi");
}

#endif
