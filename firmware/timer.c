// TIME and SRST: the timer, and the end.
#include "firmware.h"
#include "riscv.h"

struct sbi_result sbi_time(uint64_t function, const uint64_t *args) {
    if (function != SBI_TIME_SET_TIMER)
        return failure(SBI_ERR_NOT_SUPPORTED);
    if (has_stimecmp) {
        csr_write(0x14d, args[0]); // stimecmp
        return success(0);
    }
    mmio_write64(CLINT_MTIMECMP(csr_read(mhartid)), args[0]);
    csr_clear(mip, MIP_STIP);
    csr_set(mie, MIP_MTIP);
    return success(0);
}

struct sbi_result sbi_srst(uint64_t function, const uint64_t *args) {
    if (function != SBI_SRST_SYSTEM_RESET)
        return failure(SBI_ERR_NOT_SUPPORTED);
    uint32_t type = (uint32_t)args[0], reason = (uint32_t)args[1];
    if (type > SBI_RESET_TYPE_WARM_REBOOT || reason > SBI_RESET_REASON_FAILURE)
        return failure(SBI_ERR_INVALID_PARAM);
    if (type == SBI_RESET_TYPE_SHUTDOWN)
        board_finish(reason == SBI_RESET_REASON_NONE ? 0 : 1);
    mmio_write32(TEST_FINISHER, TEST_FINISHER_RESET);
    for (;;)
        wfi();
}
