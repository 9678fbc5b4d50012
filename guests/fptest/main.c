// Floating point, instruction by instruction: every F and D operation on operands that are hard,
// in all five rounding modes, with the exception flags.
//
// For each operation a few results are printed, then a checksum of the results and flags of all
// operands in all modes. Registers are written and read as 64 bits, so NaN boxing is seen as well.
#include "bench.h"
#include "console.h"
#include "guest.h"

typedef uint64_t (*operation)(uint64_t a, uint64_t b, uint64_t c);

// Defines an operation from assembly: operands in ft0, ft1, ft2 (as bits in %[a], %[b], %[c] too),
// the result in %[r].
#define OPERATION(name, assembly)                                                       \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t c) {                          \
        uint64_t r;                                                                     \
        __asm__ volatile("fmv.d.x ft0, %[a]\n fmv.d.x ft1, %[b]\n fmv.d.x ft2, %[c]\n"  \
                         assembly                                                       \
                         : [r] "=&r"(r)                                                 \
                         : [a] "r"(a), [b] "r"(b), [c] "r"(c)                           \
                         : "ft0", "ft1", "ft2", "ft3");                                 \
        return r;                                                                       \
    }

// A result in ft3 is read with all its bits.
#define FLOATING(name, assembly) OPERATION(name, assembly "\n fmv.x.d %[r], ft3")

#define BOTH_FORMATS(M) M(s) M(d)

