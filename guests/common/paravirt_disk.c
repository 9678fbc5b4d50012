// The front end of the block ring: one request at a time, whose end is an event.
#include "paravirt.h"
#include "riscv.h"
#include "supervisor.h"

static struct hc_block ring __attribute__((aligned(PAGE_SIZE)));

uint64_t pv_disk_start(void) {
    struct sbi_result disk = hypercall(HC_BLOCK, physical_address(&ring), 0);
    pv_shared.wanted |= HC_RING_BLOCK;
    return disk.error == SBI_SUCCESS ? (uint64_t)disk.value : 0;
}

unsigned pv_disk(uint32_t operation, uint64_t sector, const void *data, uint64_t length) {
    struct hc_block_request *request = &ring.requests[ring.produced % HC_BLOCK_SLOTS];
    *request = (struct hc_block_request){
        .operation = operation, .sector = sector, .address = (uint64_t)data, .length = length};
    ring.produced++;
    hypercall(HC_NOTIFY, HC_RING_BLOCK, 0);
    while (ring.consumed != ring.produced)
        hypercall(HC_WAIT, 0, 0);
    hc_clear_events(&pv_shared, HC_RING_BLOCK);
    return request->status;
}
