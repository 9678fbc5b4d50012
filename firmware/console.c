// The console: the firmware's own messages, the debug console extension, and legacy input.
#include "firmware.h"

void print(const char *text) {
    for (; *text; text++)
        uart_putc(*text);
}

void print_hex(uint64_t value) {
    print("0x");
    int digit = 15;
    while (digit > 0 && value >> (4 * digit) == 0)
        digit--;
    for (; digit >= 0; digit--)
        uart_putc("0123456789abcdef"[(value >> (4 * digit)) & 15]);
}

void print_decimal(uint64_t value) {
    if (value >= 10)
        print_decimal(value / 10);
    uart_putc((char)('0' + value % 10));
}

static bool has_input(void) { return mmio_read8(UART_LSR) & UART_LSR_DR; }

int64_t legacy_getchar(void) { return has_input() ? mmio_read8(UART_THR) : -1; }

static struct sbi_result console_write(uint64_t count, uint64_t address, uint64_t address_high) {
    if (address_high != 0 || !is_open(address, count))
        return failure(SBI_ERR_INVALID_PARAM);
    for (uint64_t n = 0; n < count; n++) {
        uint8_t byte;
        if (!try_load8(address + n, &byte))
            return failure(SBI_ERR_INVALID_PARAM);
        uart_putc((char)byte);
    }
    return success(count);
}

static struct sbi_result console_read(uint64_t count, uint64_t address, uint64_t address_high) {
    if (address_high != 0 || !is_open(address, count))
        return failure(SBI_ERR_INVALID_PARAM);
    uint64_t n = 0;
    for (; n < count && has_input(); n++)
        if (!try_store8(address + n, mmio_read8(UART_THR)))
            return failure(SBI_ERR_INVALID_PARAM);
    return success(n);
}

struct sbi_result sbi_dbcn(uint64_t function, const uint64_t *args) {
    switch (function) {
    case SBI_DBCN_CONSOLE_WRITE:
        return console_write(args[0], args[1], args[2]);
    case SBI_DBCN_CONSOLE_READ:
        return console_read(args[0], args[1], args[2]);
    case SBI_DBCN_CONSOLE_WRITE_BYTE:
        uart_putc((char)args[0]);
        return success(0);
    default:
        return failure(SBI_ERR_NOT_SUPPORTED);
    }
}