#define ARITHMETIC(f)                                   \
    FLOATING(fadd_##f, "fadd." #f " ft3, ft0, ft1")     \
    FLOATING(fsub_##f, "fsub." #f " ft3, ft0, ft1")     \
    FLOATING(fmul_##f, "fmul." #f " ft3, ft0, ft1")     \
    FLOATING(fdiv_##f, "fdiv." #f " ft3, ft0, ft1")     \
    FLOATING(fsqrt_##f, "fsqrt." #f " ft3, ft0")        \
    FLOATING(fmin_##f, "fmin." #f " ft3, ft0, ft1")     \
    FLOATING(fmax_##f, "fmax." #f " ft3, ft0, ft1")     \
    FLOATING(fmadd_##f, "fmadd." #f " ft3, ft0, ft1, ft2")   \
    FLOATING(fmsub_##f, "fmsub." #f " ft3, ft0, ft1, ft2")   \
    FLOATING(fnmadd_##f, "fnmadd." #f " ft3, ft0, ft1, ft2") \
    FLOATING(fnmsub_##f, "fnmsub." #f " ft3, ft0, ft1, ft2") \
    FLOATING(fsgnj_##f, "fsgnj." #f " ft3, ft0, ft1")   \
    FLOATING(fsgnjn_##f, "fsgnjn." #f " ft3, ft0, ft1") \
    FLOATING(fsgnjx_##f, "fsgnjx." #f " ft3, ft0, ft1") \
    OPERATION(feq_##f, "feq." #f " %[r], ft0, ft1")     \
    OPERATION(flt_##f, "flt." #f " %[r], ft0, ft1")     \
    OPERATION(fle_##f, "fle." #f " %[r], ft0, ft1")     \
    OPERATION(fclass_##f, "fclass." #f " %[r], ft0")    \
    OPERATION(fcvt_w_##f, "fcvt.w." #f " %[r], ft0")    \
    OPERATION(fcvt_wu_##f, "fcvt.wu." #f " %[r], ft0")  \
    OPERATION(fcvt_l_##f, "fcvt.l." #f " %[r], ft0")    \
    OPERATION(fcvt_lu_##f, "fcvt.lu." #f " %[r], ft0")  \
    FLOATING(fcvt_##f##_w, "fcvt." #f ".w ft3, %[a]")   \
    FLOATING(fcvt_##f##_wu, "fcvt." #f ".wu ft3, %[a]") \
    FLOATING(fcvt_##f##_l, "fcvt." #f ".l ft3, %[a]")   \
    FLOATING(fcvt_##f##_lu, "fcvt." #f ".lu ft3, %[a]")

BOTH_FORMATS(ARITHMETIC)
FLOATING(fcvt_s_d, "fcvt.s.d ft3, ft0")
FLOATING(fcvt_d_s, "fcvt.d.s ft3, ft0")
OPERATION(fmv_x_w, "fmv.x.w %[r], ft0")
FLOATING(fmv_w_x, "fmv.w.x ft3, %[a]")
FLOATING(fadd_s_rtz, "fadd.s ft3, ft0, ft1, rtz") // the mode in the instruction, not in frm
FLOATING(fadd_d_rup, "fadd.d ft3, ft0, ft1, rup")

// Zeros, ones, thirds, the ends of the normal and subnormal ranges, infinities, NaNs of each kind.
static const uint64_t doubles[] = {
    0x3ff8000000000000, // 1.5
    0x3fd5555555555555, // 1/3
    0xbff0000000000001, // just below -1
    0x0000000000000000, 0x8000000000000000,
    0x0000000000000001, // least subnormal
    0x800fffffffffffff, // greatest subnormal, negative
    0x0010000000000000, // least normal
    0x7fefffffffffffff, // greatest
    0x7ff0000000000000, 0xfff0000000000000,
    0x7ff8000000000000, // canonical NaN
    0xfff0000000000123, // signaling NaN
    0x41dfffffffe00000, // 2^31 - 0.5
    0xc3e0000000000000, // -2^63
    0x47efffffefffffff, // rounds to the greatest single
    0x3690000000000001, // rounds to the least subnormal single
};

#define BOXED 0xffffffff00000000

static const uint64_t singles[] = {
    BOXED | 0x3fc00000, // 1.5
    BOXED | 0x3eaaaaab, // 1/3
    BOXED | 0xbf800001, // just below -1
    BOXED | 0x00000000, BOXED | 0x80000000,
    BOXED | 0x00000001, // least subnormal
    BOXED | 0x807fffff, // greatest subnormal, negative
    BOXED | 0x00800000, // least normal
    BOXED | 0x7f7fffff, // greatest
    BOXED | 0x7f800000, BOXED | 0xff800000,
    BOXED | 0x7fc00000, // canonical NaN
    BOXED | 0xff800123, // signaling NaN
    BOXED | 0x4f000000, // 2^31
    BOXED | 0xdf000000, // -2^63
    0x000000003f800000, // not boxed: counts as a NaN
    0xfffffffe3f800000,
};

static const uint64_t integers[] = {
    0, 1, -1ul, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
    0x1000001, 0x20000000000001, 0xffffffffff000001, 0x123456789abcdef, 3, -3ul, 0xfffffffffffff400,
    0x8000008000000001, 0xfffffffffffffbff,
};

#define COUNT (sizeof doubles / sizeof doubles[0])
_Static_assert(sizeof singles == sizeof doubles && sizeof integers == sizeof doubles, "one count");

struct test {
    const char *name;
    operation run;
    const uint64_t *operands;
    int arity;
};

#define FORMAT_TESTS(f, operands)                                             \
    {"fadd." #f, fadd_##f, operands, 2}, {"fsub." #f, fsub_##f, operands, 2},       \
    {"fmul." #f, fmul_##f, operands, 2}, {"fdiv." #f, fdiv_##f, operands, 2},       \
    {"fsqrt." #f, fsqrt_##f, operands, 1}, {"fmin." #f, fmin_##f, operands, 2},     \
    {"fmax." #f, fmax_##f, operands, 2}, {"fmadd." #f, fmadd_##f, operands, 3},     \
    {"fmsub." #f, fmsub_##f, operands, 3}, {"fnmadd." #f, fnmadd_##f, operands, 3}, \
    {"fnmsub." #f, fnmsub_##f, operands, 3}, {"fsgnj." #f, fsgnj_##f, operands, 2}, \
    {"fsgnjn." #f, fsgnjn_##f, operands, 2}, {"fsgnjx." #f, fsgnjx_##f, operands, 2}, \
    {"feq." #f, feq_##f, operands, 2}, {"flt." #f, flt_##f, operands, 2},           \
    {"fle." #f, fle_##f, operands, 2}, {"fclass." #f, fclass_##f, operands, 1},     \
    {"fcvt.w." #f, fcvt_w_##f, operands, 1}, {"fcvt.wu." #f, fcvt_wu_##f, operands, 1}, \
    {"fcvt.l." #f, fcvt_l_##f, operands, 1}, {"fcvt.lu." #f, fcvt_lu_##f, operands, 1}, \
    {"fcvt." #f ".w", fcvt_##f##_w, integers, 1}, {"fcvt." #f ".wu", fcvt_##f##_wu, integers, 1}, \
    {"fcvt." #f ".l", fcvt_##f##_l, integers, 1}, {"fcvt." #f ".lu", fcvt_##f##_lu, integers, 1}

static const struct test tests[] = {
    FORMAT_TESTS(s, singles),
    FORMAT_TESTS(d, doubles),
    {"fcvt.s.d", fcvt_s_d, doubles, 1},
    {"fcvt.d.s", fcvt_d_s, singles, 1},
    {"fmv.x.w", fmv_x_w, singles, 1},
    {"fmv.w.x", fmv_w_x, integers, 1},
    {"fadd.s rtz", fadd_s_rtz, singles, 2},
    {"fadd.d rup", fadd_d_rup, doubles, 2},
};

enum { RNE, RTZ, RDN, RUP, RMM, MODES };

struct outcome {
    uint64_t result, flags;
};

static struct outcome run(const struct test *test, uint64_t mode, uint64_t a, uint64_t b, uint64_t c) {
    struct outcome outcome;
    __asm__ volatile("fsrm %0\n fsflags zero" ::"r"(mode));
    outcome.result = test->run(a, b, c);
    __asm__ volatile("frflags %0" : "=r"(outcome.flags));
    return outcome;
}

// All operands in all modes. The third operand does not go through all, but is never the same as
// the first two.
static uint64_t run_all(const struct test *test) {
    uint64_t checksum = 0;
    const uint64_t *v = test->operands;
    for (uint64_t mode = RNE; mode < MODES; mode++) {
        for (unsigned i = 0; i < COUNT; i++) {
            for (unsigned j = 0; j < (test->arity > 1 ? COUNT : 1); j++) {
                for (unsigned k = 0; k < (test->arity > 2 ? 2u : 1u); k++) {
                    uint64_t c = v[(i + 3 * j + 5 * k) % COUNT];
                    struct outcome outcome = run(test, mode, v[i], v[j], c);
                    checksum = bench_mix(checksum, outcome.result);
                    checksum = bench_mix(checksum, outcome.flags);
                }
            }
        }
    }
    return checksum;
}

// The flags by their letters: invalid, divided by zero, overflow, underflow, inexact.
static const char *flag_names(uint64_t flags) {
    static char text[6];
    for (int i = 0; i < 5; i++)
        text[i] = flags >> (4 - i) & 1 ? "VZOUX"[i] : '-';
    return text;
}

static void show(const struct test *test, uint64_t mode, unsigned i, unsigned j) {
    static const char *const modes[] = {"rne", "rtz", "rdn", "rup", "rmm"};
    const uint64_t *v = test->operands;
    struct outcome outcome = run(test, mode, v[i], v[j], v[2]);
    printf("  %s %016lx ", modes[mode], v[i]);
    if (test->arity > 1)
        printf("%016lx ", v[j]);
    if (test->arity > 2)
        printf("%016lx ", v[2]);
    printf("-> %016lx %s\n", outcome.result, flag_names(outcome.flags));
}

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    for (unsigned t = 0; t < sizeof tests / sizeof tests[0]; t++) {
        const struct test *test = &tests[t];
        printf("%s\n", test->name);
        show(test, RNE, 0, 1);
        show(test, RUP, 1, 2);
        show(test, RTZ, 8, 5);
        show(test, RDN, 12, 0);
        show(test, RMM, 15, 3);
        printf("  all: %016lx\n", run_all(test));
    }
    return 0;
}
