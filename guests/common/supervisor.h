// What the shared parts of S-mode guests expect of the guest.
#pragma once

#include <stdint.h>

// The physical address of a static object: SBI calls know no virtual ones.
uint64_t physical_address(const void *object);
