// PMU: the two counters that every hart has, cycles and instructions. Numbers are those of the
// CSRs that show them, less 0xc00; 1 is `time`, which is no counter of this kind. There are no
// counters of the firmware's own, and no snapshots in shared memory.
#include "firmware.h"
#include "riscv.h"

#define NUM_COUNTERS         0
#define COUNTER_GET_INFO     1
#define COUNTER_CONFIG_MATCH 2
#define COUNTER_START        3
#define COUNTER_STOP         4
#define COUNTER_FW_READ      5
#define COUNTER_FW_READ_HI   6
#define SNAPSHOT_SET_SHMEM   7
#define EVENT_GET_INFO       8

#define COUNTERS 3
#define CYCLE    0
#define INSTRET  2

#define INFO(counter) ((0xc00ul + (counter)) | 63ul << 12) // hardware, 64 bits wide

#define EVENT_CPU_CYCLES   1 // of type 0, hardware events
#define EVENT_INSTRUCTIONS 2

#define EVENT_INDEX        0xffffful

#define CONFIG_SKIP_MATCH  BIT(0)
#define CONFIG_CLEAR_VALUE BIT(1)
#define CONFIG_AUTO_START  BIT(2)
#define CONFIG_FLAGS       0xfful // the others ask not to count in some modes: hints
#define START_SET_VALUE    BIT(0)
#define SNAPSHOT           BIT(1) // of both starting and stopping
#define START_STOP_FLAGS   3ul

// What get-info is told of an event, and what it answers.
#define INFO_SIZE   16
#define INFO_OUTPUT 4

static bool is_stopped(uint64_t counter) { return csr_read(mcountinhibit) & BIT(counter); }

static void set_value(uint64_t counter, uint64_t value) {
    if (counter == CYCLE)
        csr_write(mcycle, value);
    else
        csr_write(minstret, value);
}

// The counters that a call is about, as a mask; 0 if some of them are none.
static uint64_t counters_meant(uint64_t base, uint64_t mask) {
    uint64_t there = BIT(CYCLE) | BIT(INSTRET);
    if (base >= COUNTERS || (mask << base) >> base != mask || (mask << base) & ~(BIT(COUNTERS) - 1))
        return 0;
    return (mask << base) & there;
}

// The counter of an event; COUNTERS if there is none.
static uint64_t counter_of(uint64_t event) {
    return event == EVENT_CPU_CYCLES ? CYCLE : event == EVENT_INSTRUCTIONS ? INSTRET : COUNTERS;
}

static struct sbi_result config_match(const uint64_t *args) {
    uint64_t meant = counters_meant(args[0], args[1]);
    if (meant == 0 || (args[2] & ~CONFIG_FLAGS))
        return failure(SBI_ERR_INVALID_PARAM);
    uint64_t wanted = counter_of(args[3]);
    if (args[2] & CONFIG_SKIP_MATCH)
        wanted = meant & BIT(CYCLE) ? CYCLE : INSTRET;
    if (wanted == COUNTERS || !(meant & BIT(wanted)))
        return failure(SBI_ERR_NOT_SUPPORTED);
    if (args[2] & CONFIG_CLEAR_VALUE)
        set_value(wanted, 0);
    if (args[2] & CONFIG_AUTO_START)
        csr_clear(mcountinhibit, BIT(wanted));
    return success(wanted);
}

static struct sbi_result start_stop(bool start, const uint64_t *args) {
    uint64_t meant = counters_meant(args[0], args[1]);
    if (meant == 0 || (args[2] & ~START_STOP_FLAGS))
        return failure(SBI_ERR_INVALID_PARAM);
    if (args[2] & SNAPSHOT)
        return failure(SBI_ERR_NO_SHMEM);
    struct sbi_result result = success(0);
    for (uint64_t counter = 0; counter < COUNTERS; counter++) {
        if (!(meant & BIT(counter)))
            continue;
        if (is_stopped(counter) != start) {
            result = failure(start ? SBI_ERR_ALREADY_STARTED : SBI_ERR_ALREADY_STOPPED);
        } else if (start) {
            if (args[2] & START_SET_VALUE)
                set_value(counter, args[3]);
            csr_clear(mcountinhibit, BIT(counter));
        } else {
            csr_set(mcountinhibit, BIT(counter));
        }
    }
    return result;
}

// Says of each event in a list in memory whether it can be counted.
static struct sbi_result event_info(uint64_t address, uint64_t address_high, uint64_t count,
                                    uint64_t flags) {
    if (flags != 0 || address % INFO_SIZE != 0)
        return failure(SBI_ERR_INVALID_PARAM);
    if (address_high != 0 || count > -1ul / INFO_SIZE || !is_open(address, count * INFO_SIZE))
        return failure(SBI_ERR_INVALID_ADDRESS);
    for (; count > 0; count--, address += INFO_SIZE) {
        uint64_t words;
        if (!try_load64(address, &words))
            return failure(SBI_ERR_INVALID_ADDRESS);
        uint32_t event = (uint32_t)words;
        if (event & ~EVENT_INDEX)
            return failure(SBI_ERR_INVALID_PARAM);
        if (!try_store32(address + INFO_OUTPUT, counter_of(event) != COUNTERS))
            return failure(SBI_ERR_INVALID_ADDRESS);
    }
    return success(0);
}

struct sbi_result sbi_pmu(uint64_t function, const uint64_t *args) {
    switch (function) {
    case NUM_COUNTERS:
        return success(COUNTERS);
    case COUNTER_GET_INFO:
        if (args[0] != CYCLE && args[0] != INSTRET)
            return failure(SBI_ERR_INVALID_PARAM);
        return success(INFO(args[0]));
    case COUNTER_CONFIG_MATCH:
        return config_match(args);
    case COUNTER_START:
    case COUNTER_STOP:
        return start_stop(function == COUNTER_START, args);
    case COUNTER_FW_READ:
    case COUNTER_FW_READ_HI:
        return failure(SBI_ERR_INVALID_PARAM);
    case EVENT_GET_INFO:
        return event_info(args[0], args[1], args[2], args[3]);
    case SNAPSHOT_SET_SHMEM:
    default:
        return failure(SBI_ERR_NOT_SUPPORTED);
    }
}
