#include "virtio_blk.h"
#include "board.h"
#include "plic.h"
#include "riscv.h"

bool virtio_blk_start(struct virtio_blk *disk) {
    disk->base = virtio_find(VIRTIO_BLK_DEVICE);
    if (disk->base == 0)
        return false;
    disk->features = virtio_start(
        disk->base, VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES,
        &disk->queue);
    disk->sectors = mmio_read64(disk->base + VIRTIO_CONFIG);
    plic_enable(VIRTIO_IRQ(disk->base));
    csr_set(sie, MIP_SEIP);
    return disk->features != 0;
}

static void wait(struct virtio_blk *disk) {
    while (!virtio_done(&disk->queue)) {
        wfi();
        uint32_t irq = plic_claim();
        if (irq == 0)
            continue;
        mmio_write32(disk->base + VIRTIO_INTERRUPT_ACK,
                     mmio_read32(disk->base + VIRTIO_INTERRUPT_STATUS));
        plic_complete(irq);
    }
}

// A request is a header, data (which the device writes if flags say so), and room for a status.
static unsigned request(struct virtio_blk *disk, uint32_t type, uint64_t sector, const void *data,
                        uint32_t length, uint16_t flags) {
    struct virtio_blk_header header = {type, 0, sector};
    volatile uint8_t status = 0xff;
    struct virtq_desc *descriptor = disk->queue.descriptors;
    *descriptor++ =
        (struct virtq_desc){(uint64_t)&header, sizeof header, VIRTQ_DESC_F_NEXT, length ? 1 : 2};
    *descriptor++ = (struct virtq_desc){(uint64_t)data, length, flags | VIRTQ_DESC_F_NEXT, 2};
    *descriptor = (struct virtq_desc){(uint64_t)&status, 1, VIRTQ_DESC_F_WRITE, 0};
    virtio_offer(disk->base, &disk->queue, 0);
    wait(disk);
    return status;
}

unsigned virtio_blk_read(struct virtio_blk *disk, uint64_t sector, void *buffer, uint32_t sectors) {
    return request(disk, VIRTIO_BLK_T_IN, sector, buffer, sectors * SECTOR_SIZE,
                   VIRTQ_DESC_F_WRITE);
}

unsigned virtio_blk_write(struct virtio_blk *disk, uint64_t sector, const void *buffer,
                          uint32_t sectors) {
    return request(disk, VIRTIO_BLK_T_OUT, sector, buffer, sectors * SECTOR_SIZE, 0);
}

unsigned virtio_blk_flush(struct virtio_blk *disk) {
    return request(disk, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0);
}

unsigned virtio_blk_clear(struct virtio_blk *disk, uint32_t type, uint64_t sector,
                          uint32_t sectors) {
    struct {
        uint64_t sector;
        uint32_t sectors, flags;
    } range = {sector, sectors, 0};
    return request(disk, type, 0, &range, sizeof range, 0);
}
