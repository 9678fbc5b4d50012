// Virtio devices behind the MMIO transport, version 2, with one split virtqueue that is used for
// one request at a time. For kernels whose addresses are physical ones. (virtio 1.2: 4.2, 2.7)
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_SLOTS     8
#define VIRTIO_SLOT(n)   (0x10001000ul + 0x1000 * (n))
#define VIRTIO_IRQ(base) (((base) - VIRTIO_SLOT(0)) / 0x1000 + 1)

// Registers, from the slot's base.
#define VIRTIO_MAGIC               0x000
#define VIRTIO_VERSION             0x004
#define VIRTIO_DEVICE_ID           0x008
#define VIRTIO_DEVICE_FEATURES     0x010
#define VIRTIO_DEVICE_FEATURES_SEL 0x014
#define VIRTIO_DRIVER_FEATURES     0x020
#define VIRTIO_DRIVER_FEATURES_SEL 0x024
#define VIRTIO_QUEUE_SEL           0x030
#define VIRTIO_QUEUE_NUM           0x038
#define VIRTIO_QUEUE_READY         0x044
#define VIRTIO_QUEUE_NOTIFY        0x050
#define VIRTIO_INTERRUPT_STATUS    0x060
#define VIRTIO_INTERRUPT_ACK       0x064
#define VIRTIO_STATUS              0x070
#define VIRTIO_QUEUE_DESC          0x080 // each of these three has its high half next to it
#define VIRTIO_QUEUE_DRIVER        0x090
#define VIRTIO_QUEUE_DEVICE        0x0a0
#define VIRTIO_CONFIG              0x100

#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER      2
#define VIRTIO_STATUS_DRIVER_OK   4
#define VIRTIO_STATUS_FEATURES_OK 8

#define VIRTIO_F_INDIRECT_DESC (1ul << 28)
#define VIRTIO_F_VERSION_1     (1ul << 32)

#define VIRTQ_DESC_F_NEXT     1
#define VIRTQ_DESC_F_WRITE    2
#define VIRTQ_DESC_F_INDIRECT 4

#define VIRTQ_SIZE 8

struct virtq_desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

// The parts of a queue that the device sees, as the specification lays them out.
struct virtqueue {
    struct virtq_desc descriptors[VIRTQ_SIZE] __attribute__((aligned(16)));
    struct {
        uint16_t flags, index, ring[VIRTQ_SIZE], used_event;
    } available;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, length;
        } ring[VIRTQ_SIZE];
        uint16_t available_event;
    } used __attribute__((aligned(4)));
};

// The base of the first device of a kind (2 is a disk); 0 if there is none that speaks version 2.
uint64_t virtio_find(uint32_t device_id);

// Resets the device and starts it with those of the wanted features that it offers, and with an
// empty queue; which features these are. 0 if it refuses them.
uint64_t virtio_start(uint64_t base, uint64_t wanted, struct virtqueue *queue);

// Makes the chain that begins with a descriptor available, and notifies the device.
void virtio_offer(uint64_t base, struct virtqueue *queue, uint16_t head);

// Whether the device is done with all that was offered.
bool virtio_done(const struct virtqueue *queue);
