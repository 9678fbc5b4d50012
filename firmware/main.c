// How harts start: the first one prepares the machine and enters the kernel in S-mode; the others
// wait until the kernel starts them (hsm.c).
#include "firmware.h"
#include "device_tree.h"
#include "riscv.h"

#define DEFAULT_NEXT 0x80200000 // where a kernel is expected that nobody has told of

struct hart harts[MAX_HARTS];
uint64_t hart_count = 1;
// start.S waits for it. Not in .bss, which is cleared while the other harts wait.
__attribute__((section(".data"))) uint32_t memory_ready;

// Where to go on: what the machine says, or the customary address.
static uint64_t next_address(uint64_t information) {
    uint64_t magic = 0, next = DEFAULT_NEXT;
    if (information % 8 == 0 && try_load64(information, &magic) && magic == DYNAMIC_MAGIC)
        try_load64(information + offsetof(struct dynamic_information, next_address), &next);
    return next;
}

void boot_main(uint64_t self, void *device_tree, uint64_t information) {
    setup_hart(self);
    // Without one, a kernel may have no console to say so.
    bool has_tree = is_device_tree(device_tree);
    hart_count = has_tree ? device_tree_harts(device_tree) : 1;
    if (hart_count > MAX_HARTS)
        hart_count = MAX_HARTS;
    for (uint64_t n = 0; n < hart_count; n++)
        harts[n].state = n == self ? HART_STARTED : HART_STOPPED;
    uint64_t next = next_address(information);
    bool reserved = has_tree && reserve_memory(device_tree, FIRMWARE_BASE, FIRMWARE_SIZE);
    __atomic_store_n(&memory_ready, 1, __ATOMIC_RELEASE);

    print("rvemu SBI firmware: ");
    print_decimal(hart_count);
    print(hart_count == 1 ? " hart, " : " harts, ");
    print(has_tree ? "device tree at " : "no device tree at ");
    print_hex((uint64_t)device_tree);
    if (has_tree && !reserved)
        print(" (left as it is)");
    if (next == 0) {
        print("; there is no kernel to start\n");
        board_finish(1);
    }
    print(", S-mode at ");
    print_hex(next);
    print("\n");
    enter_supervisor(self, (uint64_t)device_tree, next);
}

void secondary_main(uint64_t self) {
    setup_hart(self);
    hart_wait(self);
}
