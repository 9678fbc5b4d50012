// Provokes every exception that the machine has, from every mode that can, and every interrupt;
// prints what the trap CSRs say about each.
//
// All traps go to M-mode, but where delegation itself is shown. Where the specification leaves a
// choice (mtval of ebreak, who sets A and D) the output does not tell which was made; nor where
// QEMU 7.2 is known to differ from it (an AMO's fault is a load's there if the machine has one
// hart, and among pending interrupts the lowest number wins).
#include "board.h"
#include "console.h"
#include "guest.h"
#include "probes.h"
#include "riscv.h"
#include <stdbool.h>

#define U MSTATUS_MPP_U
#define S MSTATUS_MPP_S
#define M MSTATUS_MPP_M

static int failures;

void trap_handler(struct trap_frame *frame) {
    report.cause = frame->cause;
    report.tval = frame->tval;
    report.epc = frame->epc;
    report.mpp = frame->status & MSTATUS_MPP;
    if (frame->cause == CAUSE_ECALL_S && frame->epc >= (uint64_t)supervisor_trap &&
        frame->epc < (uint64_t)supervisor_trap + 20) {
        report.cause = frame->x[10]; // what the S-mode handler saw
        report.tval = frame->x[11];
        report.epc = frame->x[12];
        report.mpp = frame->x[13] & MSTATUS_SPP ? S : U;
    }
    frame->epc = (uint64_t)enter_end;
    frame->x[REG_SP] = enter_sp;
    frame->status &= ~(uint64_t)(MSTATUS_MPRV | MSTATUS_MPIE);
    frame->status |= MSTATUS_MPP_M;
}

static const char *exception_name(uint64_t cause) {
    static const char *const names[] = {
        [CAUSE_MISALIGNED_FETCH] = "misaligned fetch",
        [CAUSE_FETCH_ACCESS] = "instruction access fault",
        [CAUSE_ILLEGAL_INSTRUCTION] = "illegal instruction",
        [CAUSE_BREAKPOINT] = "breakpoint",
        [CAUSE_MISALIGNED_LOAD] = "misaligned load",
        [CAUSE_LOAD_ACCESS] = "load access fault",
        [CAUSE_MISALIGNED_STORE] = "misaligned store/AMO",
        [CAUSE_STORE_ACCESS] = "store/AMO access fault",
        [CAUSE_ECALL_U] = "ecall from U-mode",
        [CAUSE_ECALL_S] = "ecall from S-mode",
        [CAUSE_ECALL_M] = "ecall from M-mode",
        [CAUSE_FETCH_PAGE_FAULT] = "instruction page fault",
        [CAUSE_LOAD_PAGE_FAULT] = "load page fault",
        [CAUSE_STORE_PAGE_FAULT] = "store/AMO page fault",
    };
    if (cause >= sizeof names / sizeof names[0] || names[cause] == NULL)
        return "unknown";
    return names[cause];
}

static const char *amo_exception_name(uint64_t cause) {
    switch (cause) {
    case CAUSE_MISALIGNED_LOAD:
    case CAUSE_MISALIGNED_STORE:
        return "misaligned";
    case CAUSE_LOAD_ACCESS:
    case CAUSE_STORE_ACCESS:
        return "access fault";
    case CAUSE_LOAD_PAGE_FAULT:
    case CAUSE_STORE_PAGE_FAULT:
        return "page fault";
    default:
        return exception_name(cause);
    }
}

static bool is_ecall(uint64_t cause) {
    return cause == CAUSE_ECALL_U || cause == CAUSE_ECALL_S || cause == CAUSE_ECALL_M;
}

// The instruction at an address in bare mode.
static uint32_t instruction_at(const void *code) {
    const uint16_t *half = code;
    return (half[0] & 3) == 3 ? half[0] | (uint32_t)half[1] << 16 : half[0];
}

