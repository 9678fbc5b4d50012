// A driver of virtio disks: one request at a time, and the hart waits for its interrupt.
#pragma once

#include "disk.h"
#include "virtio.h"

#define VIRTIO_BLK_DEVICE 2

#define VIRTIO_BLK_F_FLUSH        (1ul << 9)
#define VIRTIO_BLK_F_DISCARD      (1ul << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1ul << 14)

#define VIRTIO_BLK_T_IN           0
#define VIRTIO_BLK_T_OUT          1
#define VIRTIO_BLK_T_FLUSH        4
#define VIRTIO_BLK_T_DISCARD      11
#define VIRTIO_BLK_T_WRITE_ZEROES 13

#define VIRTIO_BLK_S_OK     0
#define VIRTIO_BLK_S_IOERR  1
#define VIRTIO_BLK_S_UNSUPP 2

// The header of a request.
struct virtio_blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

// A disk that has been started. It is static: the device knows where its queue is.
struct virtio_blk {
    uint64_t base;
    uint64_t features;
    uint64_t sectors;
    struct virtqueue queue;
};

// Finds the first disk and starts it; false if there is none. The hart's S-mode gets its interrupts
// (sie.SEIE), which wake it and are not taken.
bool virtio_blk_start(struct virtio_blk *disk);

// All of these wait for the disk, and return its status, VIRTIO_BLK_S_*.
unsigned virtio_blk_read(struct virtio_blk *disk, uint64_t sector, void *buffer, uint32_t sectors);
unsigned virtio_blk_write(struct virtio_blk *disk, uint64_t sector, const void *buffer,
                          uint32_t sectors);
unsigned virtio_blk_flush(struct virtio_blk *disk);

// type: VIRTIO_BLK_T_DISCARD or VIRTIO_BLK_T_WRITE_ZEROES.
unsigned virtio_blk_clear(struct virtio_blk *disk, uint32_t type, uint64_t sector, uint32_t sectors);
