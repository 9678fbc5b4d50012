// A kernel that keeps its hypervisor busy: as much as it can of all that has to be seen to.
#include "attack.h"
#include "board.h"
#include "console.h"
#include "guest.h"
#include "sbi.h"

#define MANY 600

static uint64_t own[512] __attribute__((aligned(PAGE_SIZE)));
static uint32_t code[1024] __attribute__((aligned(PAGE_SIZE)));

static void flood_with_csrs(void) {
    uint64_t sum = 0;
    for (uint64_t n = 0; n < MANY; n++) {
        csr_write(sscratch, n);
        sum += csr_read(sscratch);
    }
    printf("CSRs: %lu\n", sum);
}

static void flood_with_calls(void) {
    uint64_t sum = 0;
    for (uint64_t n = 0; n < MANY; n++)
        sum += sbi_call(0x7fff, n, 0, 0, 0).error == SBI_ERR_NOT_SUPPORTED;
    printf("calls of nothing: %lu refused\n", sum);
}

static void flood_with_instructions(void) {
    uint64_t sum = 0, value;
    for (uint32_t n = 0; n < MANY; n++) {
        *(volatile uint32_t *)code = n << 7 | 0x0b; // custom-0: of no machine
        fence_i();
        sum += try_call((uint64_t)code, &value) == CAUSE_ILLEGAL_INSTRUCTION;
    }
    printf("instructions that are none: %lu refused\n", sum);
}

static void flood_with_faults(void) {
    uint64_t sum = 0, value;
    for (unsigned n = 0; n < MANY; n++)
        sum += try_load(WINDOW_PAGE(n % 512), &value) == CAUSE_LOAD_PAGE_FAULT;
    printf("page faults: %lu\n", sum);
}

static void flood_with_tables(void) {
    uint64_t sum = 0, value;
    for (unsigned n = 0; n < MANY; n++) {
        window_map(n % 512, (uint64_t)own, KERNEL_FLAGS);
        sum += try_load(WINDOW_PAGE(n % 512), &value) == NO_TRAP;
        window_map(n % 512, 0, 0);
    }
    printf("entries made and gone: %lu\n", sum);
}

static void flood_with_spaces(void) {
    uint64_t satp = csr_read(satp), sum = 0, value;
    window_map(0, (uint64_t)own, KERNEL_FLAGS);
    for (uint64_t n = 0; n < MANY; n++) {
        csr_write(satp, satp | n << SATP_ASID_SHIFT);
        sum += try_load(WINDOW, &value) == NO_TRAP;
        sfence_vma();
    }
    csr_write(satp, satp);
    sfence_vma();
    printf("address spaces: %lu\n", sum);
}

static void flood_with_devices(void) {
    uint64_t sum = 0;
    for (unsigned n = 0; n < MANY; n++)
        sum += (mmio_read8(UART_LSR) & UART_LSR_THRE) != 0;
    printf("device accesses: %lu\n", sum);
}

static void flood_with_waits(void) {
    uint64_t sum = 0;
    csr_set(sie, MIP_SSIP);
    csr_set(sip, MIP_SSIP); // so that waiting ends at once
    for (unsigned n = 0; n < MANY; n++) {
        wfi();
        sum++;
    }
    csr_clear(sip, MIP_SSIP);
    csr_write(sie, 0);
    printf("waits: %lu\n", sum);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    attack_begin();
    flood_with_csrs();
    flood_with_calls();
    flood_with_instructions();
    flood_with_faults();
    flood_with_tables();
    flood_with_spaces();
    flood_with_devices();
    flood_with_waits();
    return 0;
}