// `code` is where the code is in physical memory; `alias` is added to that for the mode's view.
static void probe_at(uint64_t mode, const char *what, const char *code, uint64_t alias,
                     uint64_t argument) {
    enter(mode, code + alias, argument);
    printf("%c  %-36s ", mode == U ? 'U' : mode == S ? 'S' : 'M', what);

    uint64_t epc = report.epc - alias;
    if (is_ecall(report.cause) && code != code_ecall && epc != argument) {
        printf("no trap\n");
        return;
    }
    printf("%-26s", code == code_amo ? amo_exception_name(report.cause)
                                     : exception_name(report.cause));
    if (report.cause == CAUSE_BREAKPOINT && (report.tval == 0 || report.tval == report.epc))
        printf("tval zero or pc");
    else if (report.cause == CAUSE_ILLEGAL_INSTRUCTION && report.tval == instruction_at(code))
        printf("tval is the instruction");
    else if (report.tval == 0)
        printf("tval 0");
    else if (report.tval == argument)
        printf("tval is the address");
    else if (report.tval - argument < 8)
        printf("tval is the address + %lu", report.tval - argument);
    else
        printf("tval %lx", report.tval);

    bool in_code = epc >= (uint64_t)code && epc < (uint64_t)code + 16;
    bool right = report.mpp == mode && (code == code_fetch ? report.epc == argument : in_code);
    printf("%s\n", right ? "" : ", but epc or MPP is wrong");
    failures += !right;
}

static void probe(uint64_t mode, const char *what, const char *code, uint64_t argument) {
    probe_at(mode, what, code, 0, argument);
}

