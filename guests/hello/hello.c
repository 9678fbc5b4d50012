// The smallest guest: prints from M-mode and ends the machine through the test finisher.
#include "console.h"
#include "guest.h"

int main(uint64_t hart, const void *device_tree) {
    (void)device_tree;
    printf("hello from M-mode, hart %lu\n", hart);
    return 0;
}
