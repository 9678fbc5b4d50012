#include "disk.h"
#include "paravirt.h"
#include "virtio_blk.h"
#include <stddef.h>

static struct virtio_blk disk;

uint64_t disk_start(void) {
    if (paravirtual)
        return pv_disk_start();
    return virtio_blk_start(&disk) ? disk.sectors : 0;
}

static unsigned ring(uint32_t operation, uint64_t sector, const void *data, uint32_t sectors) {
    return pv_disk(operation, sector, data, (uint64_t)sectors * SECTOR_SIZE) != HC_DONE;
}

unsigned disk_read(uint64_t sector, void *buffer, uint32_t sectors) {
    if (paravirtual)
        return ring(HC_READ, sector, buffer, sectors);
    return virtio_blk_read(&disk, sector, buffer, sectors);
}

unsigned disk_write(uint64_t sector, const void *buffer, uint32_t sectors) {
    if (paravirtual)
        return ring(HC_WRITE, sector, buffer, sectors);
    return virtio_blk_write(&disk, sector, buffer, sectors);
}

unsigned disk_flush(void) {
    if (paravirtual)
        return ring(HC_FLUSH, 0, NULL, 0);
    return virtio_blk_flush(&disk);
}

unsigned disk_clear(uint64_t sector, uint32_t sectors) {
    if (paravirtual)
        return ring(HC_CLEAR, sector, NULL, sectors);
    return virtio_blk_clear(&disk, VIRTIO_BLK_T_WRITE_ZEROES, sector, sectors);
}

unsigned disk_discard(uint64_t sector, uint32_t sectors) {
    if (paravirtual)
        return ring(HC_DISCARD, sector, NULL, sectors);
    return virtio_blk_clear(&disk, VIRTIO_BLK_T_DISCARD, sector, sectors);
}
