// Faults of a process, of which every hart tells the same: the kernel looks at each, says what it was,
// and goes on where the process wants; or mends what was wrong, and has the instruction tried again.
#include "console.h"
#include "faults.h"
#include "guest.h"
#include "nucleus.h"

enum { EXPECTED_EPC = 11, EXPECTED_VALUE = 12, GO_ON = 13, NAME = 14 }; // registers: see user.S

void program(uint64_t argument);

static struct process process;

static const char *cause_name(uint64_t cause) {
    static const char *const names[16] = {
        [CAUSE_ILLEGAL_INSTRUCTION] = "illegal instruction",
        [CAUSE_BREAKPOINT] = "breakpoint",
        [CAUSE_ECALL_U] = "system call",
        [CAUSE_FETCH_PAGE_FAULT] = "instruction page fault",
        [CAUSE_LOAD_PAGE_FAULT] = "load page fault",
        [CAUSE_STORE_PAGE_FAULT] = "store page fault",
    };
    return cause < 16 && names[cause] != NULL ? names[cause] : "something else";
}

static void map(uint64_t address, void *page, uint64_t flags) {
    pte_set(process_entry(&process, address), user_leaf(page, flags));
}

// What is there on demand comes read-only at first.
static bool mend(const struct trap_frame *frame) {
    static uint64_t *page;
    uint64_t address = frame->tval & ~(uint64_t)(PAGE_SIZE - 1);
    if (address != ON_DEMAND)
        return false;
    if (page == NULL) {
        page = page_allocate();
        for (int i = 0; i < PAGE_SIZE / 8; i++)
            page[i] = ON_DEMAND_WORD;
        map(ON_DEMAND, page, PTE_R | PTE_A);
    } else {
        map(ON_DEMAND, page, PTE_R | PTE_W | PTE_A | PTE_D);
    }
    fence_page(address);
    return true;
}

struct trap_frame *user_trap(struct trap_frame *frame) {
    const uint64_t *x = frame->x;
    bool call = frame->cause == CAUSE_ECALL_U;
    if (call && x[REG_A7] == CALL_EXIT) {
        printf("the process ends with status %lu\n", x[REG_A0]);
        finish((int)x[REG_A0]);
    }
    bool right = frame->epc == x[EXPECTED_EPC] &&
                 (frame->tval == x[EXPECTED_VALUE] || x[EXPECTED_VALUE] == -1ul);
    const char *name = (const char *)(x[NAME] - USER_TEXT + USER_IMAGE);
    bool mended = mend(frame);
    printf("%s: %s, %s; %s\n", name, cause_name(frame->cause),
           right ? "as expected" : "AT ANOTHER PLACE, OR WITH ANOTHER VALUE",
           mended ? "mended" : "skipped");
    if (!right)
        printf("  sepc %lx, stval %lx\n", frame->epc, frame->tval);
    if (!mended)
        frame->epc = x[GO_ON];
    return frame;
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    nucleus_start();
    process_make(&process, program, 0);
    map(READABLE, page_allocate(), PTE_R | PTE_A);
    map(EXECUTABLE, page_allocate(), PTE_X | PTE_A);
    process_activate(&process);
    hart_enter_user(&process.frame);
}
