// Address spaces: Sv39 page tables.
//
// The upper half is the kernel's, the same in every table and marked global; the lower half is the
// process's own. A and D are set when an entry is made, so that harts which do not set them
// themselves need no help.
#include "kernel.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t size);

#define LEVELS   3
#define ENTRIES  512
#define KERNEL_RW (PTE_R | PTE_W | PTE_G)
#define USER_RW   (PTE_R | PTE_W | PTE_U)

extern char __kernel_start[], __text_end[], __rodata_end[], __bss_end[]; // tinyos.ld
extern const uint64_t user_text_size, user_image_size;                   // boot.S

static pte *kernel_table;
static uint64_t asid_max;

static pte make_pte(const void *page, uint64_t flags) {
    return to_physical(page) >> PAGE_SHIFT << PTE_PPN_SHIFT | flags | PTE_V | PTE_A | PTE_D;
}

static void *pte_page(pte entry) { return to_virtual(entry >> PTE_PPN_SHIFT << PAGE_SHIFT); }

static bool is_leaf(pte entry) { return entry & (PTE_R | PTE_W | PTE_X); }

// A cleared page becomes a table of a level, or stops being one. The VMM of a paravirtual machine
// must know, and it must not be mapped for stores then.
static pte *heap_entry(const void *page) { // in the tables at PV_TABLES that boot_paravirt.c made
    pte *tables = to_virtual(PV_TABLES + 2 * PAGE_SIZE);
    return &tables[(to_physical(page) - HEAP_START) >> PAGE_SHIFT];
}

static pte *table_make(pte *page, int level) {
    if (paravirtual) {
        pv_set_entry(heap_entry(page), make_pte(page, PTE_R));
        pv_update(HC_PIN_TABLE, to_physical(page), level);
    }
    return page;
}

static void table_unmake(pte *page) {
    if (paravirtual) {
        pv_update(HC_UNPIN_TABLE, to_physical(page), 0);
        pv_set_entry(heap_entry(page), make_pte(page, PTE_R | PTE_W));
        pv_flush(); // the page is about to be used
    }
}

// The entry that maps `address`, at `level` (0: 4 KiB, 1: 2 MiB) of a table. The tables above it
// are made if `make` says so; otherwise the result is NULL when one is missing.
static pte *walk(pte *table, uint64_t address, int level, bool make) {
    for (int i = LEVELS - 1; i > level; i--) {
        pte *entry = &table[(address >> (PAGE_SHIFT + 9 * i)) % ENTRIES];
        if (!(pte_get(entry) & PTE_V)) {
            if (!make)
                return NULL;
            pte *below = table_make(page_allocate(), i - 1);
            pte_set(entry, make_pte(below, 0) & ~(pte)(PTE_A | PTE_D)); // reserved in pointers
        }
        table = pte_page(pte_get(entry));
    }
    return &table[(address >> (PAGE_SHIFT + 9 * level)) % ENTRIES];
}

static void map(pte *table, uint64_t address, const void *page, uint64_t flags) {
    pte_set(walk(table, address, 0, true), make_pte(page, flags));
}

static void map_kernel(const char *start, const char *end, uint64_t flags) {
    for (; start < end; start += PAGE_SIZE)
        map(kernel_table, (uint64_t)start, start, flags | PTE_G);
}

// Replaces the boot page table by one that grants each part of the kernel what it needs. The
// kernel's image is mapped by 4 KiB pages, the pages it gives out by 2 MiB ones.
void vm_init(void) {
    kernel_table = table_make(page_allocate(), LEVELS - 1);
    map_kernel(__kernel_start, __text_end, PTE_R | PTE_X);
    map_kernel(__text_end, __rodata_end, PTE_R);
    map_kernel(__rodata_end, __bss_end, PTE_R | PTE_W);
    const char *user_image = to_virtual(USER_IMAGE);
    map_kernel(user_image, user_image + user_image_size, PTE_R);
    for (uint64_t p = HEAP_START; p < HEAP_END; p += PAGE_SIZE << 9) {
        pte leaf = make_pte(to_virtual(p), KERNEL_RW);
        if (paravirtual) // by 4 KiB: some of these pages will be tables
            leaf = make_pte(heap_entry(to_virtual(p)), 0) & ~(pte)(PTE_A | PTE_D);
        pte_set(walk(kernel_table, p + RAM_DISTANCE, 1, true), leaf);
    }

    if (paravirtual) {
        vm_activate_kernel();
        return;
    }
    // How many ASIDs are there? The bits that are not implemented read zero.
    vm_activate_kernel();
    csr_set(satp, SATP_ASID);
    asid_max = (csr_read(satp) & SATP_ASID) >> SATP_ASID_SHIFT;
    vm_activate_kernel();
    fence_all(); // forget the boot page table
}

static void set_satp(const pte *table, uint64_t asid) {
    if (paravirtual) { // processes have tables without the kernel
        pv_set_roots(to_physical(kernel_table), to_physical(table));
        return;
    }
    csr_write(satp, SATP_MODE_SV39 | asid << SATP_ASID_SHIFT | to_physical(table) >> PAGE_SHIFT);
}

// The kernel's own entries are global: ASID 0 is used by nothing else.
void vm_activate_kernel(void) { set_satp(kernel_table, 0); }

