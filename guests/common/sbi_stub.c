// A minimal SBI firmware: what an S-mode guest needs of M-mode when nothing else provides it.
//
// It lives in the first 2 MiB of RAM, closed to S-mode by PMP, and is called in two ways: by the
// kernel's ecalls, and by the machine timer, which it passes on as a supervisor timer interrupt.
#include "board.h"
#include "riscv.h"
#include "sbi.h"
#include "trap_frame.h"
#include <stdbool.h>

#define STUB_SIZE 0x200000ul

#define SPEC_VERSION (2 << 24) // 2.0, the first with DBCN
#define IMPL_ID      0x7276    // "rv", not a registered number

// More to set up, if the guest links it: see sbi_stub_hypervisor.c.
__attribute__((weak)) bool stub_extend(void) { return false; }

static bool has_stimecmp; // what stub_extend said

void stub_print(const char *text) {
    for (; *text; text++)
        uart_putc(*text);
}

static void print_hex(uint64_t value) {
    stub_print("0x");
    int digit = 15;
    while (digit > 0 && value >> (4 * digit) == 0)
        digit--;
    for (; digit >= 0; digit--)
        uart_putc("0123456789abcdef"[(value >> (4 * digit)) & 15]);
}

// The stub's memory is closed to S and U (an entry without L does not bind M-mode); the rest of
// the address space is open. A hart without PMP traps here, and then needs none.
static void protect_stub(void) {
    __asm__ volatile("   la t0, 1f\n"
                     "   csrrw t0, mtvec, t0\n"
                     "   csrw pmpaddr0, %0\n"
                     "   csrw pmpaddr1, %1\n"
                     "   csrw pmpcfg0, %2\n"
                     "   .balign 4\n"
                     "1: csrw mtvec, t0\n" ::"r"(PMP_NAPOT_ADDR(RAM, STUB_SIZE)),
                     "r"(-1ul), "r"((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 8 | PMP_NAPOT)
                     : "t0", "memory");
}

void stub_setup(uint64_t stub, uint64_t kernel) {
    stub_print("[M] hart 0 enters M-mode at ");
    print_hex(stub);
    stub_print(": boot stub, minimal SBI\n");

    protect_stub();

    // The kernel handles its own exceptions and its processes', and gets S-level interrupts. What
    // stays here: ecall from S-mode (an SBI call) and the machine timer.
    csr_write(medeleg, 1 << CAUSE_MISALIGNED_FETCH | 1 << CAUSE_FETCH_ACCESS |
                           1 << CAUSE_ILLEGAL_INSTRUCTION | 1 << CAUSE_BREAKPOINT |
                           1 << CAUSE_MISALIGNED_LOAD | 1 << CAUSE_LOAD_ACCESS |
                           1 << CAUSE_MISALIGNED_STORE | 1 << CAUSE_STORE_ACCESS |
                           1 << CAUSE_ECALL_U | 1 << CAUSE_FETCH_PAGE_FAULT |
                           1 << CAUSE_LOAD_PAGE_FAULT | 1 << CAUSE_STORE_PAGE_FAULT);
    csr_write(mideleg, MIP_SSIP | MIP_STIP | MIP_SEIP);
    csr_write(mcounteren, 7); // cycle, time, instret
    has_stimecmp = stub_extend();

    stub_print("[M] PMP guards the stub, traps are delegated; down to S-mode at ");
    print_hex(kernel);
    stub_print("\n");
}

static struct sbi_result base(uint64_t function, uint64_t extension) {
    switch (function) {
    case SBI_BASE_GET_SPEC_VERSION:
        return (struct sbi_result){SBI_SUCCESS, SPEC_VERSION};
    case SBI_BASE_GET_IMPL_ID:
        return (struct sbi_result){SBI_SUCCESS, IMPL_ID};
    case SBI_BASE_GET_IMPL_VERSION:
        return (struct sbi_result){SBI_SUCCESS, 1};
    case SBI_BASE_PROBE_EXTENSION:
        return (struct sbi_result){
            SBI_SUCCESS, extension == SBI_EXT_BASE || extension == SBI_EXT_TIME ||
                             extension == SBI_EXT_SRST || extension == SBI_EXT_DBCN ||
                             extension == SBI_EXT_LEGACY_PUTCHAR};
    case SBI_BASE_GET_MVENDORID:
        return (struct sbi_result){SBI_SUCCESS, (int64_t)csr_read(mvendorid)};
    case SBI_BASE_GET_MARCHID:
        return (struct sbi_result){SBI_SUCCESS, (int64_t)csr_read(marchid)};
    case SBI_BASE_GET_MIMPID:
        return (struct sbi_result){SBI_SUCCESS, (int64_t)csr_read(mimpid)};
    default:
        return (struct sbi_result){SBI_ERR_NOT_SUPPORTED, 0};
    }
}

static struct sbi_result set_timer(uint64_t deadline) {
    if (has_stimecmp) {
        csr_write(stimecmp, deadline);
        return (struct sbi_result){SBI_SUCCESS, 0};
    }
    mmio_write64(CLINT_MTIMECMP(0), deadline);
    csr_clear(mip, MIP_STIP);
    csr_set(mie, MIP_MTIP);
    return (struct sbi_result){SBI_SUCCESS, 0};
}

// Prints bytes from memory that the caller may read itself: not the stub's own, not a device's.
static struct sbi_result console_write(uint64_t count, uint64_t address, uint64_t address_high) {
    if (address_high != 0 || address < RAM + STUB_SIZE || address + count < address)
        return (struct sbi_result){SBI_ERR_INVALID_PARAM, 0};
    for (uint64_t i = 0; i < count; i++)
        uart_putc((char)mmio_read8(address + i));
    return (struct sbi_result){SBI_SUCCESS, (int64_t)count};
}

static struct sbi_result sbi(uint64_t extension, uint64_t function, const uint64_t *args) {
    if (extension == SBI_EXT_BASE)
        return base(function, args[0]);
    if (extension == SBI_EXT_TIME && function == SBI_TIME_SET_TIMER)
        return set_timer(args[0]);
    if (extension == SBI_EXT_SRST && function == SBI_SRST_SYSTEM_RESET)
        board_finish(args[1] == SBI_RESET_REASON_NONE ? 0 : 1);
    if (extension == SBI_EXT_DBCN && function == SBI_DBCN_CONSOLE_WRITE)
        return console_write(args[0], args[1], args[2]);
    if (extension == SBI_EXT_DBCN && function == SBI_DBCN_CONSOLE_READ)
        return (struct sbi_result){SBI_SUCCESS, 0}; // no input, ever
    if (extension == SBI_EXT_DBCN && function == SBI_DBCN_CONSOLE_WRITE_BYTE) {
        uart_putc((char)args[0]);
        return (struct sbi_result){SBI_SUCCESS, 0};
    }
    return (struct sbi_result){SBI_ERR_NOT_SUPPORTED, 0};
}

void trap_handler(struct trap_frame *frame) {
    uint64_t *x = frame->x;
    switch (frame->cause) {
    case CAUSE_INTERRUPT | IRQ_M_TIMER:
        // Pass it on, and be quiet until the kernel sets the next deadline.
        csr_clear(mie, MIP_MTIP);
        csr_set(mip, MIP_STIP);
        return;
    case CAUSE_ECALL_S:
        frame->epc += 4;
        if (x[REG_A7] == SBI_EXT_LEGACY_PUTCHAR) { // the legacy calls return in a0 alone
            uart_putc((char)x[REG_A0]);
            x[REG_A0] = 0;
            return;
        }
        struct sbi_result result = sbi(x[REG_A7], x[REG_A6], &x[REG_A0]);
        x[REG_A0] = (uint64_t)result.error;
        x[REG_A1] = (uint64_t)result.value;
        return;
    default:
        stub_print("[M] unexpected trap: mcause ");
        print_hex(frame->cause);
        stub_print(", mepc ");
        print_hex(frame->epc);
        stub_print(", mtval ");
        print_hex(frame->tval);
        stub_print("\n");
        board_finish(1);
    }
}
