// The devices that guests touch, where the `virt` machine has them.
#pragma once

#include <stdint.h>

#define TEST_FINISHER 0x100000ul
#define TEST_FINISHER_RESET 0x7777
#define CLINT         0x2000000ul
#define UART          0x10000000ul
#define RAM           0x80000000ul

#define CLINT_MSIP(hart)     (CLINT + 4 * (hart))
#define CLINT_MTIMECMP(hart) (CLINT + 0x4000 + 8 * (hart))
#define CLINT_MTIME          (CLINT + 0xbff8)

static inline uint8_t mmio_read8(uint64_t address) { return *(volatile uint8_t *)address; }
static inline uint32_t mmio_read32(uint64_t address) { return *(volatile uint32_t *)address; }
static inline uint64_t mmio_read64(uint64_t address) { return *(volatile uint64_t *)address; }

static inline void mmio_write8(uint64_t address, uint8_t value) {
    *(volatile uint8_t *)address = value;
}

static inline void mmio_write32(uint64_t address, uint32_t value) {
    *(volatile uint32_t *)address = value;
}

static inline void mmio_write64(uint64_t address, uint64_t value) {
    *(volatile uint64_t *)address = value;
}

// The 16550's transmit holding register (read: what it received), and the line status bits that say
// that it is empty, and that something was received.
#define UART_THR      (UART + 0)
#define UART_LSR      (UART + 5)
#define UART_LSR_DR   (1 << 0)
#define UART_LSR_THRE (1 << 5)

static inline void uart_putc(char c) {
    while (!(mmio_read8(UART_LSR) & UART_LSR_THRE))
        ;
    mmio_write8(UART_THR, (uint8_t)c);
}

// Ends the machine's run: code 0 is success. The finisher may take a moment; never return.
__attribute__((noreturn)) static inline void board_finish(uint16_t code) {
    mmio_write32(TEST_FINISHER, code == 0 ? 0x5555 : ((uint32_t)code << 16) | 0x3333);
    for (;;)
        __asm__ volatile("wfi");
}
