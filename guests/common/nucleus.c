#include "nucleus.h"
#include "console.h"
#include "guest.h"

#define LEVELS  3
#define ENTRIES 512
#define LARGE   (PAGE_SIZE * ENTRIES) // of a leaf one level up

extern const char user_start[], user_end[]; // nucleus.ld

static pte (*const tables)[ENTRIES] = (pte(*)[ENTRIES])TABLES;
#define MOST_TABLES 32
static uint64_t tables_made, pages_given;
static pte *kernel_root;

static void must(bool is_so, const char *what) {
    if (is_so)
        return;
    printf("%s\n", what);
    finish(3);
}

static pte entry_for(const void *page, uint64_t flags) {
    return (uint64_t)page >> PAGE_SHIFT << PTE_PPN_SHIFT | flags | PTE_V;
}

static void *page_of(pte entry) { return (void *)(entry >> PTE_PPN_SHIFT << PAGE_SHIFT); }

pte user_leaf(const void *page, uint64_t flags) { return entry_for(page, flags | PTE_U); }

// A cleared one. The VMM of a paravirtual machine must know.
static pte *table_make(uint64_t level) {
    must(tables_made < MOST_TABLES, "there are no more page tables");
    pte *table = tables[tables_made++];
    if (paravirtual)
        pv_update(HC_PIN_TABLE, (uint64_t)table, level);
    return table;
}

// The entry of a level for an address. The tables above it are made.
static pte *walk(pte *table, uint64_t address, int level) {
    for (int i = LEVELS - 1; i > level; i--) {
        pte *entry = &table[(address >> (PAGE_SHIFT + 9 * i)) % ENTRIES];
        if (!(pte_get(entry) & PTE_V))
            pte_set(entry, entry_for(table_make(i - 1), 0));
        table = page_of(pte_get(entry));
    }
    return &table[(address >> (PAGE_SHIFT + 9 * level)) % ENTRIES];
}

static void map_kernel(uint64_t address, uint64_t flags) {
    pte_set(walk(kernel_root, address, 1), entry_for((void *)address, flags | PTE_A | PTE_D));
}

static void activate(const pte *root) {
    if (paravirtual) { // processes have tables without the kernel
        pv_set_roots((uint64_t)kernel_root, (uint64_t)root);
        return;
    }
    csr_write(satp, SATP_MODE_SV39 | (uint64_t)root >> PAGE_SHIFT);
    sfence_vma();
}

// A paravirtual kernel may not have tables mapped for stores.
void nucleus_start(void) {
    for (uint64_t i = 0; i < MOST_TABLES * ENTRIES; i++)
        tables[0][i] = 0;
    kernel_root = table_make(LEVELS - 1);
    map_kernel(KERNEL, PTE_R | PTE_W | PTE_X);
    map_kernel(TABLES, paravirtual ? PTE_R : PTE_R | PTE_W);
    map_kernel(PAGES, PTE_R | PTE_W);
    activate(kernel_root);
}

void *page_allocate(void) {
    must(pages_given < LARGE / PAGE_SIZE, "there are no more pages");
    return (void *)(PAGES + PAGE_SIZE * pages_given++);
}

pte *process_entry(struct process *process, uint64_t address) {
    return walk(process->root, address, 0);
}

static void make_space(struct process *process) {
    const uint64_t kernel_entry = KERNEL >> (PAGE_SHIFT + 9 * (LEVELS - 1)) & (ENTRIES - 1);
    process->root = table_make(LEVELS - 1);
    if (!paravirtual)
        process->root[kernel_entry] = kernel_root[kernel_entry];
    for (const char *page = user_start; page < user_end; page += PAGE_SIZE) {
        const char *image = (const char *)USER_IMAGE + (page - user_start);
        pte_set(process_entry(process, (uint64_t)page), user_leaf(image, PTE_R | PTE_X | PTE_A));
    }
    pte_set(process_entry(process, USER_STACK_TOP - PAGE_SIZE),
            user_leaf(page_allocate(), PTE_R | PTE_W | PTE_A | PTE_D));
}

void process_make(struct process *process, void (*program)(uint64_t), uint64_t argument) {
    if (process->root == NULL)
        make_space(process);
    process->frame = (struct trap_frame){.epc = (uint64_t)program, .status = hart_process_status()};
    process->frame.x[REG_SP] = USER_STACK_TOP;
    process->frame.x[REG_A0] = argument;
}

void process_activate(const struct process *process) { activate(process->root); }

void kernel_trap(void) {
    struct trap_frame trap = hart_trap();
    printf("trap in the kernel: scause %lx, sepc %lx, stval %lx\n", trap.cause, trap.epc, trap.tval);
    finish(2);
}
