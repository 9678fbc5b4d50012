// Reads a flattened device tree (devicetree specification, chapter 5): big-endian words.
#include "device_tree.h"
#include <stddef.h>

#define MAGIC      0xd00dfeed
#define BEGIN_NODE 1 // followed by the node's name
#define END_NODE   2
#define PROP       3 // followed by the value's length, the name's offset, the value
#define NOP        4

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t align4(uint32_t size) { return (size + 3) & ~3u; }

uint32_t device_tree_harts(const void *device_tree) {
    const uint8_t *tree = device_tree;
    if (tree == NULL || big_endian(tree) != MAGIC)
        return 1;

    uint32_t harts = 0;
    for (const uint8_t *p = tree + big_endian(tree + 8);;) {
        uint32_t token = big_endian(p);
        p += 4;
        if (token == BEGIN_NODE) {
            harts += p[0] == 'c' && p[1] == 'p' && p[2] == 'u' && p[3] == '@';
            uint32_t length = 0;
            while (p[length])
                length++;
            p += align4(length + 1);
        } else if (token == PROP) {
            p += 8 + align4(big_endian(p));
        } else if (token != END_NODE && token != NOP) {
            return harts > 0 ? harts : 1; // the end of the tree
        }
    }
}