// With an ASID for each process, switching needs no fence. Without, all that was cached must go.
void vm_activate(const struct process *process) {
    bool has_asid = process->pid <= asid_max;
    set_satp(process->page_table, has_asid ? process->pid : 0);
    if (!has_asid)
        fence_all();
}

// A root with the kernel's half, which a paravirtual kernel has in a table of its own.
static pte *new_space(void) {
    pte *table = page_allocate();
    for (int i = ENTRIES / 2; !paravirtual && i < ENTRIES; i++)
        table[i] = kernel_table[i];
    return table_make(table, LEVELS - 1);
}

// A new address space: text and data from the user image, one stack page, one shared page.
void vm_create(struct process *process) {
    process->page_table = new_space();

    for (uint64_t offset = 0; offset < user_image_size; offset += PAGE_SIZE) {
        void *page = page_allocate();
        memcpy(page, to_virtual(USER_IMAGE + offset), PAGE_SIZE);
        bool text = offset < user_text_size;
        map(process->page_table, USER_TEXT + offset, page, text ? PTE_R | PTE_X | PTE_U : USER_RW);
    }
    map(process->page_table, USER_STACK_TOP - PAGE_SIZE, page_allocate(), USER_RW);
    map(process->page_table, USER_SHARED, page_allocate(), USER_RW | PTE_SHARED);
    fence_i(); // the text was written as data
}

// Calls `visit` on every 4 KiB leaf of the lower half, then on each table, from below.
static void visit_user(pte *table, int level, uint64_t address, void *context,
                       void (*visit)(void *context, pte *entry, uint64_t address)) {
    int count = level == LEVELS - 1 ? ENTRIES / 2 : ENTRIES;
    for (int i = 0; i < count; i++) {
        pte entry = pte_get(&table[i]);
        if (!(entry & PTE_V))
            continue;
        uint64_t below = address + ((uint64_t)i << (PAGE_SHIFT + 9 * level));
        if (!is_leaf(entry))
            visit_user(pte_page(entry), level - 1, below, context, visit);
        visit(context, &table[i], below);
    }
}

static void share_with_child(void *child_table, pte *entry, uint64_t address) {
    pte value = pte_get(entry);
    if (!is_leaf(value))
        return;
    if ((value & PTE_W) && !(value & PTE_SHARED)) {
        value = (value & ~(pte)PTE_W) | PTE_COW;
        pte_set(entry, value);
    }
    page_share(pte_page(value));
    pte_set(walk(child_table, address, 0, true), value);
}

// The child gets the same pages; whoever writes to a private one first gets a copy (vm_fault).
void vm_fork(struct process *child, struct process *parent) {
    child->page_table = new_space();
    visit_user(parent->page_table, LEVELS - 1, 0, child->page_table, share_with_child);
    fence_space(parent->pid <= asid_max ? parent->pid : 0); // its pages lost W
}

static void release(void *context, pte *entry, uint64_t address) {
    (void)context;
    (void)address;
    pte value = pte_get(entry);
    if (!is_leaf(value)) {
        pte_set(entry, 0);
        table_unmake(pte_page(value));
    }
    page_release(pte_page(value));
}

// Gives everything back, tables included. The caller runs on another page table by now.
void vm_destroy(struct process *process) {
    visit_user(process->page_table, LEVELS - 1, 0, NULL, release);
    table_unmake(process->page_table);
    page_release(process->page_table);
    process->page_table = NULL;
}

// A page fault of a process: true if the access may be tried again, false if it is an error.
bool vm_fault(struct process *process, uint64_t address, bool store) {
    address &= ~(uint64_t)(PAGE_SIZE - 1);
    bool heap = address >= USER_HEAP && address < process->heap_end;
    bool stack = address >= USER_STACK_LIMIT && address < USER_STACK_TOP;
    pte *entry = walk(process->page_table, address, 0, heap || stack);
    if (address >= USER_STACK_TOP || entry == NULL)
        return false;

    pte value = pte_get(entry);
    if (!(value & PTE_V)) {
        // Promised, but not there yet: it is made on its first use.
        if (!heap && !stack)
            return false;
        if (heap)
            printf("[S] process %lu touches 0x%lx: it is given a page on demand\n", process->pid,
                   address);
        pte_set(entry, make_pte(page_allocate(), USER_RW));
    } else if (store && (value & PTE_COW)) {
        void *page = pte_page(value);
        if (page_references(page) > 1) {
            void *copy = memcpy(page_allocate(), page, PAGE_SIZE);
            page_release(page);
            page = copy;
        }
        pte_set(entry, make_pte(page, USER_RW));
    } else {
        return false;
    }
    fence_page(address);
    return true;
}

// Where the kernel finds a byte of a process, which a system call's argument points to; NULL if
// the process could not have loaded or stored it itself.
void *vm_user_byte(struct process *process, uint64_t address, bool store) {
    uint64_t wanted = PTE_V | PTE_U | (store ? PTE_W : PTE_R);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (address >= USER_STACK_TOP)
            return NULL;
        const pte *entry = walk(process->page_table, address, 0, false);
        if (entry != NULL && (pte_get(entry) & wanted) == wanted)
            return (char *)pte_page(pte_get(entry)) + address % PAGE_SIZE;
        if (!vm_fault(process, address, store))
            return NULL;
    }
    return NULL;
}
