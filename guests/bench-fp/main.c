// Floating point, double and single.
//
// Where an operation is to be fused it says so (fused below), because compilers differ in what they
// fuse by themselves, and then in the last bits of the result.
#include "bench.h"
#include "guest.h"

static inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
static inline float fused_single(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

static inline double square_root(double x) {
    __asm__("fsqrt.d %0, %0" : "+f"(x));
    return x;
}

static uint64_t mix_double(uint64_t checksum, double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bench_mix(checksum, bits);
}

static uint64_t mix_float(uint64_t checksum, float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bench_mix(checksum, bits);
}

// Five bodies under gravity, for a few hundred steps.
struct body {
    double position[3], velocity[3], mass;
};

#define BODIES 5

static uint64_t nbody(void) {
    static struct body bodies[BODIES];
    for (int i = 0; i < BODIES; i++) {
        bodies[i].mass = i == 0 ? 40.0 : 0.03 / (i + 1);
        for (int k = 0; k < 3; k++) {
            bodies[i].position[k] = i == 0 ? 0.0 : (i * 3 + k * 2) * (k == 2 ? 0.125 : 0.75);
            bodies[i].velocity[k] = i == 0 ? 0.0 : (k - 1) * 1.5 / i;
        }
    }
    for (int step = 0; step < 200; step++) {
        for (int i = 0; i < BODIES; i++) {
            struct body *a = &bodies[i];
            for (int j = i + 1; j < BODIES; j++) {
                struct body *b = &bodies[j];
                double d[3], squared = 0.0;
                for (int k = 0; k < 3; k++) {
                    d[k] = a->position[k] - b->position[k];
                    squared = fused(d[k], d[k], squared);
                }
                double pull = 0.001 / (squared * square_root(squared));
                for (int k = 0; k < 3; k++) {
                    a->velocity[k] = fused(-d[k], b->mass * pull, a->velocity[k]);
                    b->velocity[k] = fused(d[k], a->mass * pull, b->velocity[k]);
                }
            }
        }
        for (int i = 0; i < BODIES; i++)
            for (int k = 0; k < 3; k++)
                bodies[i].position[k] = fused(0.001, bodies[i].velocity[k], bodies[i].position[k]);
    }
    uint64_t checksum = 0;
    for (int i = 0; i < BODIES; i++)
        checksum = mix_double(checksum, bodies[i].position[0] + bodies[i].velocity[1]);
    return checksum;
}

#define N 32

static uint64_t matrix(void) {
    static double a[N][N], b[N][N];
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = 1.0 / (i + j + 1);
            b[i][j] = (i - j) * 0.1;
        }
    }
    uint64_t checksum = 0;
    for (int i = 0; i < N; i++) {
        double row = 0.0;
        for (int j = 0; j < N; j++) {
            double sum = 0.0;
            for (int k = 0; k < N; k++)
                sum = fused(a[i][k], b[k][j], sum);
            row += sum;
        }
        checksum = mix_double(checksum, row);
    }
    return checksum;
}

// How soon do points of the plane escape?
static uint64_t mandelbrot(void) {
    uint64_t checksum = 0;
    for (int row = 0; row < 24; row++) {
        uint64_t total = 0;
        for (int column = 0; column < 32; column++) {
            double cr = column * (3.0 / 32) - 2.25, ci = row * (2.5 / 24) - 1.25;
            double zr = 0.0, zi = 0.0;
            int steps = 0;
            while (steps < 60 && zr * zr + zi * zi <= 4.0) {
                double next = fused(zr, zr, -(zi * zi)) + cr;
                zi = fused(2.0 * zr, zi, ci);
                zr = next;
                steps++;
            }
            total += (uint64_t)steps;
        }
        checksum = bench_mix(checksum, total);
    }
    return checksum;
}

// Single precision: a filter over a signal, then a rotation by small steps.
static uint64_t single(void) {
    static float signal[512];
    for (int i = 0; i < 512; i++)
        signal[i] = (float)((i * 37) % 101) / 101.0f - 0.5f;
    uint64_t checksum = 0;
    for (int i = 16; i < 512; i += 2) {
        float sum = 0.0f;
        for (int tap = 0; tap < 16; tap++)
            sum = fused_single(signal[i - tap], 1.0f / (float)(tap + 1), sum);
        checksum = mix_float(checksum, sum);
    }
    float x = 1.0f, y = 0.0f;
    for (int i = 0; i < 1000; i++) {
        x = fused_single(-0.01f, y, x);
        y = fused_single(0.01f, x, y);
    }
    return mix_float(mix_float(checksum, x), y);
}

// Conversions, comparisons, signs, minima and maxima.
static uint64_t mixed(void) {
    double least = 1e300, most = -1e300;
    uint64_t checksum = 0;
    for (int i = -500; i < 500; i++) {
        double x = (double)(i * 7919 % 1000) / 3.0;
        float y = (float)x;
        __asm__("fmin.d %0, %0, %1" : "+f"(least) : "f"(x));
        __asm__("fmax.d %0, %0, %1" : "+f"(most) : "f"(x));
        if (x != (double)y)
            checksum += (uint64_t)(int64_t)(x * 16.0);
        if (__builtin_fabs(x) < 100.0)
            checksum ^= (uint64_t)(int)y;
    }
    return mix_double(mix_double(checksum, least), most);
}

const struct bench_part bench_parts[] = {
    {"nbody", nbody},   {"matrix", matrix}, {"mandelbrot", mandelbrot},
    {"single", single}, {"mixed", mixed},   {0, 0},
};

BENCH_ITERATIONS(300);

int main(uint64_t hart, const void *device_tree) {
    (void)hart;
    (void)device_tree;
    return bench_run();
}
