// Adds the firmware's memory to the device tree's /reserved-memory, so that a kernel leaves it
// alone. The tree grows where it stands; whoever placed it left room behind it. It gets more than it
// needs, where there is RAM, for boot loaders add to it in place, too: U-Boot's `booti` a command
// line and an initial RAM disk.
//
// Source: devicetree specification, chapter 5 (flattened format) and 3.5 (/reserved-memory).
#include "firmware.h"

#define MAGIC      0xd00dfeed
#define VERSION    17
#define BEGIN_NODE 1
#define END_NODE   2
#define PROP       3
#define NOP        4

#define MAX_TREE (1 << 20)
#define ROOM     4096  // bytes, for what comes after this firmware

void *memcpy(void *restrict destination, const void *restrict source, size_t size);
void *memmove(void *destination, const void *source, size_t size);

// The header's words that matter here.
enum {
    TOTAL_SIZE = 1,
    OFF_STRUCT = 2,
    OFF_STRINGS = 3,
    VERSION_WORD = 5,
    SIZE_STRINGS = 8,
    SIZE_STRUCT = 9,
};

static uint32_t get(const void *at, uint32_t word) {
    const uint8_t *p = (const uint8_t *)at + 4 * word;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(void *at, uint32_t word, uint32_t value) {
    uint8_t *p = (uint8_t *)at + 4 * word;
    p[0] = (uint8_t)(value >> 24), p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8), p[3] = (uint8_t)value;
}

// What is added, as it is made: structure block and strings block.
static uint8_t nodes[256], names[64];
static uint32_t nodes_size, names_size, names_base;

static uint32_t length_of(const char *text) {
    uint32_t length = 0;
    while (text[length])
        length++;
    return length;
}

static void add_word(uint32_t value) {
    put(nodes + nodes_size, 0, value);
    nodes_size += 4;
}

static void add_text(const char *text) {
    uint32_t length = length_of(text) + 1;
    memcpy(nodes + nodes_size, text, length);
    for (nodes_size += length; nodes_size % 4 != 0; nodes_size++)
        nodes[nodes_size] = 0;
}

static void begin(const char *name) {
    add_word(BEGIN_NODE);
    add_text(name);
}

static void property(const char *name, uint32_t words, const uint32_t *values) {
    add_word(PROP);
    add_word(4 * words);
    add_word(names_base + names_size);
    for (uint32_t n = 0; n < words; n++)
        add_word(values[n]);
    memcpy(names + names_size, name, length_of(name) + 1);
    names_size += length_of(name) + 1;
}

static void make_child(uint64_t base, uint64_t size) {
    begin("firmware@80000000");
    property("reg", 4,
             (uint32_t[]){(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                          (uint32_t)size});
    property("no-map", 0, NULL);
    add_word(END_NODE);
}

static void make_parent(uint64_t base, uint64_t size) {
    begin("reserved-memory");
    property("#address-cells", 1, (uint32_t[]){2});
    property("#size-cells", 1, (uint32_t[]){2});
    property("ranges", 0, NULL);
    make_child(base, size);
    add_word(END_NODE);
}

static bool is_name(const uint8_t *p, const char *name) {
    while (*name && *p == (uint8_t)*name)
        p++, name++;
    return *name == *p;
}

// Where new nodes belong, from the start of the structure block: at the end of /reserved-memory if
// there is one (*inside is set), else at the end of the root. 0 if the block is malformed.
static uint32_t find_place(const uint8_t *block, uint32_t size, bool *inside) {
    uint32_t depth = 0;
    *inside = false;
    for (uint32_t at = 0; at + 4 <= size;) {
        uint32_t here = at, token = get(block + at, 0);
        at += 4;
        if (token == BEGIN_NODE) {
            depth++;
            *inside = *inside || (depth == 2 && is_name(block + at, "reserved-memory"));
            while (at < size && block[at])
                at++;
            at = (at + 4) & ~3u;
        } else if (token == PROP) {
            at += 8 + ((get(block + at, 0) + 3) & ~3u);
        } else if (token == END_NODE) {
            depth--;
            if (depth == 0 || (depth == 1 && *inside))
                return here;
        } else if (token != NOP) {
            return 0;
        }
    }
    return 0;
}

bool is_device_tree(const void *address) {
    uint64_t start;
    return (uint64_t)address % 8 == 0 && try_load64((uint64_t)address, &start) &&
           get(address, 0) == MAGIC;
}

bool reserve_memory(void *device_tree, uint64_t base, uint64_t size) {
    uint8_t *tree = device_tree;
    uint32_t total = get(tree, TOTAL_SIZE);
    uint32_t block = get(tree, OFF_STRUCT), block_size = get(tree, SIZE_STRUCT);
    uint32_t text = get(tree, OFF_STRINGS), text_size = get(tree, SIZE_STRINGS);
    // Strings are expected behind the structure, as all makers of trees put them.
    if (get(tree, VERSION_WORD) < VERSION || total > MAX_TREE || block + block_size > text ||
        text + text_size > total)
        return false;
    bool inside;
    uint32_t place = find_place(tree + block, block_size, &inside);
    if (place == 0)
        return false;
    names_base = text_size;
    if (inside)
        make_child(base, size);
    else
        make_parent(base, size);

    // From the back: strings, what follows the place, then the new nodes.
    uint64_t end = (uint64_t)tree + text + nodes_size + text_size + names_size;
    if (!try_store8(end - 1, 0))
        return false;
    memmove(tree + text + nodes_size, tree + text, text_size);
    memcpy(tree + text + nodes_size + text_size, names, names_size);
    memmove(tree + block + place + nodes_size, tree + block + place, text - block - place);
    memcpy(tree + block + place, nodes, nodes_size);
    put(tree, SIZE_STRUCT, block_size + nodes_size);
    put(tree, OFF_STRINGS, text + nodes_size);
    put(tree, SIZE_STRINGS, text_size + names_size);
    uint32_t new_total = text + nodes_size + text_size + names_size;
    new_total += try_store8(end + ROOM - 1, 0) ? ROOM : 0;
    put(tree, TOTAL_SIZE, new_total > total ? new_total : total);
    return true;
}
