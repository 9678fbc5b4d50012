// Asks the firmware for everything that it offers and for things that it must refuse. Prints what
// differs from the specification, and at the end how many checks there were.
#include "board.h"
#include "console.h"
#include "guest.h"
#include "riscv.h"
#include "sbi.h"

#define HART_START   0
#define HART_STOP    1
#define HART_STATUS  2
#define HART_SUSPEND 3

#define STARTED 0
#define STOPPED 1

void hart_entry(void);
int suspend(void);
uint64_t try_load(uint64_t address);
uint64_t try_illegal(void);

static int checks, failures;
static volatile uint64_t stacks[8][512] __attribute__((aligned(16)));
static volatile uint64_t arrived, interrupted, rounds_done;
static struct sbi_result updating_at_first;

static struct sbi_result call(uint64_t extension, uint64_t function, const uint64_t args[5]) {
    register uint64_t a0 __asm__("a0") = args[0];
    register uint64_t a1 __asm__("a1") = args[1];
    register uint64_t a2 __asm__("a2") = args[2];
    register uint64_t a3 __asm__("a3") = args[3];
    register uint64_t a4 __asm__("a4") = args[4];
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1)
                     : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
                     : "memory");
    return (struct sbi_result){(int64_t)a0, (int64_t)a1};
}

#define CALL(extension, function, ...) call(extension, function, (uint64_t[5]){__VA_ARGS__})

static void check(const char *what, int64_t got, int64_t expected) {
    checks++;
    if (got != expected) {
        failures++;
        printf("%s: %ld, not %ld\n", what, got, expected);
    }
}

static void check_base(void) {
    struct sbi_result version = CALL(SBI_EXT_BASE, SBI_BASE_GET_SPEC_VERSION);
    check("spec version", version.value, 3 << 24);
    const uint64_t there[] = {SBI_EXT_BASE, SBI_EXT_TIME, SBI_EXT_IPI,  SBI_EXT_RFENCE,
                              SBI_EXT_HSM,  SBI_EXT_SRST, SBI_EXT_DBCN, SBI_EXT_PMU,
                              SBI_EXT_FWFT, SBI_EXT_LEGACY_PUTCHAR, SBI_EXT_LEGACY_GETCHAR};
    for (unsigned n = 0; n < sizeof there / sizeof there[0]; n++)
        check("probe", CALL(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, there[n]).value, 1);
    check("probe of none", CALL(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, 0x12345678).value, 0);
    check("mvendorid", CALL(SBI_EXT_BASE, SBI_BASE_GET_MVENDORID).error, 0);
    check("base function 7", CALL(SBI_EXT_BASE, 7).error, SBI_ERR_NOT_SUPPORTED);
    check("no such extension", CALL(0x12345678, 0).error, SBI_ERR_NOT_SUPPORTED);
    const uint64_t extensions[] = {SBI_EXT_TIME, SBI_EXT_IPI,  SBI_EXT_RFENCE, SBI_EXT_HSM,
                                   SBI_EXT_SRST, SBI_EXT_DBCN, SBI_EXT_PMU,    SBI_EXT_FWFT};
    for (unsigned n = 0; n < sizeof extensions / sizeof extensions[0]; n++)
        check("function 99", CALL(extensions[n], 99).error, SBI_ERR_NOT_SUPPORTED);
}

static void check_protection(void) {
    check("load of firmware", (int64_t)try_load(RAM), CAUSE_LOAD_ACCESS);
    check("load of firmware's end", (int64_t)try_load(RAM + 0x3fffc), CAUSE_LOAD_ACCESS);
    check("load behind it", (int64_t)try_load(RAM + 0x40000), -1);
    check("load of the CLINT", (int64_t)try_load(CLINT_MTIMECMP(0)), CAUSE_LOAD_ACCESS);
    check("illegal instruction", (int64_t)try_illegal(), CAUSE_ILLEGAL_INSTRUCTION);
}

