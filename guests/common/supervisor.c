// The end of an S-mode guest, and what it must say about its addresses when they are physical ones.
#include "supervisor.h"
#include "guest.h"
#include "sbi.h"

uint64_t physical_address(const void *object) { return (uint64_t)object; }

void finish(int code) {
    sbi_shutdown(code == 0 ? SBI_RESET_REASON_NONE : SBI_RESET_REASON_FAILURE);
}
