// What the parts of the firmware share. Also included by assembly.
#pragma once

#define FIRMWARE_BASE 0x80000000
#define FIRMWARE_SIZE 0x40000 // a power of two: PMP closes it with one entry
#define MAX_HARTS     64      // as many as fit a mask
#define STACK_BITS    11      // 2 KiB of stack for each hart

#ifndef __ASSEMBLER__

#include "board.h"
#include "sbi.h"
#include "trap_frame.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n) (1ul << (n))

// What machines put at the address in a2 (OpenSBI, include/sbi/fw_dynamic.h).
#define DYNAMIC_MAGIC 0x4942534f // "OSBI"
struct dynamic_information {
    uint64_t magic, version, next_address, next_mode, options, boot_hart;
};

// States of a hart, as the HSM extension numbers them.
enum hart_state {
    HART_STARTED = 0,
    HART_STOPPED = 1,
    HART_START_PENDING = 2,
    HART_SUSPENDED = 4,
};

// A fence that one hart asks others for.
struct fence {
    uint64_t function; // of the RFENCE extension
    uint64_t start, size, id;
    uint64_t vmid; // of the asking hart
};

struct hart {
    uint64_t state; // enum hart_state
    uint64_t start, opaque;
    uint64_t interrupts;  // not 0: a supervisor software interrupt is on its way
    uint64_t fences_from; // harts that wait for this one to do their fence
    struct fence fence;   // what this one asks for
    uint64_t awaited;     // harts that have not done it yet
    uint64_t environment; // menvcfg, as a kernel finds it first
    uint64_t locked;      // firmware features that stay as they are, a mask of their numbers
};

extern struct hart harts[MAX_HARTS];
extern uint64_t hart_count;
extern bool has_stimecmp, has_hypervisor;

// Atomics of all that several harts write.
#define atomic_read(word)         __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define atomic_write(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELEASE)
#define atomic_or(word, bits)     __atomic_fetch_or(&(word), bits, __ATOMIC_ACQ_REL)
#define atomic_and(word, bits)    __atomic_fetch_and(&(word), bits, __ATOMIC_ACQ_REL)
#define atomic_swap(word, value)  __atomic_exchange_n(&(word), value, __ATOMIC_ACQ_REL)

// start.S
__attribute__((noreturn)) void enter_supervisor(uint64_t a0, uint64_t a1, uint64_t address);
__attribute__((noreturn)) void wait_anew(uint64_t hart);

// setup.c
void setup_hart(uint64_t self);
uint64_t read_environment(void);
uint64_t write_environment(uint64_t value);
bool is_open(uint64_t address, uint64_t size);
bool try_load8(uint64_t address, uint8_t *value);
bool try_load64(uint64_t address, uint64_t *value);
bool try_store8(uint64_t address, uint8_t value);
bool try_store32(uint64_t address, uint32_t value);

// remote.c
void send_message(uint64_t hart);
void serve_messages(uint64_t self);
bool hart_mask(uint64_t mask, uint64_t base, uint64_t *harts_meant);

// hsm.c
__attribute__((noreturn)) void hart_wait(uint64_t self);

// fwft.c
void reset_features(uint64_t self);

// console.c
void print(const char *text);
void print_hex(uint64_t value);
void print_decimal(uint64_t value);

// reserve.c
bool is_device_tree(const void *address);
// Keeps a kernel off the firmware's memory; false if the tree is none that it knows.
bool reserve_memory(void *device_tree, uint64_t base, uint64_t size);

// The extensions: function and its arguments to result.
struct sbi_result sbi_base(uint64_t function, const uint64_t *args);
struct sbi_result sbi_time(uint64_t function, const uint64_t *args);
struct sbi_result sbi_ipi(uint64_t function, const uint64_t *args);
struct sbi_result sbi_rfence(uint64_t function, const uint64_t *args);
struct sbi_result sbi_hsm(uint64_t function, const uint64_t *args);
struct sbi_result sbi_srst(uint64_t function, const uint64_t *args);
struct sbi_result sbi_dbcn(uint64_t function, const uint64_t *args);
struct sbi_result sbi_pmu(uint64_t function, const uint64_t *args);
struct sbi_result sbi_fwft(uint64_t function, const uint64_t *args);
int64_t legacy_getchar(void);

void sbi_call_handler(struct trap_frame *frame);

static inline struct sbi_result success(uint64_t value) {
    return (struct sbi_result){SBI_SUCCESS, (int64_t)value};
}
static inline struct sbi_result failure(int64_t error) { return (struct sbi_result){error, 0}; }

#endif