static void check_console(void) {
    static const char text[] = "written by DBCN\n";
    struct sbi_result done = CALL(SBI_EXT_DBCN, SBI_DBCN_CONSOLE_WRITE, 16, (uint64_t)text);
    check("DBCN write", done.value, 16);
    check("DBCN of firmware", CALL(SBI_EXT_DBCN, 0, 16, RAM).error, SBI_ERR_INVALID_PARAM);
    check("DBCN into it", CALL(SBI_EXT_DBCN, 0, 16, RAM - 8).error, SBI_ERR_INVALID_PARAM);
    check("DBCN across it", CALL(SBI_EXT_DBCN, 0, -2ul, 1).error, SBI_ERR_INVALID_PARAM);
    check("DBCN of the CLINT", CALL(SBI_EXT_DBCN, 0, 4, CLINT).error, SBI_ERR_INVALID_PARAM);
    check("DBCN high", CALL(SBI_EXT_DBCN, 0, 1, (uint64_t)text, 1).error, SBI_ERR_INVALID_PARAM);
    check("DBCN nowhere", CALL(SBI_EXT_DBCN, 0, 1, 1ul << 40).error, SBI_ERR_INVALID_PARAM);
    check("DBCN read", CALL(SBI_EXT_DBCN, 1, 16, (uint64_t)&stacks[7]).value, 0);
    check("DBCN read to it", CALL(SBI_EXT_DBCN, 1, 1, RAM).error, SBI_ERR_INVALID_PARAM);
    check("DBCN byte", CALL(SBI_EXT_DBCN, SBI_DBCN_CONSOLE_WRITE_BYTE, '!').error, 0);
    check("putchar", CALL(SBI_EXT_LEGACY_PUTCHAR, 0, '\n').error, 0);
    check("getchar", CALL(SBI_EXT_LEGACY_GETCHAR, 0).error, -1);
}

static void check_timer(void) {
    csr_set(sie, MIP_STIP);
    sbi_set_timer(mtime() + 100000000); // 10 s: long enough for a busy host
    check("timer is not due", (csr_read(sip) & MIP_STIP) != 0, 0);
    sbi_set_timer(mtime() + 1000);
    wfi();
    while (!(csr_read(sip) & MIP_STIP))
        ;
    sbi_set_timer(-1ul);
    check("timer was set anew", (csr_read(sip) & MIP_STIP) != 0, 0);
}

static void check_suspend(void) {
    sbi_set_timer(mtime() + 1000);
    check("retentive suspend", CALL(SBI_EXT_HSM, HART_SUSPEND, 0).error, 0);
    check("woken by the timer", (csr_read(sip) & MIP_STIP) != 0, 1);
    sbi_set_timer(mtime() + 1000);
    check("suspend", suspend(), 1);
    sbi_set_timer(-1ul);
    csr_clear(sie, MIP_STIP);
    check("suspend of a kind", CALL(SBI_EXT_HSM, HART_SUSPEND, 7).error, SBI_ERR_INVALID_PARAM);
    check("suspend to firmware", CALL(SBI_EXT_HSM, HART_SUSPEND, 0x80000000, RAM).error,
          SBI_ERR_INVALID_ADDRESS);
}

