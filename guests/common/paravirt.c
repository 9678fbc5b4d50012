// The kernel's side of hypercalls, what all paravirtual kernels do alike.
#include "paravirt.h"
#include "riscv.h"
#include "supervisor.h"

#define WAITING 64 // updates that are collected

bool paravirtual;
struct hc_shared pv_shared __attribute__((aligned(PAGE_SIZE)));
static struct hc_console console __attribute__((aligned(PAGE_SIZE)));
static struct hc_update updates[WAITING];
static uint64_t waiting;

// Which places in tables the collected updates change: most questions about entries end here.
static uint64_t changed[512 / 64];
static uint64_t place_of(uint64_t entry_address) { return entry_address / 8 % 512; }

static uint64_t must(struct sbi_result result) {
    if (result.error != SBI_SUCCESS)
        sbi_shutdown(SBI_RESET_REASON_FAILURE); // a bug of the kernel's: there is no console yet
    return (uint64_t)result.value;
}

// Addresses are physical as long as paging is off.
void pv_start(void) {
    must(hypercall(HC_START, (uint64_t)&pv_shared, 0));
    must(hypercall(HC_CONSOLE, (uint64_t)&console, 0));
}

void pv_flush(void) {
    if (waiting)
        must(hypercall(HC_UPDATE, physical_address(updates), waiting));
    waiting = 0;
    for (int i = 0; i < 512 / 64; i++)
        changed[i] = 0;
}

void pv_update(uint64_t what, uint64_t address, uint64_t value) {
    if (waiting == WAITING)
        pv_flush();
    updates[waiting++] = (struct hc_update){what, address, value};
}

void pv_set_entry(uint64_t *entry, uint64_t value) {
    uint64_t address = physical_address(entry), place = place_of(address);
    pv_update(HC_SET_ENTRY, address, value);
    changed[place / 64] |= 1ul << place % 64;
}

uint64_t pv_get_entry(const uint64_t *entry) {
    uint64_t address = physical_address(entry), place = place_of(address);
    if (changed[place / 64] >> place % 64 & 1)
        for (uint64_t i = waiting; i-- > 0;)
            if (updates[i].what == HC_SET_ENTRY && updates[i].address == address)
                return updates[i].value;
    uint64_t distance = pv_shared.distance >> PAGE_SHIFT << PTE_PPN_SHIFT;
    return *entry & PTE_V ? *entry - distance : *entry;
}

void pv_set_roots(uint64_t kernel, uint64_t user) {
    pv_flush();
    must(hypercall(HC_SET_ROOTS, kernel, user));
}

void pv_print(const char *text, uint64_t length) {
    for (uint64_t i = 0; i < length; i++) {
        if (console.output_produced - console.output_consumed == sizeof console.output)
            must(hypercall(HC_NOTIFY, HC_RING_CONSOLE, 0));
        console.output[console.output_produced % sizeof console.output] = text[i];
        console.output_produced++;
    }
    must(hypercall(HC_NOTIFY, HC_RING_CONSOLE, 0));
}

bool pv_wait_for_timer(void) {
    must(hypercall(HC_WAIT, 0, 0));
    return *(volatile uint64_t *)&pv_shared.timer;
}
