// What M-mode prepares on each hart before S-mode runs there.
#include "firmware.h"
#include "riscv.h"

bool has_stimecmp, has_hypervisor;

void trap_entry(void);

#define MISA_H BIT('h' - 'a')
#define MISA_S BIT('s' - 'a')

#define MENVCFG_CBIE_INVALIDATE (3ul << 4)
#define MENVCFG_CBCFE           (1ul << 6)
#define MENVCFG_CBZE            (1ul << 7)
#define MENVCFG_PBMTE           (1ul << 62)
#define MENVCFG_STCE            (1ul << 63)

#define IRQ_COUNTER_OVERFLOW 13

// Runs an instruction that a hart need not have; execution goes on behind it in any case.
#define attempt(instruction, ...)                                                              \
    __asm__ volatile("   la t0, 1f\n"                                                          \
                     "   csrrw t0, mtvec, t0\n" instruction "\n"                               \
                     "   .balign 4\n"                                                          \
                     "1: csrw mtvec, t0\n" __VA_ARGS__)

#define csr_try_write(csr, value) attempt("csrw " #csr ", %0", ::"r"(value) : "t0", "memory")

// Memory accesses that may fault: then they do nothing, and `done` stays 0.
#define COMMA ,
#define access(instruction, done, address, outputs, ...) \
    attempt(instruction "\n li %0, 1",                   \
            : "+r"(done) outputs                         \
            : "r"(address)__VA_ARGS__                    \
            : "t0", "memory")

bool try_load8(uint64_t address, uint8_t *value) {
    uint64_t done = 0, loaded = 0;
    access("lbu %1, 0(%2)", done, address, COMMA "+&r"(loaded));
    if (done)
        *value = (uint8_t)loaded;
    return done;
}

bool try_load64(uint64_t address, uint64_t *value) {
    uint64_t done = 0, loaded = 0;
    access("ld %1, 0(%2)", done, address, COMMA "+&r"(loaded));
    if (done)
        *value = loaded;
    return done;
}

bool try_store8(uint64_t address, uint8_t value) {
    uint64_t done = 0;
    access("sb %2, 0(%1)", done, address, , COMMA "r"(value));
    return done;
}

bool try_store32(uint64_t address, uint32_t value) {
    uint64_t done = 0;
    access("sw %2, 0(%1)", done, address, , COMMA "r"(value));
    return done;
}

// menvcfg; 0 on harts without it.
uint64_t read_environment(void) {
    uint64_t value = 0;
    attempt("csrr %0, 0x30a", : "+&r"(value)::"t0", "memory");
    return value;
}

// Returns what menvcfg then holds.
uint64_t write_environment(uint64_t value) {
    csr_try_write(0x30a, value);
    return read_environment();
}

#define CLINT_SIZE 0x10000ul

static bool is_apart(uint64_t address, uint64_t size, uint64_t base, uint64_t length) {
    return address + size <= base || address >= base + length;
}

// Whether protect() leaves all of a buffer to S-mode. (Where there is nothing at all, accesses are
// attempted and fail.)
bool is_open(uint64_t address, uint64_t size) {
    return address + size >= address && is_apart(address, size, FIRMWARE_BASE, FIRMWARE_SIZE) &&
           is_apart(address, size, CLINT, CLINT_SIZE);
}

// The firmware and the CLINT are M-mode's alone (entries without L do not bind M-mode); all else
// is open. A hart without PMP traps at the first write, and has nothing to close.
static void protect(void) {
    uint64_t open = PMP_NAPOT | PMP_R | PMP_W | PMP_X;
    csr_try_write(pmpaddr0, PMP_NAPOT_ADDR(FIRMWARE_BASE, FIRMWARE_SIZE));
    csr_try_write(pmpaddr1, PMP_NAPOT_ADDR(CLINT, CLINT_SIZE));
    csr_try_write(pmpaddr2, -1ul);
    csr_try_write(pmpcfg0, open << 16 | PMP_NAPOT << 8 | PMP_NAPOT);
}

// S-mode handles its own exceptions, its processes' and its guests'. What stays here: ecall from
// S-mode (an SBI call), and what the firmware itself does wrong.
static void delegate(void) {
    csr_write(medeleg, ~(BIT(CAUSE_ECALL_S) | BIT(CAUSE_ECALL_M)));
    csr_write(mideleg, BIT(IRQ_S_SOFTWARE) | BIT(IRQ_S_TIMER) | BIT(IRQ_S_EXTERNAL) |
                           BIT(IRQ_COUNTER_OVERFLOW));
}

void setup_hart(uint64_t self) {
    csr_write(mtvec, (uint64_t)trap_entry); // it says so if something goes wrong from here on
    uint64_t misa = csr_read(misa);
    if (misa != 0 && !(misa & MISA_S)) {
        print("rvemu SBI firmware: this hart has no S-mode\n");
        board_finish(1);
    }
    protect();
    delegate();
    csr_try_write(mcounteren, -1ul);
    csr_try_write(mcountinhibit, 0ul);
    csr_try_write(scounteren, 0ul);
    // All that lesser modes may be given, as far as the hart has it. Who updates A and D bits
    // stays as it was at reset: where the hart can do both, software does.
    harts[self].environment =
        write_environment(read_environment() | MENVCFG_CBIE_INVALIDATE | MENVCFG_CBCFE |
                          MENVCFG_CBZE | MENVCFG_PBMTE | MENVCFG_STCE);
    csr_try_write(0x30c, -1ul); // mstateen0
    // stimecmp: never. The bit alone does not say that it is there: QEMU 7 sets it in any case.
    uint64_t stimecmp = 0;
    attempt("csrw 0x14d, %1\n csrr %0, 0x14d", : "+&r"(stimecmp) : "r"(-1ul) : "t0", "memory");
    has_stimecmp = (harts[self].environment & MENVCFG_STCE) && stimecmp == -1ul;
    has_hypervisor = (misa & MISA_H) != 0;
    csr_write(mip, 0);
    csr_write(mie, MIP_MSIP);
}
