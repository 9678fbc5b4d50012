// A disk that is to read and write what its driver may not: descriptors lead to the host's memory,
// and to the driver's own page tables and code, which a device may very well write.
#include "attack.h"
#include "board.h"
#include "console.h"
#include "guest.h"
#include "virtio_blk.h"

#define HOST   (2ul << 36) // beyond any machine's memory
#define CANARY 0x5a5a5a5a5a5a5a5aul
#define NEXT   VIRTQ_DESC_F_NEXT
#define WRITE  VIRTQ_DESC_F_WRITE
#define WORDS  (SECTOR_SIZE / 8)

#define PAGE_WORDS (PAGE_SIZE / 8)

static struct virtio_blk disk;
static uint64_t own[2 * PAGE_WORDS] __attribute__((aligned(PAGE_SIZE)));
static uint64_t buffer[WORDS];
static struct virtq_desc table[4] __attribute__((aligned(16)));

static struct virtio_blk_header header;
static volatile uint8_t status;

// What a descriptor is set to, and is for.
static void describe(struct virtq_desc *at, uint64_t address, uint32_t length, uint16_t flags,
                     uint16_t next) {
    *at = (struct virtq_desc){address, length, flags, next};
}

// A request as it ought to be: header, data, status. What follows changes one thing.
static void prepare(uint32_t type, uint64_t sector) {
    struct virtq_desc *descriptors = disk.queue.descriptors;
    header = (struct virtio_blk_header){type, 0, sector};
    uint16_t write = type == VIRTIO_BLK_T_IN ? WRITE : 0;
    describe(&descriptors[0], (uint64_t)&header, sizeof header, NEXT, 1);
    describe(&descriptors[1], (uint64_t)own, SECTOR_SIZE, NEXT | write, 2);
    describe(&descriptors[2], (uint64_t)&status, 1, WRITE, 0);
}

// A device that was given nonsense may never answer.
static void submit(uint16_t head) {
    virtio_offer(disk.base, &disk.queue, head);
    for (int n = 0; n < 10000 && !virtio_done(&disk.queue); n++)
        ;
}

static void restart(void) {
    virtio_start(disk.base, VIRTIO_BLK_F_FLUSH | VIRTIO_F_INDIRECT_DESC, &disk.queue);
}

// Whether memory is as it was, nothing of the host's is on the disk (zeros and ones are nobody's:
// machines may read them where there is no memory), and the disk works when it was reset.
static void look(const char *name) {
    unsigned changed = 0, written = 0;
    for (unsigned n = 0; n < 2 * PAGE_WORDS; n++)
        changed += *(volatile uint64_t *)&own[n] != CANARY;
    if (!virtio_blk_start(&disk)) {
        printf("%s: the disk is gone\n", name);
        finish(1);
    }
    for (uint64_t sector = 0; sector < 8; sector++) {
        unsigned answer = virtio_blk_read(&disk, sector, buffer, 1);
        for (unsigned n = 0; n < WORDS; n++)
            written += answer != VIRTIO_BLK_S_OK || buffer[n] + 1 > 1;
    }
    printf("%-40s %u words changed in memory, %u on the disk\n", name, changed, written);
    restart();
}

static void lead_out_of_memory(void) {
    static const struct {
        const char *name;
        uint64_t address;
        uint32_t length;
    } places[] = {
        {"data in the host's memory", HOST, SECTOR_SIZE},
        {"data that ends where memory begins", RAM - SECTOR_SIZE, SECTOR_SIZE},
        {"data that begins before memory", RAM - 16, SECTOR_SIZE},
        {"data at the end of the address space", -(uint64_t)SECTOR_SIZE, SECTOR_SIZE},
        {"data that wraps around", -16ul, SECTOR_SIZE},
        {"data of 4 GiB", HOST, 0xfffffe00},
    };
    struct virtq_desc *descriptors = disk.queue.descriptors;
    for (unsigned n = 0; n < sizeof places / sizeof places[0]; n++) {
        for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
            prepare(type, 0);
            descriptors[1].address = places[n].address;
            descriptors[1].length = places[n].length;
            submit(0);
            restart();
        }
        look(places[n].name);
    }
    prepare(VIRTIO_BLK_T_FLUSH, 0);
    descriptors[0].next = 2;
    descriptors[0].address = HOST;
    submit(0);
    look("a header in the host's memory");
    prepare(VIRTIO_BLK_T_FLUSH, 0);
    descriptors[0].next = 2;
    descriptors[2].address = HOST;
    submit(0);
    look("a status in the host's memory");
}

