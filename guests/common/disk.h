// A disk, one request at a time: a virtio device, or in a paravirtual machine what is behind the ring.
// For kernels whose addresses are physical ones.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SECTOR_SIZE 512

enum { DISK_DONE, DISK_REFUSED };

uint64_t disk_start(void); // its sectors; 0 if there is none

// All of these wait for the disk, and return what it says.
unsigned disk_read(uint64_t sector, void *buffer, uint32_t sectors);
unsigned disk_write(uint64_t sector, const void *buffer, uint32_t sectors);
unsigned disk_flush(void);
unsigned disk_clear(uint64_t sector, uint32_t sectors);
unsigned disk_discard(uint64_t sector, uint32_t sectors);
