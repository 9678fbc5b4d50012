// The first process, and the programs it runs one after the other, each in a child of its own.
//
// What they print depends on nothing but their own order: where two processes run at once, a flag
// in the page they share says whose turn it is.
#include "layout.h"
#include "user.h"
#include <stdbool.h>

static volatile struct {
    int turn;
    uint32_t ready[2];
} *const shared = (void *)USER_SHARED;

static uint64_t answer = 42;

// fork gives each process its own copy of .data, made when either writes.
static void own_memory(void) {
    if (fork() == 0) {
        answer++;
        say("my answer is %lu, and I exit with it", answer);
        exit((int64_t)answer);
    }
    int64_t code;
    int64_t pid = wait(&code);
    say("process %ld exited with %ld, my answer is still %lu", pid, code, answer);
}

static void demand_paging(void) {
    volatile char *heap = sbrk(64 * 4096);
    heap[0] = 1;
    heap[5 * 4096 + 7] = 2;
    say("of 64 heap pages I used two, which hold %d and %d", heap[0], heap[5 * 4096 + 7]);
}

static int deep(int depth) {
    volatile char room[2048];
    room[0] = (char)depth;
    return depth == 0 ? 0 : deep(depth - 1) + room[0];
}

static void stack_growth(void) { say("my stack grew by 32 KiB: %d", deep(16)); }

static void bad_load(void) { *(volatile uint64_t *)0xdead0000; }
static void bad_store_kernel(void) { *(volatile uint64_t *)(RAM_VIRTUAL + 0x200000) = 1; }
static void bad_store_text(void) { *(volatile uint64_t *)USER_TEXT = 1; }
static void bad_jump(void) { ((void (*)(void))USER_SHARED)(); }
static void privileged(void) { __asm__ volatile("csrr zero, sstatus"); }

static void bad_argument(void) {
    say("write of the kernel's memory gives %ld, as it should",
        write((const void *)(RAM_VIRTUAL + 0x200000), 8));
}

// Neither of the two lets the other run: the timer does.
static void preemption(void) {
    bool child = fork() == 0;
    for (int mine = child; mine < 6; mine += 2) {
        while (shared->turn != mine)
            ;
        say("turn %d", mine);
        shared->turn = mine + 1;
    }
    if (child)
        exit(0);
    wait(0);
}

// Loads a floating-point register and fcsr, waits for the other to have done the same, and reads
// them back.
static uint64_t keep_fp(uint64_t value, uint64_t mode, volatile uint32_t *mine,
                        volatile uint32_t *other) {
    uint64_t kept, fcsr;
    __asm__ volatile(".option push\n"
                     ".option arch, +f, +d\n"
                     "   fmv.d.x fs0, %[value]\n"
                     "   csrw fcsr, %[mode]\n"
                     "   sw %[one], 0(%[mine])\n"
                     "1: lw %[kept], 0(%[other])\n"
                     "   beqz %[kept], 1b\n"
                     "   fmv.x.d %[kept], fs0\n"
                     "   csrr %[fcsr], fcsr\n"
                     ".option pop\n"
                     : [kept] "=&r"(kept), [fcsr] "=r"(fcsr)
                     : [value] "r"(value), [mode] "r"(mode), [one] "r"(1), [mine] "r"(mine),
                       [other] "r"(other)
                     : "memory");
    return kept + fcsr;
}

static void floating_point(void) {
    bool child = fork() == 0;
    uint64_t value = child ? 0x4004000000000000 : 0x3ff4000000000000; // 2.5 and 1.25
    uint64_t mode = child ? 0x20 : 0x61;                              // rounding mode and flags
    uint64_t kept = keep_fp(value, mode, &shared->ready[child], &shared->ready[!child]);
    if (!child)
        wait(0);
    say("fs0 and fcsr %s", kept == value + mode ? "kept their values" : "WERE LOST");
    if (child)
        exit(0);
}

static void sleeping(void) {
    uint64_t before = uptime();
    sleep(3);
    say("slept for 3 ticks%s", uptime() - before >= 3 ? ", as asked" : " OR LESS");
}

static void run(const char *what, void (*program)(void)) {
    say("%s", what);
    if (fork() == 0) {
        program();
        exit(0);
    }
    wait(0);
}

int64_t user_main(void) {
    say("init is in U-mode");
    run("fork and copy on write", own_memory);
    run("a heap of promised pages", demand_paging);
    run("a deep stack", stack_growth);
    run("a load from nowhere", bad_load);
    run("a store to the kernel", bad_store_kernel);
    run("a store to program text", bad_store_text);
    run("a jump into data", bad_jump);
    run("a privileged instruction", privileged);
    run("a bad pointer in a system call", bad_argument);
    run("two processes that never yield", preemption);
    run("two users of floating point", floating_point);
    run("a nap", sleeping);
    say("init has nothing left to do");
    return 0;
}
