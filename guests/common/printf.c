#include "console.h"
#include "format.h"

static void put(void *context, char c) {
    (void)context;
    console_putc(c);
}

void printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    format_va(put, NULL, format, arguments);
    va_end(arguments);
}
