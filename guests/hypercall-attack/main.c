// A paravirtual kernel that attacks: by each hypercall, and by what it has mapped. It has tables that
// map its memory where it is: code and data by 2 MiB, then pages by 4 KiB, among which are tables.
#include "console.h"
#include "guest.h"
#include "paravirt.h"
#include "riscv.h"

#define ENTRIES 512
#define RAM     0x80000000ul
#define POOL    0x80400000ul // 2 MiB that are mapped by 4 KiB
#define END     0x80800000ul // what is used of the memory
#define MIDDLE  (POOL + 0 * PAGE_SIZE)
#define LAST    (POOL + 1 * PAGE_SIZE)
#define ROOT    (POOL + 2 * PAGE_SIZE)
#define SPARE   (POOL + 3 * PAGE_SIZE)
#define PAGE    (POOL + 8 * PAGE_SIZE) // the first that is no table, nor to be one
#define LARGE   (PAGE_SIZE * ENTRIES)

#define READABLE (PTE_V | PTE_R | PTE_A | PTE_D)
#define WRITABLE (READABLE | PTE_W)
#define POINTER  PTE_V

// The cause of a trap, or -1 if there was none.
uint64_t try_load(uint64_t address);
uint64_t try_store(uint64_t address, uint64_t value);
uint64_t try_return(uint64_t epc, uint64_t status);
uint64_t try_satp(uint64_t value);
void probe_trap(void);

static struct hc_update updates[HC_MOST_UPDATES + 1];
static struct hc_block ring __attribute__((aligned(PAGE_SIZE)));
static unsigned attempts, successes;

static void judge(const char *what, uint64_t detail, bool refused) {
    attempts++;
    successes += !refused;
    printf("%s (%lx): %s\n", what, detail, refused ? "refused" : "ALLOWED");
}

