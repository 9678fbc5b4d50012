#include "format.h"
#include "user.h"

struct text {
    char bytes[120];
    uint64_t length;
};

static void put(void *context, char c) {
    struct text *text = context;
    if (text->length < sizeof text->bytes)
        text->bytes[text->length++] = c;
}

static void put_format(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    format_va(put, text, format, arguments);
    va_end(arguments);
}

void say(const char *format, ...) {
    struct text text;
    text.length = 0;
    put_format(&text, "[U] process %ld: ", getpid());
    va_list arguments;
    va_start(arguments, format);
    format_va(put, &text, format, arguments);
    va_end(arguments);
    put(&text, '\n');
    write(text.bytes, text.length);
}
