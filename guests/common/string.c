// The three functions that a C compiler may call even in freestanding code.
#include <stddef.h>
#include <stdint.h>

void *memset(void *destination, int byte, size_t size);
void *memcpy(void *restrict destination, const void *restrict source, size_t size);
void *memmove(void *destination, const void *source, size_t size);

// A word that may alias anything.
typedef uint64_t __attribute__((may_alias)) word;

static int aligned(const void *p) { return ((uintptr_t)p & 7) == 0; }

void *memset(void *destination, int byte, size_t size) {
    uint8_t *d = destination;
    for (; size > 0 && !aligned(d); size--)
        *d++ = (uint8_t)byte;
    word pattern = (uint8_t)byte * 0x0101010101010101ul;
    for (; size >= 8; size -= 8, d += 8)
        *(word *)d = pattern;
    for (; size > 0; size--)
        *d++ = (uint8_t)byte;
    return destination;
}

void *memcpy(void *restrict destination, const void *restrict source, size_t size) {
    uint8_t *d = destination;
    const uint8_t *s = source;
    if ((((uintptr_t)d ^ (uintptr_t)s) & 7) == 0) {
        for (; size > 0 && !aligned(d); size--)
            *d++ = *s++;
        for (; size >= 32; size -= 32, d += 32, s += 32) {
            word a = ((const word *)s)[0], b = ((const word *)s)[1];
            word c = ((const word *)s)[2], e = ((const word *)s)[3];
            ((word *)d)[0] = a, ((word *)d)[1] = b;
            ((word *)d)[2] = c, ((word *)d)[3] = e;
        }
        for (; size >= 8; size -= 8, d += 8, s += 8)
            *(word *)d = *(const word *)s;
    }
    for (; size > 0; size--)
        *d++ = *s++;
    return destination;
}

void *memmove(void *destination, const void *source, size_t size) {
    uint8_t *d = destination;
    const uint8_t *s = source;
    if (d <= s || d >= s + size)
        return memcpy(destination, source, size);
    while (size-- > 0)
        d[size] = s[size];
    return destination;
}
