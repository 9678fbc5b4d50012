#include "virtio.h"
#include "board.h"
#include "riscv.h"

uint64_t virtio_find(uint32_t device_id) {
    for (int n = 0; n < VIRTIO_SLOTS; n++) {
        uint64_t base = VIRTIO_SLOT(n);
        if (mmio_read32(base + VIRTIO_MAGIC) == 0x74726976 &&
            mmio_read32(base + VIRTIO_VERSION) == 2 &&
            mmio_read32(base + VIRTIO_DEVICE_ID) == device_id)
            return base;
    }
    return 0;
}

static uint64_t negotiate(uint64_t base, uint64_t wanted) {
    uint64_t accepted = 0;
    for (uint32_t half = 0; half < 2; half++) {
        mmio_write32(base + VIRTIO_DEVICE_FEATURES_SEL, half);
        mmio_write32(base + VIRTIO_DRIVER_FEATURES_SEL, half);
        uint32_t bits = mmio_read32(base + VIRTIO_DEVICE_FEATURES);
        bits &= (uint32_t)(wanted >> 32 * half);
        mmio_write32(base + VIRTIO_DRIVER_FEATURES, bits);
        accepted |= (uint64_t)bits << 32 * half;
    }
    return accepted;
}

static void write_address(uint64_t reg, const volatile void *part) {
    mmio_write32(reg, (uint32_t)(uint64_t)part);
    mmio_write32(reg + 4, (uint32_t)((uint64_t)part >> 32));
}

uint64_t virtio_start(uint64_t base, uint64_t wanted, struct virtqueue *queue) {
    mmio_write32(base + VIRTIO_STATUS, 0);
    uint32_t status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;
    mmio_write32(base + VIRTIO_STATUS, status);
    uint64_t accepted = negotiate(base, wanted | VIRTIO_F_VERSION_1);
    status |= VIRTIO_STATUS_FEATURES_OK;
    mmio_write32(base + VIRTIO_STATUS, status);
    if (!(mmio_read32(base + VIRTIO_STATUS) & VIRTIO_STATUS_FEATURES_OK))
        return 0;

    *queue = (struct virtqueue){0};
    mmio_write32(base + VIRTIO_QUEUE_SEL, 0);
    mmio_write32(base + VIRTIO_QUEUE_NUM, VIRTQ_SIZE);
    write_address(base + VIRTIO_QUEUE_DESC, queue->descriptors);
    write_address(base + VIRTIO_QUEUE_DRIVER, &queue->available);
    write_address(base + VIRTIO_QUEUE_DEVICE, &queue->used);
    mmio_write32(base + VIRTIO_QUEUE_READY, 1);
    mmio_write32(base + VIRTIO_STATUS, status | VIRTIO_STATUS_DRIVER_OK);
    return accepted;
}

void virtio_offer(uint64_t base, struct virtqueue *queue, uint16_t head) {
    queue->available.ring[queue->available.index % VIRTQ_SIZE] = head;
    fence(); // the entry is there before the index says so
    queue->available.index++;
    fence();
    mmio_write32(base + VIRTIO_QUEUE_NOTIFY, 0);
}

bool virtio_done(const struct virtqueue *queue) {
    uint16_t index = *(const volatile uint16_t *)&queue->used.index;
    fence(); // what the device wrote is read after the index
    return index == queue->available.index;
}
