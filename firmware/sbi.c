// SBI calls: which extension, and what the base extension says of them.
#include "firmware.h"
#include "riscv.h"

#define SPEC_VERSION (3 << 24) // 3.0
#define IMPL_ID      0x7276    // "rv", not a registered number
#define IMPL_VERSION 1

static const struct extension {
    uint64_t id;
    struct sbi_result (*call)(uint64_t function, const uint64_t *args);
} extensions[] = {
    {SBI_EXT_BASE, sbi_base}, {SBI_EXT_TIME, sbi_time},     {SBI_EXT_IPI, sbi_ipi},
    {SBI_EXT_HSM, sbi_hsm},   {SBI_EXT_RFENCE, sbi_rfence}, {SBI_EXT_SRST, sbi_srst},
    {SBI_EXT_DBCN, sbi_dbcn}, {SBI_EXT_PMU, sbi_pmu},   {SBI_EXT_FWFT, sbi_fwft},
};

static const struct extension *find(uint64_t id) {
    for (size_t n = 0; n < sizeof extensions / sizeof extensions[0]; n++)
        if (extensions[n].id == id)
            return &extensions[n];
    return NULL;
}

static bool is_legacy(uint64_t id) {
    return id == SBI_EXT_LEGACY_SET_TIMER || id == SBI_EXT_LEGACY_PUTCHAR ||
           id == SBI_EXT_LEGACY_GETCHAR || id == SBI_EXT_LEGACY_SHUTDOWN;
}

struct sbi_result sbi_base(uint64_t function, const uint64_t *args) {
    switch (function) {
    case SBI_BASE_GET_SPEC_VERSION:
        return success(SPEC_VERSION);
    case SBI_BASE_GET_IMPL_ID:
        return success(IMPL_ID);
    case SBI_BASE_GET_IMPL_VERSION:
        return success(IMPL_VERSION);
    case SBI_BASE_PROBE_EXTENSION:
        return success(find(args[0]) != NULL || is_legacy(args[0]));
    case SBI_BASE_GET_MVENDORID:
        return success(csr_read(mvendorid));
    case SBI_BASE_GET_MARCHID:
        return success(csr_read(marchid));
    case SBI_BASE_GET_MIMPID:
        return success(csr_read(mimpid));
    default:
        return failure(SBI_ERR_NOT_SUPPORTED);
    }
}

// The legacy calls return in a0 alone.
static uint64_t legacy(uint64_t id, const uint64_t *args) {
    switch (id) {
    case SBI_EXT_LEGACY_SET_TIMER:
        sbi_time(SBI_TIME_SET_TIMER, args);
        return 0;
    case SBI_EXT_LEGACY_PUTCHAR:
        uart_putc((char)args[0]);
        return 0;
    case SBI_EXT_LEGACY_GETCHAR:
        return (uint64_t)legacy_getchar();
    default:
        board_finish(0);
    }
}

void sbi_call_handler(struct trap_frame *frame) {
    uint64_t *x = frame->x;
    uint64_t id = x[REG_A7];
    if (is_legacy(id)) {
        x[REG_A0] = legacy(id, &x[REG_A0]);
        return;
    }
    const struct extension *extension = find(id);
    struct sbi_result result = failure(SBI_ERR_NOT_SUPPORTED);
    if (extension != NULL)
        result = extension->call(x[REG_A6], &x[REG_A0]);
    x[REG_A0] = (uint64_t)result.error;
    x[REG_A1] = (uint64_t)result.value;
}
