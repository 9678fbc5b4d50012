// Traps into M-mode: SBI calls, and the interrupts that the firmware passes on.
#include "firmware.h"
#include "riscv.h"

static void __attribute__((noreturn)) give_up(const struct trap_frame *frame) {
    print("rvemu SBI firmware: unexpected trap on hart ");
    print_decimal(csr_read(mhartid));
    print(": mcause ");
    print_hex(frame->cause);
    print(", mepc ");
    print_hex(frame->epc);
    print(", mtval ");
    print_hex(frame->tval);
    print("\n");
    board_finish(1);
}

void trap_handler(struct trap_frame *frame) {
    switch (frame->cause) {
    case CAUSE_ECALL_S:
        frame->epc += 4;
        sbi_call_handler(frame);
        return;
    case CAUSE_INTERRUPT | IRQ_M_SOFTWARE:
        serve_messages(csr_read(mhartid));
        return;
    case CAUSE_INTERRUPT | IRQ_M_TIMER:
        // Pass it on, and be quiet until the kernel sets the next deadline.
        csr_clear(mie, MIP_MTIP);
        csr_set(mip, MIP_STIP);
        return;
    default:
        give_up(frame);
    }
}
