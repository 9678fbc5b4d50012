// What guests ask of the device tree.
#pragma once

#include <stdint.h>

// How many harts (nodes named cpu@...) a flattened device tree describes; 1 if there is no tree.
uint32_t device_tree_harts(const void *device_tree);
