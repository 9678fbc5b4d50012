// Formatting, for printf and for programs that keep their text in a buffer.
//
// A header with a static function, because tinyos links it twice: the kernel's copy and the user
// programs' live in different address spaces.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*format_sink)(void *context, char c);

// Passes `text`, padded to `width` characters, to the sink.
static void format_padded(format_sink put, void *context, const char *text, int length, int width,
                          char pad, bool left) {
    for (int i = length; !left && i < width; i++)
        put(context, pad);
    for (int i = 0; i < length; i++)
        put(context, text[i]);
    for (int i = length; left && i < width; i++)
        put(context, ' ');
}

// Writes the digits of `value` backwards from the end of a buffer; returns the first.
static char *format_digits(char *end, uint64_t value, unsigned base) {
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    return end;
}

static void format_va(format_sink put, void *context, const char *format, va_list arguments) {
    for (; *format; format++) {
        if (*format != '%') {
            put(context, *format);
            continue;
        }
        format++;

        bool left = false;
        char pad = ' ';
        for (; *format == '-' || *format == '0'; format++) {
            if (*format == '-')
                left = true;
            else
                pad = '0';
        }
        int width = 0;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (*format - '0');
        bool is_long = *format == 'l';
        if (is_long)
            format++;

        char buffer[24];
        char *end = buffer + sizeof buffer;
        char *text = end;
        switch (*format) {
        case 'd': {
            int64_t value = is_long ? va_arg(arguments, int64_t) : va_arg(arguments, int);
            uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
            text = format_digits(end, magnitude, 10);
            if (value < 0)
                *--text = '-';
            break;
        }
        case 'u':
        case 'x': {
            uint64_t value = is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
            text = format_digits(end, value, *format == 'u' ? 10 : 16);
            break;
        }
        case 'p':
            text = format_digits(end, (uint64_t)va_arg(arguments, void *), 16);
            *--text = 'x';
            *--text = '0';
            break;
        case 'c':
            *--text = (char)va_arg(arguments, int);
            break;
        case 's': {
            text = va_arg(arguments, char *);
            for (end = text; *end; end++)
                ;
            break;
        }
        case '\0':
            return; // a lone % at the end
        default:
            *--text = *format; // %% and whatever we do not know
        }
        format_padded(put, context, text, (int)(end - text), width, pad, left);
    }
}
