// What harts do to each other: IPI and RFENCE. A machine software interrupt says "look at your
// messages"; what they are is in struct hart.
#include "firmware.h"
#include "riscv.h"

#define FENCE_I          0
#define SFENCE_VMA       1
#define SFENCE_VMA_ASID  2
#define HFENCE_GVMA_VMID 3
#define HFENCE_GVMA      4
#define HFENCE_VVMA_ASID 5
#define HFENCE_VVMA      6

#define HGATP_VMID_SHIFT 44
#define HGATP_VMID       (0x3ffful << HGATP_VMID_SHIFT)

// From so many pages on, all are dropped: that is sooner done.
#define MANY_PAGES 64

void send_message(uint64_t hart) { mmio_write32(CLINT_MSIP(hart), 1); }

bool hart_mask(uint64_t mask, uint64_t base, uint64_t *harts_meant) {
    uint64_t all = hart_count == 64 ? -1ul : BIT(hart_count) - 1;
    *harts_meant = all;
    if (base == -1ul)
        return true;
    if (base >= 64 || (mask << base) >> base != mask)
        return false;
    *harts_meant = mask << base;
    return (*harts_meant & ~all) == 0;
}

// hfence.gvma and hfence.vvma, for compilers that do not know them.
#define HFENCE(funct7, rs1, rs2, ...) \
    __asm__ volatile(".insn r 0x73, 0, " funct7 ", x0, " rs1 ", " rs2::__VA_ARGS__ : "memory")
#define GVMA "0x31"
#define VVMA "0x11"

static void hfence_page(const struct fence *fence, uint64_t address) {
    switch (fence->function) {
    case HFENCE_GVMA_VMID:
        HFENCE(GVMA, "%0", "%1", "r"(address >> 2), "r"(fence->id));
        break;
    case HFENCE_GVMA:
        HFENCE(GVMA, "%0", "x0", "r"(address >> 2));
        break;
    case HFENCE_VVMA_ASID:
        HFENCE(VVMA, "%0", "%1", "r"(address), "r"(fence->id));
        break;
    default:
        HFENCE(VVMA, "%0", "x0", "r"(address));
    }
}

static void hfence_all(const struct fence *fence) {
    switch (fence->function) {
    case HFENCE_GVMA_VMID:
        HFENCE(GVMA, "x0", "%0", "r"(fence->id));
        break;
    case HFENCE_GVMA:
        HFENCE(GVMA, "x0", "x0");
        break;
    case HFENCE_VVMA_ASID:
        HFENCE(VVMA, "x0", "%0", "r"(fence->id));
        break;
    default:
        HFENCE(VVMA, "x0", "x0");
    }
}

static void hfence(const struct fence *fence, bool all) {
    uint64_t old = csr_read(0x680); // hgatp: its VMID is whose entries hfence.vvma drops
    if (fence->function == HFENCE_VVMA || fence->function == HFENCE_VVMA_ASID)
        csr_write(0x680, (old & ~HGATP_VMID) | fence->vmid);
    if (all)
        hfence_all(fence);
    for (uint64_t done = 0; !all && done < fence->size; done += PAGE_SIZE)
        hfence_page(fence, fence->start + done);
    csr_write(0x680, old);
}

static void do_fence(const struct fence *fence) {
    bool all = (fence->start == 0 && fence->size == 0) || fence->size > MANY_PAGES * PAGE_SIZE;
    if (fence->function == FENCE_I) {
        fence_i();
    } else if (fence->function > SFENCE_VMA_ASID) {
        hfence(fence, all);
    } else if (all && fence->function == SFENCE_VMA) {
        sfence_vma();
    } else if (all) {
        sfence_vma_asid(fence->id);
    } else {
        for (uint64_t done = 0; done < fence->size; done += PAGE_SIZE) {
            uint64_t address = fence->start + done;
            if (fence->function == SFENCE_VMA)
                sfence_vma_address(address);
            else
                __asm__ volatile("sfence.vma %0, %1" ::"r"(address), "r"(fence->id) : "memory");
        }
    }
}

// Do what other harts have asked for since the last time.
void serve_messages(uint64_t self) {
    struct hart *hart = &harts[self];
    mmio_write32(CLINT_MSIP(self), 0); // first: what comes from now on, interrupts again
    fence();
    if (atomic_swap(hart->interrupts, 0))
        csr_set(mip, MIP_SSIP);
    uint64_t from = atomic_swap(hart->fences_from, 0);
    for (uint64_t other = 0; from != 0; other++, from >>= 1) {
        if (!(from & 1))
            continue;
        do_fence(&harts[other].fence);
        // The last one to have done it says so.
        if ((atomic_and(harts[other].awaited, ~BIT(self)) & ~BIT(self)) == 0)
            send_message(other);
    }
}

struct sbi_result sbi_ipi(uint64_t function, const uint64_t *args) {
    uint64_t targets;
    if (function != SBI_IPI_SEND_IPI)
        return failure(SBI_ERR_NOT_SUPPORTED);
    if (!hart_mask(args[0], args[1], &targets))
        return failure(SBI_ERR_INVALID_PARAM);
    for (uint64_t hart = 0; hart < hart_count; hart++) {
        if (targets & BIT(hart)) {
            atomic_write(harts[hart].interrupts, 1);
            send_message(hart);
        }
    }
    return success(0);
}

struct sbi_result sbi_rfence(uint64_t function, const uint64_t *args) {
    uint64_t targets, self = csr_read(mhartid);
    if (function > HFENCE_VVMA || (function > SFENCE_VMA_ASID && !has_hypervisor))
        return failure(SBI_ERR_NOT_SUPPORTED);
    if (!hart_mask(args[0], args[1], &targets))
        return failure(SBI_ERR_INVALID_PARAM);

    struct hart *hart = &harts[self];
    hart->fence = (struct fence){function, args[2], args[3], args[4], 0};
    if (function > SFENCE_VMA_ASID)
        hart->fence.vmid = csr_read(0x680) & HGATP_VMID;
    uint64_t others = targets & ~BIT(self);
    atomic_write(hart->awaited, others);
    for (uint64_t other = 0; other < hart_count; other++) {
        if (others & BIT(other)) {
            atomic_or(harts[other].fences_from, BIT(self));
            send_message(other);
        }
    }
    if (targets & BIT(self))
        do_fence(&hart->fence);
    // Others may want a fence of this hart meanwhile, and wait for it. Only messages wake it.
    uint64_t enabled = csr_swap(mie, MIP_MSIP);
    while (atomic_read(hart->awaited) != 0) {
        wfi();
        serve_messages(self);
    }
    csr_write(mie, enabled);
    return success(0);
}
