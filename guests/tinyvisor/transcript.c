// The VMs' consoles, in one.
//
// Whole lines are printed, each with its VM's number, one of each VM in turn: the third line of
// VM 2 comes after the third of VM 1, even if VM 2 was long done with it. So what is printed does
// not depend on how fast the guests are, or on when the timer came. A VM that is ahead keeps its
// lines here, until there is no more room and it must wait; one that has ended is passed over.
#include "format.h"
#include "tinyvisor.h"

#define ROOM     4096
#define LINE_MAX 200 // a longer line is broken, lest it wait for its own end

static struct transcript {
    char text[ROOM];
    uint64_t end, complete, printed; // bytes so far: received, in whole lines, printed
    uint64_t line_length;
    char last_words[LINE_MAX];
    bool over;
} transcripts[VMS_MAX];

static uint64_t turn; // whose line is next

static struct transcript *of(const struct vm *vm) { return &transcripts[vm->number - 1]; }

bool transcript_put(struct vm *vm, char c) {
    struct transcript *t = of(vm);
    if (t->end - t->printed > ROOM - 2) // always room to complete a line
        return false;
    t->text[t->end++ % ROOM] = c;
    t->line_length++;
    if (c != '\n' && t->line_length == LINE_MAX)
        t->text[t->end++ % ROOM] = c = '\n';
    if (c == '\n') {
        t->complete = t->end;
        t->line_length = 0;
        transcript_flush();
    }
    return true;
}

struct buffer {
    char *next, *end;
};

static void put_buffer(void *context, char c) {
    struct buffer *buffer = context;
    if (buffer->next < buffer->end - 1)
        *buffer->next++ = c;
    *buffer->next = '\0';
}

// What the hypervisor has to say about a VM that has ended: its last line.
void transcript_last_words(struct vm *vm, const char *format, va_list arguments) {
    struct transcript *t = of(vm);
    if (t->line_length > 0)
        t->text[t->end++ % ROOM] = '\n';
    t->complete = t->end;
    struct buffer buffer = {t->last_words, t->last_words + sizeof t->last_words};
    format_va(put_buffer, &buffer, format, arguments);
    t->over = true;
    transcript_flush();
}

// Prints one line of a VM. False when it has none yet.
static bool print_line(uint64_t number, struct transcript *t) {
    if (t->printed < t->complete) {
        printf("[vm %lu] ", number);
        char c;
        do {
            c = t->text[t->printed++ % ROOM];
            console_putc(c);
        } while (c != '\n');
    } else if (t->last_words[0] != '\0') {
        printf("[hv] vm %lu %s\n", number, t->last_words);
        t->last_words[0] = '\0';
    } else {
        return t->over;
    }
    return true;
}

void transcript_flush(void) {
    uint64_t count = 0, silent = 0;
    while (vm_configs[count].memory != 0)
        count++;
    while (silent < count && print_line(turn + 1, &transcripts[turn])) {
        const struct transcript *t = &transcripts[turn];
        silent = t->over && t->printed == t->complete && !t->last_words[0] ? silent + 1 : 0;
        turn = (turn + 1) % count;
    }
}