static void go_in_circles(void) {
    struct virtq_desc *descriptors = disk.queue.descriptors;
    prepare(VIRTIO_BLK_T_OUT, 0);
    descriptors[1].next = 1;
    submit(0);
    look("a chain that is a circle");
    prepare(VIRTIO_BLK_T_OUT, 0);
    descriptors[1].next = 1000;
    submit(0);
    look("a chain that leaves the table");
    prepare(VIRTIO_BLK_T_OUT, 0);
    submit(1000);
    look("a chain that begins beyond the table");
    prepare(VIRTIO_BLK_T_OUT, 0);
    descriptors[2].flags = 0;
    submit(0);
    look("a request without room for its status");

    describe(&descriptors[0], HOST, sizeof table, VIRTQ_DESC_F_INDIRECT, 0);
    submit(0);
    look("an indirect table in the host's memory");
    describe(&descriptors[0], (uint64_t)table, sizeof table, VIRTQ_DESC_F_INDIRECT, 0);
    describe(&table[0], (uint64_t)table, sizeof table, VIRTQ_DESC_F_INDIRECT, 0);
    submit(0);
    look("an indirect table in itself");
    describe(&descriptors[0], (uint64_t)table, sizeof table, VIRTQ_DESC_F_INDIRECT, 0);
    describe(&table[0], (uint64_t)&header, sizeof header, NEXT, 1);
    describe(&table[1], (uint64_t)own, SECTOR_SIZE, NEXT, 0);
    submit(0);
    look("an indirect table that is a circle");

    static const uint64_t rings[] = {VIRTIO_QUEUE_DESC, VIRTIO_QUEUE_DRIVER, VIRTIO_QUEUE_DEVICE};
    for (unsigned n = 0; n < 3; n++) {
        mmio_write32(disk.base + VIRTIO_QUEUE_READY, 0);
        mmio_write32(disk.base + rings[n], 0);
        mmio_write32(disk.base + rings[n] + 4, (uint32_t)(HOST >> 32));
        mmio_write32(disk.base + VIRTIO_QUEUE_READY, 1);
        prepare(VIRTIO_BLK_T_FLUSH, 0);
        descriptors[0].next = 2;
        submit(0);
        look(n == 0   ? "descriptors in the host's memory"
             : n == 1 ? "the available ring in the host's memory"
                      : "the used ring in the host's memory");
    }
}

// --- What a device may do ------------------------------------------------------------------------

// Has the disk write bytes where they are to go: to the disk first, and from there.
static void write_by_disk(const uint64_t *words, uint64_t sector, void *where) {
    if (virtio_blk_write(&disk, sector, words, 1) != VIRTIO_BLK_S_OK ||
        virtio_blk_read(&disk, sector, where, 1) != VIRTIO_BLK_S_OK)
        printf("the disk refuses\n");
}

static void use(const char *after, unsigned page) {
    uint64_t value, result;
    printf("%-40s load %s", after, refused(try_load(WINDOW_PAGE(page), &value)));
    printf(" (%lx), store %s", value, refused(try_store(WINDOW_PAGE(page) + 8, 1)));
    printf(", jump %s", refused(try_call(WINDOW_PAGE(page) + 16, &result)));
    printf(" (%lx)\n", result);
}

static void write_own_tables(void) {
    static uint64_t entries[WORDS];
    for (unsigned n = 0; n < 2; n++) {
        own[n * PAGE_WORDS] = 0x1111 * (n + 1);
        own[n * PAGE_WORDS + 2] = (0x513ul | (uint64_t)(n + 1) << 20) | 0x8067ul << 32; // li a0, n + 1; ret
    }
    fence_i();
    window_map(0, (uint64_t)own, KERNEL_FLAGS);
    window_map(63, (uint64_t)own, KERNEL_FLAGS);
    use("own memory", 0);
    for (unsigned n = 0; n < WORDS; n++)
        entries[n] = entry_for((uint64_t)(own + PAGE_WORDS), KERNEL_FLAGS);
    write_by_disk(entries, 16, last_table);
    sfence_vma();
    use("the disk has written entries", 0);
    use("the last of them", 63);
    for (unsigned n = 0; n < WORDS; n++)
        entries[n] = entry_for(HOST, KERNEL_FLAGS);
    write_by_disk(entries, 16, last_table);
    sfence_vma();
    use("for the host's memory", 0);
    for (unsigned n = 0; n < WORDS; n++)
        entries[n] = entry_for((uint64_t)own, PTE_V | PTE_R | PTE_A);
    write_by_disk(entries, 16, last_table);
    sfence_vma();
    use("to be read alone", 0);
    window_map(1, (uint64_t)own, KERNEL_FLAGS);
    use("the next page, as it was", 1);

    // The status of a request, one byte, falls on V.
    restart();
    prepare(VIRTIO_BLK_T_FLUSH, 0);
    disk.queue.descriptors[0].next = 2;
    disk.queue.descriptors[2].address = (uint64_t)&last_table[1];
    submit(0);
    while (!virtio_done(&disk.queue))
        ;
    sfence_vma();
    use("a status of 0 was written over V", 1);
    virtio_blk_start(&disk);

    // A sector from the end of the middle table into whatever follows.
    uint64_t value;
    middle_table[511] = entry_for((uint64_t)last_table, PTE_V);
    window_map(2, (uint64_t)(own + PAGE_WORDS), KERNEL_FLAGS);
    uint64_t address = WINDOW + 511 * (1ul << 21) + 2 * PAGE_SIZE;
    printf("by the last entry of the middle table: %s", refused(try_load(address, &value)));
    for (unsigned n = 0; n < WORDS; n++)
        entries[n] = 0;
    write_by_disk(entries, 17, &middle_table[512 - WORDS]);
    sfence_vma();
    printf(" (%lx), then %s\n", value, refused(try_load(address, &value)));
}

static void write_own_code(void) {
    static uint64_t code[WORDS];
    window_map(0, (uint64_t)own, KERNEL_FLAGS);
    use("code", 0);
    code[0] = 0x3333;
    code[2] = 0x513ul | 99ul << 20 | 0x8067ul << 32; // li a0, 99; ret
    write_by_disk(code, 18, own);
    fence_i();
    use("the disk has written code", 0);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    attack_begin();
    if (!virtio_blk_start(&disk)) {
        printf("no disk: there is one with --drive file=disk.img,format=raw\n");
        return 1;
    }
    for (unsigned n = 0; n < 2 * PAGE_WORDS; n++)
        own[n] = CANARY;
    restart();
    lead_out_of_memory();
    go_in_circles();
    virtio_blk_start(&disk);
    write_own_tables();
    write_own_code();
    return 0;
}
