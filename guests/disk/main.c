// A kernel that does nothing but use its disk: it counts its runs in the first sector, finds what
// its last run left, fills the disk with a pattern, and asks for what is not its own.
#include "console.h"
#include "disk.h"
#include "guest.h"

#define MAGIC   0x6b736964756d6576ul // "vemudisk"
#define AT_ONCE 8                    // sectors of a request
#define MOST    128                  // sectors that are used
#define WORDS   (SECTOR_SIZE / 8)

static uint64_t disk_sectors;
static uint64_t buffer[AT_ONCE * WORDS];
static int failures;

static uint64_t used(void) { return disk_sectors < MOST ? disk_sectors : MOST; }

static void expect(unsigned status, unsigned expected, const char *what) {
    if (status != expected) {
        printf("%s: status %u, not %u\n", what, status, expected);
        failures++;
    }
}

// What a run leaves in a word of a sector.
static uint64_t pattern(uint64_t run, uint64_t sector, uint64_t word) {
    return run << 48 | sector << 16 | word;
}

static void write_pattern(uint64_t run) {
    for (uint64_t first = 0; first < used(); first += AT_ONCE) {
        uint32_t count = used() - first < AT_ONCE ? used() - first : AT_ONCE;
        for (uint64_t n = 0; n < count * WORDS; n++)
            buffer[n] = pattern(run, first + n / WORDS, n % WORDS);
        if (first == 0) {
            buffer[0] = MAGIC;
            buffer[1] = run;
        }
        expect(disk_write(first, buffer, count), DISK_DONE, "write");
    }
}

// How many sectors, from the second, are not as a run left them.
static unsigned count_changed(uint64_t run) {
    unsigned changed = 0;
    for (uint64_t sector = 1; sector < used(); sector++) {
        expect(disk_read(sector, buffer, 1), DISK_DONE, "read");
        bool same = true;
        for (uint64_t word = 0; word < WORDS; word++)
            same = same && buffer[word] == pattern(run, sector, word);
        changed += !same;
    }
    return changed;
}

// Sectors 8 to 11 are cleared; that the others are not is what `changed` says.
static void clear(uint64_t run) {
    expect(disk_clear(8, 4), DISK_DONE, "clear");
    expect(disk_read(8, buffer, 4), DISK_DONE, "read");
    uint64_t bits = 0;
    for (uint64_t n = 0; n < 4 * WORDS; n++)
        bits |= buffer[n];
    printf("sectors 8 to 11 cleared: they read %lx, and %u sectors have changed\n", bits,
           count_changed(run));
}

static void try_borders(void) {
    static const struct {
        const char *name;
        uint64_t beyond; // the end of the disk
        uint32_t sectors;
    } borders[] = {
        {"the last sector", -1ul, 1},
        {"the one after it", 0, 1},
        {"both", -1ul, 2},
        {"a product that wraps around", 1ul << 55, 1},
    };
    for (unsigned n = 0; n < sizeof borders / sizeof borders[0]; n++) {
        uint64_t sector = disk_sectors + borders[n].beyond;
        uint32_t count = borders[n].sectors;
        unsigned read = disk_read(sector, buffer, count);
        unsigned written = disk_write(sector, buffer, count);
        unsigned cleared = disk_clear(sector, count);
        unsigned dropped = disk_discard(sector, count);
        printf("%-28s read %u, write %u, clear %u, discard %u\n", borders[n].name, read, written,
               cleared, dropped);
    }
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    disk_sectors = disk_start();
    if (disk_sectors == 0) {
        printf("no disk: there is one with --drive file=disk.img,format=raw\n");
        return 1;
    }
    printf("a disk of %lu sectors\n", disk_sectors);

    expect(disk_read(0, buffer, 1), DISK_DONE, "read");
    uint64_t run = buffer[0] == MAGIC ? buffer[1] + 1 : 1;
    printf("run %lu on this disk\n", run);
    if (run > 1)
        printf("the last run's pattern: %u sectors have changed\n", count_changed(run - 1));

    write_pattern(run);
    expect(disk_flush(), DISK_DONE, "flush");
    printf("a pattern written and flushed: %u sectors have changed\n", count_changed(run));
    clear(run);
    write_pattern(run);
    printf("status 0 is done, 1 is refused:\n");
    try_borders();
    write_pattern(run);
    expect(disk_flush(), DISK_DONE, "flush");
    return failures != 0;
}