static void check_counters(void) {
    check("PMU counters", CALL(SBI_EXT_PMU, 0).value, 3);
    check("cycle", CALL(SBI_EXT_PMU, 1, 0).value, 0xc00 | 63 << 12);
    check("time", CALL(SBI_EXT_PMU, 1, 1).error, SBI_ERR_INVALID_PARAM);
    check("instret", CALL(SBI_EXT_PMU, 1, 2).value, 0xc02 | 63 << 12);
    check("no counter", CALL(SBI_EXT_PMU, 1, 3).error, SBI_ERR_INVALID_PARAM);
    check("match cycles", CALL(SBI_EXT_PMU, 2, 0, 7, 0, 1).value, 0);
    check("match instructions", CALL(SBI_EXT_PMU, 2, 0, 7, 0, 2).value, 2);
    check("match misses", CALL(SBI_EXT_PMU, 2, 0, 7, 0, 3).error, SBI_ERR_NOT_SUPPORTED);
    check("match nothing", CALL(SBI_EXT_PMU, 2, 9, 1, 0, 1).error, SBI_ERR_INVALID_PARAM);
    check("first that matches", CALL(SBI_EXT_PMU, 2, 0, 6, 1, 3).value, 2);
    check("match flags", CALL(SBI_EXT_PMU, 2, 0, 7, 0x100, 1).error, SBI_ERR_INVALID_PARAM);
    check("stop", CALL(SBI_EXT_PMU, 4, 2, 1).error, 0);
    check("stop again", CALL(SBI_EXT_PMU, 4, 2, 1).error, SBI_ERR_ALREADY_STOPPED);
    check("start", CALL(SBI_EXT_PMU, 3, 2, 1, 1, 12345678).error, 0);
    check("start again", CALL(SBI_EXT_PMU, 3, 2, 1).error, SBI_ERR_ALREADY_STARTED);
    check("start flags", CALL(SBI_EXT_PMU, 3, 2, 1, 4).error, SBI_ERR_INVALID_PARAM);
    check("start from snapshot", CALL(SBI_EXT_PMU, 3, 2, 1, 2).error, SBI_ERR_NO_SHMEM);
    check("firmware counter", CALL(SBI_EXT_PMU, 5, 0).error, SBI_ERR_INVALID_PARAM);
    check("firmware counter, high", CALL(SBI_EXT_PMU, 6, 0).error, SBI_ERR_INVALID_PARAM);
    check("snapshot", CALL(SBI_EXT_PMU, 7, RAM + 0x1000000).error, SBI_ERR_NOT_SUPPORTED);
}

static int64_t event_info(const volatile void *events, uint64_t count) {
    return CALL(SBI_EXT_PMU, 8, (uint64_t)events, 0, count).error;
}

static void check_events(void) {
    static volatile struct {
        uint32_t event, output;
        uint64_t data;
    } events[] __attribute__((aligned(16))) = {{1, 7, 0}, {3, 7, 0}, {2, 7, 0}, {0xf0000, 7, 0}};
    check("event info", event_info(events, 4), 0);
    for (unsigned n = 0; n < 4; n++)
        check("event", events[n].output, n == 0 || n == 2);
    check("no events", event_info(events, 0), 0);
    events[1].event = 1 << 20;
    check("event of more bits", event_info(events, 4), SBI_ERR_INVALID_PARAM);
    check("events out of line", event_info((char *)events + 8, 1), SBI_ERR_INVALID_PARAM);
    check("event flags", CALL(SBI_EXT_PMU, 8, (uint64_t)events, 0, 1, 1).error,
          SBI_ERR_INVALID_PARAM);
    check("events high", CALL(SBI_EXT_PMU, 8, (uint64_t)events, 1, 1).error,
          SBI_ERR_INVALID_ADDRESS);
    check("events in firmware", event_info((void *)RAM, 1), SBI_ERR_INVALID_ADDRESS);
    check("events nowhere", event_info((void *)(1ul << 40), 1), SBI_ERR_INVALID_ADDRESS);
    check("too many events", event_info(events, 1ul << 60), SBI_ERR_INVALID_ADDRESS);
}

static int64_t feature_set(uint64_t feature, uint64_t value, uint64_t flags) {
    return CALL(SBI_EXT_FWFT, SBI_FWFT_SET, feature, value, flags).error;
}

static struct sbi_result feature(uint64_t feature) {
    return CALL(SBI_EXT_FWFT, SBI_FWFT_GET, feature);
}

// Whether the hart sets the A bit of the page that is loaded from.
static int sets_accessed(void) {
    static volatile uint64_t table[512] __attribute__((aligned(4096)));
    const uint64_t rwx = PTE_R | PTE_W | PTE_X;
    uint64_t gigapage = RAM >> 30; // the guest, at its own address; and once more at 0
    table[gigapage] = gigapage << 28 | PTE_V | rwx | PTE_A | PTE_D;
    table[0] = gigapage << 28 | PTE_V | rwx;
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)table >> PAGE_SHIFT);
    sfence_vma();
    uint64_t cause = try_load((uint64_t)&checks & 0x3fffffff);
    csr_write(satp, 0);
    sfence_vma();
    check("load by a page not accessed", (int64_t)cause,
          table[0] & PTE_A ? -1 : CAUSE_LOAD_PAGE_FAULT);
    return (table[0] & PTE_A) != 0;
}

