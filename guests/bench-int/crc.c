// CRC-16 bit by bit, CRC-32 by a table.
#include "bench.h"

static uint8_t data[2048];
static uint32_t table[256];

static uint16_t crc16(const uint8_t *bytes, int count) {
    uint16_t crc = 0xffff;
    for (int i = 0; i < count; i++) {
        crc ^= (uint16_t)(bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
        table[i] = crc;
    }
}

static uint32_t crc32(const uint8_t *bytes, int count) {
    uint32_t crc = ~0u;
    for (int i = 0; i < count; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}

uint64_t crc_run(void) {
    uint64_t seed = 4;
    for (int i = 0; i < (int)sizeof data; i++)
        data[i] = (uint8_t)bench_random(&seed);
    make_table();
    uint64_t checksum = crc16(data, 512);
    for (int offset = 0; offset < 4; offset++)
        checksum = bench_mix(checksum, crc32(data + offset, (int)sizeof data - offset));
    return checksum;
}