static uint64_t entry_for(uint64_t address, uint64_t flags) {
    return address >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

static uint64_t *word(uint64_t address) { return (uint64_t *)address; }

static bool ask(uint64_t what, uint64_t address, uint64_t value) {
    updates[0] = (struct hc_update){what, address, value};
    return hypercall(HC_UPDATE, (uint64_t)updates, 1).error == SBI_SUCCESS;
}

static void attempt(const char *name, uint64_t what, uint64_t address, uint64_t value) {
    judge(name, value, !ask(what, address, value));
}

static void attempt_call(const char *name, uint64_t function, uint64_t arg0, uint64_t arg1) {
    judge(name, arg0, hypercall(function, arg0, arg1).error != SBI_SUCCESS);
}

static void must(bool is_so, const char *what) {
    if (is_so)
        return;
    printf("%s\n", what);
    finish(2);
}

static uint64_t *entry_of(uint64_t page) { return word(LAST) + (page - POOL) / PAGE_SIZE; }

static void begin(void) {
    pv_shared.entry = (uint64_t)probe_trap;
    for (uint64_t page = POOL; page < PAGE; page += PAGE_SIZE)
        for (int i = 0; i < ENTRIES; i++)
            word(page)[i] = 0;
    word(ROOT)[RAM >> 30] = entry_for(MIDDLE, POINTER);
    for (uint64_t i = 1; i < 4; i++)
        word(MIDDLE)[i] = entry_for(RAM + i * LARGE, WRITABLE | PTE_X);
    word(MIDDLE)[2] = entry_for(LAST, POINTER);
    for (uint64_t i = 0; i < ENTRIES; i++)
        word(LAST)[i] = entry_for(POOL + i * PAGE_SIZE, i < 8 ? READABLE : WRITABLE);
    must(ask(HC_PIN_TABLE, LAST, 0) && ask(HC_PIN_TABLE, MIDDLE, 1) && ask(HC_PIN_TABLE, ROOT, 2) &&
             hypercall(HC_SET_ROOTS, ROOT, ROOT).error == SBI_SUCCESS,
         "the tables are not taken");
}

// What is not the guest's: other guests, the VMM, devices, nothing at all.
static void foreign_memory(void) {
    static const uint64_t targets[] = {
        1ul << 36,     2ul << 36,          3ul << 36, (2ul << 36) + 0x200000, 1ul << 55,
        0x10000000ul,  RAM - LARGE,        PAGE_SIZE, (1ul << 56) - LARGE,
    };
    for (unsigned n = 0; n < sizeof targets / sizeof targets[0]; n++) {
        uint64_t target = targets[n];
        attempt("a page", HC_SET_ENTRY, (uint64_t)entry_of(PAGE), entry_for(target, WRITABLE));
        attempt("a large page", HC_SET_ENTRY, MIDDLE + 8, entry_for(target, READABLE));
        attempt("a table", HC_SET_ENTRY, MIDDLE + 8, entry_for(target, POINTER));
        attempt("tables", HC_SET_ENTRY, ROOT + 8, entry_for(target, POINTER));
        attempt("to be a table", HC_PIN_TABLE, target, 0);
        attempt("its entry", HC_SET_ENTRY, target, 0);
        attempt_call("its roots", HC_SET_ROOTS, target, target);
        attempt_call("its shared page", HC_START, target, 0);
        attempt_call("its ring", HC_CONSOLE, target, 0);
        attempt_call("its list", HC_UPDATE, target, 1);
    }
    attempt("a gigabyte", HC_SET_ENTRY, ROOT + 8, entry_for(RAM, READABLE));
    attempt("reserved bits", HC_SET_ENTRY, (uint64_t)entry_of(PAGE),
            entry_for(PAGE, WRITABLE) | 1ul << 63);
}

// Its own tables, for stores: directly, in large pages, by what a new table has, by other names.
static void own_tables(void) {
    static const uint64_t tables[] = {LAST, MIDDLE, ROOT};
    for (int n = 0; n < 3; n++) {
        attempt("a table for stores", HC_SET_ENTRY, (uint64_t)entry_of(PAGE),
                entry_for(tables[n], WRITABLE));
        attempt("the same, where it is", HC_SET_ENTRY, (uint64_t)entry_of(tables[n]),
                entry_for(tables[n], WRITABLE));
        attempt("no table any more", HC_UNPIN_TABLE, tables[n], 0);
        attempt("a table again", HC_PIN_TABLE, tables[n], n);
        attempt_call("its shared page", HC_START, tables[n], 0);
        attempt_call("its ring", HC_CONSOLE, tables[n], 0);
        attempt_call("its disk's ring", HC_BLOCK, tables[n], 0);
        judge("a store to it", tables[n], try_store(tables[n], entry_for(1ul << 36, WRITABLE)) ==
                                              CAUSE_STORE_PAGE_FAULT);
    }
    attempt("2 MiB with tables", HC_SET_ENTRY, MIDDLE + 8, entry_for(POOL, WRITABLE));
    word(PAGE)[0] = entry_for(POOL, WRITABLE);
    attempt("a table of 2 MiB with tables", HC_PIN_TABLE, PAGE, 1);
    word(PAGE)[0] = entry_for(PAGE, WRITABLE);
    attempt("a table that maps itself", HC_PIN_TABLE, PAGE, 0);
    word(PAGE)[0] = 0;
    attempt("a page that is mapped for stores", HC_PIN_TABLE, PAGE, 0);
    attempt("its shared page", HC_PIN_TABLE, (uint64_t)&pv_shared, 0);
    attempt("a root below itself", HC_SET_ENTRY, MIDDLE + 8, entry_for(ROOT, POINTER));
    attempt("a table in an entry of the last level", HC_SET_ENTRY, LAST, entry_for(LAST, POINTER));
    attempt_call("a table that is no root", HC_SET_ROOTS, MIDDLE, MIDDLE);
}

// A page that was stored to, so that the hart knows a translation, becomes a table.
static void stale_translations(void) {
    must(try_store(PAGE, 0) == -1ul, "a page can't be stored to");
    must(ask(HC_SET_ENTRY, (uint64_t)entry_of(PAGE), entry_for(PAGE, READABLE)) &&
             ask(HC_PIN_TABLE, PAGE, 0),
         "a page can't become a table");
    uint64_t cause = try_store(PAGE, entry_for(1ul << 36, WRITABLE));
    judge("a store by an old translation", cause, cause == CAUSE_STORE_PAGE_FAULT && !*word(PAGE));
    must(ask(HC_SET_ENTRY, MIDDLE + 8 * 8, entry_for(PAGE, POINTER)) &&
             ask(HC_SET_ENTRY, PAGE, entry_for(PAGE + PAGE_SIZE, WRITABLE)),
         "a table can't be used");
    uint64_t window = RAM + 8 * LARGE;
    must(try_store(window, 1) == -1ul, "it does not map");
    must(ask(HC_SET_ENTRY, MIDDLE + 8 * 8, 0) && ask(HC_UNPIN_TABLE, PAGE, 0), "it can't be left");
    cause = try_store(window, 2);
    judge("a store by way of what was a table", cause,
          cause == CAUSE_STORE_PAGE_FAULT && *word(PAGE + PAGE_SIZE) == 1);
    attempt("its content, which is the host's, again", HC_PIN_TABLE, PAGE, 0);
    must(ask(HC_SET_ENTRY, (uint64_t)entry_of(PAGE), entry_for(PAGE, WRITABLE)), "it stays read-only");
    *word(PAGE) = 0;
}

// Numbers that wrap around, or are too large.
static void numbers(void) {
    static const uint64_t counts[] = {0, HC_MOST_UPDATES + 1, 1ul << 61, 0x0aaaaaaaaaaaaaabul, -1ul};
    for (unsigned n = 0; n < sizeof counts / sizeof counts[0]; n++)
        judge("so many updates", counts[n],
              hypercall(HC_UPDATE, (uint64_t)updates, counts[n]).error != SBI_SUCCESS);
    attempt_call("a list at the end of all addresses", HC_UPDATE, -24ul, 2);
    attempt("an entry at the end of all addresses", HC_SET_ENTRY, -8ul, 0);
    attempt("an entry that wraps around", HC_SET_ENTRY, LAST + (1ul << 63), 0);
    attempt("half of an entry", HC_SET_ENTRY, LAST + 4, 0);
    attempt("a level", HC_PIN_TABLE, SPARE, 5);
    attempt("a level", HC_PIN_TABLE, SPARE, -1ul);
    attempt("an update", 3, SPARE, 0);
    attempt_call("a ring", HC_NOTIFY, -1ul, 0);
    attempt_call("a hypercall", 10, 0, 0);
    attempt_call("a hypercall", -1ul, 0, 0);
    attempt_call("a state", HC_FLOATING_POINT, 4, 0);
    struct sbi_result printed = sbi_call(SBI_EXT_DBCN, SBI_DBCN_CONSOLE_WRITE, 64, 2ul << 36, 0);
    judge("another guest's memory, printed", 2ul << 36, printed.error != SBI_SUCCESS);
}

static unsigned disk(uint32_t operation, uint64_t sector, uint64_t address, uint64_t length) {
    struct hc_block_request *request = &ring.requests[ring.produced % HC_BLOCK_SLOTS];
    *request = (struct hc_block_request){
        .operation = operation, .sector = sector, .address = address, .length = length};
    ring.produced++;
    hypercall(HC_NOTIFY, HC_RING_BLOCK, 0);
    return request->status;
}

// The disk's data, where the kernel itself can't store; and sectors of others.
static void data_of_the_disk(void) {
    struct sbi_result opened = hypercall(HC_BLOCK, (uint64_t)&ring, 0);
    must(opened.error == SBI_SUCCESS, "there is no disk");
    uint64_t sectors = (uint64_t)opened.value;
    must(disk(HC_READ, 0, PAGE, 512) == HC_DONE, "the disk can't be read");
    static const uint64_t targets[] = {ROOT, MIDDLE, LAST + 8 * 8, ROOT - 256, 1ul << 36, 2ul << 36,
                                       RAM - 512, -512ul, -256ul, 0x10000000ul};
    for (unsigned n = 0; n < sizeof targets / sizeof targets[0]; n++) {
        judge("a sector read to", targets[n], disk(HC_READ, 0, targets[n], 512) == HC_REFUSED);
        if (targets[n] < MIDDLE || targets[n] >= PAGE)
            judge("a sector written from", targets[n],
                  disk(HC_WRITE, 0, targets[n], 512) == HC_REFUSED);
    }
    for (uint32_t operation = HC_READ; operation <= HC_DISCARD; operation++) {
        if (operation == HC_FLUSH)
            continue;
        judge("the sector behind the disk", operation,
              disk(operation, sectors, PAGE, 512) == HC_REFUSED);
        judge("a sector that wraps around", operation,
              disk(operation, 1ul << 55, PAGE, 512) == HC_REFUSED);
        judge("the sector before the disk", operation,
              disk(operation, -1ul, PAGE, 1024) == HC_REFUSED);
        judge("a length", operation, disk(operation, 0, PAGE, -512ul) == HC_REFUSED);
    }
}

// Out of the kernel, by a return or a register.
static void returns(void) {
    static const uint64_t places[] = {0, 1ul << 36, 1ul << 55, -1ul, 1ul << 63, RAM + 16 * LARGE};
    for (unsigned n = 0; n < sizeof places / sizeof places[0]; n++)
        judge("a return", places[n],
              try_return(places[n], MSTATUS_SPP) == CAUSE_FETCH_PAGE_FAULT &&
                  try_return(places[n], 0xfffffffffffffffful) == CAUSE_FETCH_PAGE_FAULT);
    judge("satp", 8ul << 60, try_satp(8ul << 60) == CAUSE_ILLEGAL_INSTRUCTION);
    judge("a load from the VMM", 1ul << 55, try_load(1ul << 55) == CAUSE_LOAD_PAGE_FAULT);
    judge("a device", 0x10000000, try_store(0x10000000, 'x') == CAUSE_STORE_PAGE_FAULT);
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    if (!paravirtual) {
        printf("no hypercalls are offered: there is nothing to attack\n");
        return 0;
    }
    begin();
    foreign_memory();
    own_tables();
    stale_translations();
    numbers();
    data_of_the_disk();
    returns();
    printf("%u attempts, %u successes\n", attempts, successes);
    return successes != 0;
}