// Not every hart can choose who updates A and D bits; QEMU 7's always do it themselves.
static void check_updating(void) {
    const uint64_t updating = SBI_FWFT_PTE_AD_HW_UPDATING;
    updating_at_first = feature(updating);
    if (updating_at_first.error == SBI_ERR_NOT_SUPPORTED) {
        check("set without it", feature_set(updating, 0, 0), SBI_ERR_NOT_SUPPORTED);
        return;
    }
    for (int64_t value = 1; value >= 0; value--) {
        check("set updating", feature_set(updating, (uint64_t)value, 0), 0);
        check("updating", feature(updating).value, value);
        check("update", sets_accessed(), (int)value);
    }
    check("value 2", feature_set(updating, 2, 0), SBI_ERR_INVALID_PARAM);
    check("flag 2", feature_set(updating, 1, 2), SBI_ERR_INVALID_PARAM);
    check("lock updating", feature_set(updating, 1, SBI_FWFT_LOCK), 0);
    check("unlock it", feature_set(updating, 0, 0), SBI_ERR_DENIED_LOCKED);
    check("updating", feature(updating).value, 1);
}

static void check_features(void) {
    check("misaligned", feature(SBI_FWFT_MISALIGNED_EXC_DELEG).value, 1);
    check("delegate", feature_set(SBI_FWFT_MISALIGNED_EXC_DELEG, 1, 0), 0);
    check("do not", feature_set(SBI_FWFT_MISALIGNED_EXC_DELEG, 0, 0), SBI_ERR_DENIED);
    check_updating();
    const uint64_t none[] = {SBI_FWFT_LANDING_PAD, SBI_FWFT_SHADOW_STACK, SBI_FWFT_DOUBLE_TRAP,
                             SBI_FWFT_POINTER_MASKING_PMLEN};
    for (unsigned n = 0; n < sizeof none / sizeof none[0]; n++) {
        check("get what is not there", feature(none[n]).error, SBI_ERR_NOT_SUPPORTED);
        check("set what is not there", feature_set(none[n], 1, 0), SBI_ERR_NOT_SUPPORTED);
    }
    check("reserved", feature_set(6, 1, 0), SBI_ERR_DENIED);
    check("reserved, of all harts", feature(0xc0000000).error, SBI_ERR_DENIED);
}

static int64_t status(uint64_t hart) { return CALL(SBI_EXT_HSM, HART_STATUS, hart).value; }

static int64_t start(uint64_t hart) {
    uint64_t stack = (uint64_t)&stacks[hart + 1];
    return CALL(SBI_EXT_HSM, HART_START, hart, (uint64_t)hart_entry, stack).error;
}

// Every hart asks all harts for fences of all kinds, at the same time.
static void fences(void) {
    int64_t hypervisor = CALL(SBI_EXT_RFENCE, 6, 0, 0).error;
    for (int round = 0; round < 30; round++) {
        for (uint64_t function = 0; function <= 6; function++) {
            uint64_t size = round % 3 == 0 ? -1ul : 0x3000;
            int64_t expected = function > 2 ? hypervisor : SBI_SUCCESS;
            int64_t error = CALL(SBI_EXT_RFENCE, function, 0, -1ul, 0x80200000, size, 5).error;
            if (error != expected)
                __atomic_store_n(&failures, 1000 + (int)function, __ATOMIC_RELAXED);
        }
    }
    __atomic_fetch_add(&rounds_done, 1, __ATOMIC_ACQ_REL);
}

