// The console of S-mode guests: whole lines through the debug console extension, characters
// through the legacy call where the firmware is older than that, or a paravirtual machine's ring.
#include "console.h"
#include "paravirt.h"
#include "sbi.h"
#include "supervisor.h"

static char line[128];
static uint64_t length;

static void flush(void) {
    uint64_t done = 0;
    if (paravirtual) {
        pv_print(line, length);
        done = length;
    } else if (sbi_has(SBI_EXT_DBCN)) {
        uint64_t start = physical_address(line);
        while (done < length) {
            struct sbi_result written =
                sbi_call(SBI_EXT_DBCN, SBI_DBCN_CONSOLE_WRITE, length - done, start + done, 0);
            if (written.error != SBI_SUCCESS)
                break;
            done += (uint64_t)written.value; // it may take a part only
        }
    }
    for (; done < length; done++)
        sbi_call(SBI_EXT_LEGACY_PUTCHAR, 0, (uint8_t)line[done], 0, 0);
    length = 0;
}

void console_putc(char c) {
    line[length++] = c;
    if (c == '\n' || length == sizeof line)
        flush();
}