static void all_memory_open(void) {
    csr_write(pmpaddr7, -1ul);
    csr_write(pmpcfg0, (uint64_t)(PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 56);
}

static void calls_and_breakpoints(void) {
    probe(M, "ecall", code_ecall, 0);
    probe(S, "ecall", code_ecall, 0);
    probe(U, "ecall", code_ecall, 0);
    probe(M, "ebreak", code_ebreak, 0);
    probe(U, "ebreak", code_ebreak, 0);
    probe(U, "c.ebreak", code_c_ebreak, 0);
}

static void illegal_instructions(void) {
    probe(M, "a custom opcode", code_illegal, 0);
    probe(U, "a custom opcode", code_illegal, 0);
    probe(U, "16 bits of zeros", code_c_illegal, 0);
    probe(M, "a CSR that does not exist", code_absent_csr, 0);
    probe(M, "write of a read-only CSR", code_read_only_csr, 0);
    probe(S, "mstatus", code_mstatus, 0);
    probe(U, "sstatus", code_sstatus, 0);
    probe(S, "mret", code_mret, 0);
    probe(U, "sret", code_sret, 0);
    probe(U, "sfence.vma", code_sfence, 0);

    csr_clear(mstatus, MSTATUS_FS);
    probe(M, "flw with FS off", code_flw, RAM);

    csr_write(mcounteren, 0);
    probe(S, "cycle, not in mcounteren", code_cycle, 0);
    csr_write(mcounteren, 7);
    probe(S, "cycle, in mcounteren", code_cycle, 0);
    csr_write(scounteren, 0);
    probe(U, "cycle, not in scounteren", code_cycle, 0);
    csr_write(scounteren, 7);
    probe(U, "cycle, in both", code_cycle, 0);

    csr_set(mstatus, MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR);
    probe(S, "satp with TVM", code_satp, 0);
    probe(S, "sfence.vma with TVM", code_sfence, 0);
    probe(S, "wfi with TW", code_wfi, 0);
    probe(S, "sret with TSR", code_sret, 0);
    csr_clear(mstatus, MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR);
    probe(S, "satp without TVM", code_satp, 0);
}

static uint64_t scratch[2 * PAGE_SIZE / 8] __attribute__((aligned(2 * PAGE_SIZE)));

static void physical_memory(void) {
    const uint64_t nowhere = 0x18000000;
    uint64_t cell = (uint64_t)scratch;
    probe(M, "load where nothing is", code_load, nowhere);
    probe(M, "store where nothing is", code_store, nowhere);
    probe(M, "jump to where nothing is", code_fetch, nowhere);
    probe(M, "amo, misaligned", code_amo, cell + 2);
    probe(M, "lr, misaligned", code_lr, cell + 2);
    probe(M, "load, misaligned", code_load, cell + 3);

    // Entry 0 takes the scratch area from S and U; entry 7 gives them the rest.
    csr_write(pmpaddr0, PMP_NAPOT_ADDR(cell, sizeof scratch));
    csr_set(pmpcfg0, PMP_NAPOT);
    probe(S, "load, PMP without R", code_load, cell);
    probe(U, "store, PMP without W", code_store, cell + 8);
    probe(S, "amo, PMP without R or W", code_amo, cell + 8);
    probe(U, "jump, PMP without X", code_fetch, cell);
    probe(S, "load half outside, PMP without R", code_load, cell + sizeof scratch - 4);
    probe(M, "load, entry not locked", code_load, cell);
    csr_set(pmpcfg0, PMP_R);
    probe(S, "load, PMP with R", code_load, cell);
    probe(S, "store, PMP with R only", code_store, cell);
    csr_clear(pmpcfg0, 0xff);
}

// Sv39. The root maps RAM where it is for S-mode, and the same again one GiB higher for U-mode;
// the test pages are at TEST, one for each way to be wrong.
#define TEST       0x40000000ul
#define U_ALIAS    0x40000000ul
#define PAGE(i)    (TEST + (uint64_t)(i) * PAGE_SIZE)
#define SUPERPAGE  (TEST + (2ul << 20))
#define NO_TABLE   (TEST + (4ul << 20))
#define FORBIDDEN  (TEST + (6ul << 20))

enum { INVALID, READ, WRITE, EXECUTE, USER, WRITE_ONLY, POINTER, RESERVED, EDGE, AFTER_EDGE, NO_A };

static uint64_t root[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t middle[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t leaves[512] __attribute__((aligned(PAGE_SIZE)));

static uint64_t pte(const void *page, uint64_t flags) {
    return (uint64_t)page >> PAGE_SHIFT << PTE_PPN_SHIFT | flags | PTE_V;
}

static void paging_on(void) {
    const uint64_t ad = PTE_A | PTE_D;
    const void *ram = (const void *)RAM;
    root[RAM >> 30] = pte(ram, PTE_R | PTE_W | PTE_X | ad);
    root[(RAM + U_ALIAS) >> 30] = pte(ram, PTE_R | PTE_W | PTE_X | PTE_U | ad);
    root[TEST >> 30] = pte(middle, 0);
    middle[0] = pte(leaves, 0);
    middle[1] = pte(scratch, PTE_R | ad); // 2 MiB, but not aligned so
    middle[3] = pte(scratch, 0);          // a table that PMP will close
    leaves[READ] = pte(scratch, PTE_R | ad);
    leaves[WRITE] = pte(scratch, PTE_R | PTE_W | ad);
    leaves[EXECUTE] = pte(scratch, PTE_X | ad);
    leaves[USER] = pte(scratch, PTE_R | PTE_W | PTE_X | PTE_U | ad);
    leaves[WRITE_ONLY] = pte(scratch, PTE_W | ad);
    leaves[POINTER] = pte(scratch, 0);
    leaves[RESERVED] = pte(scratch, PTE_R | ad) | 1ul << 57;
    leaves[EDGE] = pte(scratch, PTE_R | PTE_W | PTE_X | ad); // and nothing at AFTER_EDGE
    leaves[NO_A] = pte(scratch, PTE_R | PTE_W);
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root >> PAGE_SHIFT);
    sfence_vma();
}

static void user_probe(const char *what, const char *code, uint64_t argument) {
    probe_at(U, what, code, U_ALIAS, argument);
}

// Either the access faults (Svade), or the hart has set the bits in the entry (Svadu).
static void a_and_d(const char *what, const char *code, uint64_t fault, uint64_t bits) {
    leaves[NO_A] &= ~(uint64_t)(PTE_A | PTE_D);
    sfence_vma();
    enter(S, code, PAGE(NO_A));
    bool faulted = report.cause == fault && report.tval == PAGE(NO_A);
    bool set = is_ecall(report.cause) && (leaves[NO_A] & bits) == bits;
    bool left = (leaves[NO_A] & (PTE_A | PTE_D)) == 0;
    bool good = set || (faulted && left);
    printf("S  %-36s %s\n", what, good ? "faults, or sets them" : "WRONG");
    failures += !good;
}

static void page_faults(void) {
    // Code for those pages that may be executed: an ecall at the start, half of one at the end.
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        scratch[i] = 0x0000007300000073;
    scratch[PAGE_SIZE / 8 - 1] = 0x0073000100010001;
    fence_i();
    paging_on();

    probe(S, "load, V clear", code_load, PAGE(INVALID));
    probe(S, "store, V clear", code_store, PAGE(INVALID) + 8);
    probe(S, "jump, V clear", code_fetch, PAGE(INVALID));
    probe(S, "amo, V clear", code_amo, PAGE(INVALID));
    probe(S, "lr, V clear", code_lr, PAGE(INVALID));
    probe(S, "load, no table", code_load, NO_TABLE);
    probe(S, "load, R", code_load, PAGE(READ));
    probe(S, "store, R only", code_store, PAGE(READ));
    probe(S, "amo, R only", code_amo, PAGE(READ));
    probe(S, "lr, R only", code_lr, PAGE(READ));
    probe(S, "jump, no X", code_fetch, PAGE(WRITE));
    probe(S, "load, X only", code_load, PAGE(EXECUTE));
    probe(S, "jump, X only", code_fetch, PAGE(EXECUTE));
    csr_set(mstatus, MSTATUS_MXR);
    probe(S, "load, X only and MXR", code_load, PAGE(EXECUTE));
    csr_clear(mstatus, MSTATUS_MXR);
    probe(S, "load, W without R (reserved)", code_load, PAGE(WRITE_ONLY));
    probe(S, "load, pointer at the last level", code_load, PAGE(POINTER));
    probe(S, "load, reserved bit 57 set", code_load, PAGE(RESERVED));
    probe(S, "load, misaligned superpage", code_load, SUPERPAGE);
    probe(S, "load, address not canonical", code_load, TEST | 1ul << 40);

    probe(S, "load, user page", code_load, PAGE(USER));
    csr_set(mstatus, MSTATUS_SUM);
    probe(S, "load, user page and SUM", code_load, PAGE(USER));
    probe(S, "jump, user page and SUM", code_fetch, PAGE(USER));
    csr_clear(mstatus, MSTATUS_SUM);
    user_probe("load, user page", code_load, PAGE(USER));
    user_probe("load, supervisor page", code_load, PAGE(READ));
    user_probe("store, supervisor page", code_store, PAGE(WRITE));
    user_probe("jump, supervisor page", code_fetch, PAGE(EXECUTE));

    probe(S, "load across the edge", code_load, PAGE(AFTER_EDGE) - 4);
    probe(S, "store across the edge", code_store, PAGE(AFTER_EDGE) - 4);
    probe(S, "instruction across the edge", code_fetch, PAGE(AFTER_EDGE) - 2);
    probe(M, "load, V clear, MPRV", code_load_mprv, PAGE(INVALID));
    probe(M, "load, V clear, no MPRV", code_load, RAM);

    csr_set(pmpcfg0, PMP_NAPOT); // closes the scratch area again
    sfence_vma();
    probe(S, "load, table behind PMP", code_load, FORBIDDEN);
    probe(S, "load, page behind PMP", code_load, PAGE(READ));
    csr_clear(pmpcfg0, 0xff);
    sfence_vma();

    a_and_d("load, A clear", code_load, CAUSE_LOAD_PAGE_FAULT, PTE_A);
    a_and_d("store, A and D clear", code_store, CAUSE_STORE_PAGE_FAULT, PTE_A | PTE_D);
    csr_write(satp, 0);
    sfence_vma();
}

static void delegation(void) {
    csr_write(stvec, supervisor_trap);
    csr_write(medeleg, 1 << CAUSE_ILLEGAL_INSTRUCTION | 1 << CAUSE_ECALL_U);
    printf("delegated to S-mode:\n");
    probe(U, "ecall", code_ecall, 0);
    probe(U, "a custom opcode", code_illegal, 0);
    probe(S, "a custom opcode", code_illegal, 0);
    probe(M, "a custom opcode (stays in M-mode)", code_illegal, 0);
    probe(U, "ebreak (not delegated)", code_ebreak, 0);
    csr_write(medeleg, 0);
}

static const char *interrupt_name(uint64_t cause) {
    switch (cause ^ CAUSE_INTERRUPT) {
    case IRQ_S_SOFTWARE:
        return "supervisor software";
    case IRQ_M_SOFTWARE:
        return "machine software";
    case IRQ_S_TIMER:
        return "supervisor timer";
    case IRQ_M_TIMER:
        return "machine timer";
    case IRQ_S_EXTERNAL:
        return "supervisor external";
    default:
        return "unknown";
    }
}

static void quiet(uint64_t cause) {
    switch (cause ^ CAUSE_INTERRUPT) {
    case IRQ_M_SOFTWARE:
        mmio_write32(CLINT_MSIP(0), 0);
        break;
    case IRQ_M_TIMER:
        mmio_write64(CLINT_MTIMECMP(0), -1ul);
        break;
    default:
        csr_clear(mip, 1ul << (cause & 63));
    }
}

// Makes interrupts pending, and takes them one after the other, the most urgent first.
static void take_all(uint64_t pending) {
    if (pending & MIP_MSIP)
        mmio_write32(CLINT_MSIP(0), 1);
    if (pending & MIP_MTIP)
        mmio_write64(CLINT_MTIMECMP(0), 0);
    csr_set(mip, pending & (MIP_SEIP | MIP_SSIP | MIP_STIP));
    while ((csr_read(mip) & pending) != pending)
        ; // the CLINT may take its time

    for (uint64_t mode = S; pending; mode = U) {
        enter(mode, code_spin, 0);
        printf("M  %-36s by entry %lu\n", interrupt_name(report.cause), vector_used);
        uint64_t bit = 1ul << (report.cause & 63);
        quiet(report.cause);
        while (csr_read(mip) & bit)
            ;
        pending &= ~bit;
    }
}

static void interrupts(void) {
    csr_write(mie, MIP_MSIP | MIP_MTIP | MIP_SEIP | MIP_SSIP | MIP_STIP);
    mmio_write64(CLINT_MTIMECMP(0), -1ul);
    printf("interrupts, several pending, vectored:\n");
    csr_write(mtvec, (uint64_t)vector_table | 1);
    take_all(MIP_MSIP | MIP_MTIP | MIP_SEIP);
    take_all(MIP_SSIP | MIP_STIP);
    take_all(MIP_MSIP | MIP_STIP);
    vector_used = 99;
    probe(U, "an exception, by entry 0", code_ecall, 0);
    failures += vector_used != 0;
    trap_init();

    csr_write(mideleg, MIP_SSIP | MIP_SEIP);
    csr_set(mip, MIP_SSIP | MIP_STIP);
    printf("interrupts, delegated but for the timer:\n");
    enter(U, code_spin, 0);
    printf("M  %s\n", interrupt_name(report.cause));
    quiet(report.cause);
    enter(U, code_spin, 0);
    printf("S  %s\n", interrupt_name(report.cause));
    enter(S, code_ecall, 0);
    printf("S  %-36s masked by SIE: %s\n", "supervisor software", exception_name(report.cause));
    csr_write(mie, 0);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    trap_init();
    csr_write(medeleg, 0);
    csr_write(mideleg, 0);
    all_memory_open();
    calls_and_breakpoints();
    illegal_instructions();
    physical_memory();
    page_faults();
    delegation();
    interrupts();
    return failures;
}