void secondary(uint64_t hart) {
    if (csr_read(satp) != 0 || (csr_read(sstatus) & MSTATUS_SIE))
        __atomic_store_n(&failures, 2000, __ATOMIC_RELAXED);
    // A feature that is locked until the hart is stopped.
    const uint64_t misaligned = SBI_FWFT_MISALIGNED_EXC_DELEG;
    if (feature_set(misaligned, 1, SBI_FWFT_LOCK) != 0 ||
        feature_set(misaligned, 1, 0) != SBI_ERR_DENIED_LOCKED)
        __atomic_store_n(&failures, 4000, __ATOMIC_RELAXED);
    // And one that is as it was at first, whatever it was when the hart stopped.
    struct sbi_result updating = feature(SBI_FWFT_PTE_AD_HW_UPDATING);
    if (updating.error != updating_at_first.error || updating.value != updating_at_first.value)
        __atomic_store_n(&failures, 5000, __ATOMIC_RELAXED);
    feature_set(SBI_FWFT_PTE_AD_HW_UPDATING, !updating.value, 0);
    __atomic_fetch_or(&arrived, 1ul << hart, __ATOMIC_ACQ_REL);
    csr_set(sie, MIP_SSIP);
    while (!(csr_read(sip) & MIP_SSIP))
        wfi();
    csr_clear(sip, MIP_SSIP);
    __atomic_fetch_or(&interrupted, 1ul << hart, __ATOMIC_ACQ_REL);
    fences();
    CALL(SBI_EXT_HSM, HART_STOP);
    __atomic_store_n(&failures, 3000, __ATOMIC_RELAXED); // it came back
}

static void check_harts(uint64_t self, uint64_t count) {
    check("own status", status(self), STARTED);
    check("status of none", CALL(SBI_EXT_HSM, HART_STATUS, count).error, SBI_ERR_INVALID_PARAM);
    check("start of none", start(count), SBI_ERR_INVALID_PARAM);
    check("start of itself", start(self), SBI_ERR_ALREADY_AVAILABLE);
    check("IPI to none", CALL(SBI_EXT_IPI, 0, 1, count).error, SBI_ERR_INVALID_PARAM);
    check("IPI far", CALL(SBI_EXT_IPI, 0, 1, 64).error, SBI_ERR_INVALID_PARAM);
    check("fence of none", CALL(SBI_EXT_RFENCE, 1, 2, 63, 0, 0).error, SBI_ERR_INVALID_PARAM);
    check("IPI to itself", CALL(SBI_EXT_IPI, 0, 1, self).error, 0);
    while (!(csr_read(sip) & MIP_SSIP))
        ;
    csr_clear(sip, MIP_SSIP);

    for (int round = 0; round < 2; round++) {
        arrived = interrupted = rounds_done = 0;
        for (uint64_t hart = 0; hart < count; hart++) {
            if (hart == self)
                continue;
            while (status(hart) != STOPPED)
                ;
            check("start at firmware", CALL(SBI_EXT_HSM, HART_START, hart, RAM).error,
                  SBI_ERR_INVALID_ADDRESS);
            check("start at an odd address", CALL(SBI_EXT_HSM, HART_START, hart, 0x80200001).error,
                  SBI_ERR_INVALID_ADDRESS);
            check("start", start(hart), 0);
        }
        uint64_t others = ((1ul << count) - 1) & ~(1ul << self);
        while (arrived != others)
            ;
        check("IPI to the others", CALL(SBI_EXT_IPI, 0, others, 0).error, 0);
        while (interrupted != others)
            ;
        fences();
        while (rounds_done != count)
            ;
    }
    for (uint64_t hart = 0; hart < count; hart++)
        while (hart != self && status(hart) != STOPPED)
            ;
}

static uint64_t count_harts(void) {
    uint64_t count = 0;
    while (CALL(SBI_EXT_HSM, HART_STATUS, count).error == 0)
        count++;
    return count;
}

int main(uint64_t self, const void *device_tree) {
    (void)device_tree;
    uint64_t count = count_harts();
    check_base();
    check_protection();
    check_console();
    check_timer();
    check_suspend();
    check_counters();
    check_events();
    check_features();
    check_harts(self, count);
    check("reset of a kind", CALL(SBI_EXT_SRST, 0, 3, 0).error, SBI_ERR_INVALID_PARAM);
    check("reset for a reason", CALL(SBI_EXT_SRST, 0, 0, 2).error, SBI_ERR_INVALID_PARAM);
    printf("%lu harts, %d checks, %d failures\n", count, checks, failures);
    CALL(SBI_EXT_SRST, 0, SBI_RESET_TYPE_SHUTDOWN, failures != 0);
    return 1;
}
