// Runs a guest of a few instructions under Linux's KVM, and prints what the guest prints: in
// VS-mode, by stores to an address where there is no memory.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MEMORY  0x80000000
#define SIZE    (1 << 20)
#define CONSOLE 0x10000000

// The guest: prints a text, has the hart translate its own addresses (Sv39, one entry of 1 GiB for
// memory and one for the console), prints another, and asks SBI to end.
__asm__("    .pushsection .rodata\n"
        "    .option push\n"
        "    .option arch, rv64i_zicsr\n"
        "    .balign 4096\n"
        "guest_start:\n"
        "    li s0, 0x10000000\n"
        "    la a0, first\n"
        "    jal print\n"
        "    la t0, root\n"
        "    srli t0, t0, 12\n"
        "    li t1, 8 << 60\n"
        "    or t0, t0, t1\n"
        "    sfence.vma\n"
        "    csrw satp, t0\n"
        "    la a0, second\n"
        "    jal print\n"
        "    li a7, 0x53525354\n" // SRST: shut down
        "    li a6, 0\n"
        "    li a0, 0\n"
        "    li a1, 0\n"
        "    ecall\n"
        "print:\n"
        "    lbu t0, 0(a0)\n"
        "    beqz t0, 1f\n"
        "    sb t0, 0(s0)\n"
        "    addi a0, a0, 1\n"
        "    j print\n"
        "1:  ret\n"
        "first: .asciz \"in VS-mode\\n\"\n"
        "second: .asciz \"translated in two stages\\n\"\n"
        "    .balign 4096\n"
        "root:\n"
        "    .dword 0xcf\n"                         // 0: V R W X A D
        "    .dword 0\n"
        "    .dword (0x80000000 >> 12 << 10) + 0xcf\n" // 0x80000000
        "    .zero 4096 - 24\n"
        "guest_end:\n"
        "    .option pop\n"
        "    .popsection\n");
extern const char guest_start[], guest_end[];

static int fail(const char *what) {
    perror(what);
    return 1;
}

int main(void) {
    int kvm = open("/dev/kvm", O_RDWR);
    if (kvm < 0)
        return fail("/dev/kvm");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(memory, guest_start, guest_end - guest_start);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = MEMORY, .memory_size = SIZE, .userspace_addr = (uint64_t)memory};
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return fail("memory");
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    uint64_t pc = MEMORY;
    struct kvm_one_reg start = {
        .id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE |
              KVM_REG_RISCV_CORE_REG(regs.pc),
        .addr = (uint64_t)&pc};
    if (ioctl(vcpu, KVM_SET_ONE_REG, &start) < 0)
        return fail("pc");

    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0)
            return fail("KVM_RUN");
        if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
            printf("guest: ended\n");
            return 0;
        }
        if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != CONSOLE) {
            printf("exit for reason %u\n", run->exit_reason);
            return 1;
        }
        putchar(run->mmio.data[0]);
    }
}
