// The VMs of tinyvisor: two kernels side by side, and two that misbehave.
#include "tinyvisor.h"

extern const char intruder[], intruder_end[], spinner[], spinner_end[]; // rogues.S

const struct vm_config vm_configs[] = {
    {.memory = 8 << 20, .image = "tinyos-s"},
    {.memory = 8 << 20, .image = "tinyos-s"},
    {.memory = 4 << 20, .flat = intruder, .flat_end = intruder_end},
    {.memory = 4 << 20, .flat = spinner, .flat_end = spinner_end, .slices = 8},
    {0},
};
