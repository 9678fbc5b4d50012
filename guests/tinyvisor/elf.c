// Loads a 64-bit ELF file (System V ABI, chapters 4 and 5) into a VM.
#include "tinyvisor.h"

#define ELF_MAGIC      0x464c457f // 0x7f "ELF"
#define ELF_CLASS_64   2
#define ELF_RISCV      243
#define ELF_LOAD       1 // a segment's type
#define ELF_SYMBOLS    2 // a section's type

struct elf_header {
    uint32_t magic;
    uint8_t class, rest[11];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, segments, sections;
    uint32_t flags;
    uint16_t header_size, segment_size, segment_count, section_size, section_count, names;
};

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct elf_section {
    uint32_t name, type;
    uint64_t flags, address, offset, size;
    uint32_t link, info;
    uint64_t align, entry_size;
};

struct elf_symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
};

// Copies each segment to its physical address, which is guest-physical here. What a segment has in
// memory beyond its part of the file is zero, as all of the VM's memory is before.
bool elf_load(struct vm *vm, const char *file, uint64_t size, uint64_t *entry) {
    const struct elf_header *header = (const void *)file;
    if (size < sizeof *header || header->magic != ELF_MAGIC || header->class != ELF_CLASS_64 ||
        header->machine != ELF_RISCV)
        return false;
    const struct elf_segment *segments = (const void *)(file + header->segments);
    for (int i = 0; i < header->segment_count; i++) {
        const struct elf_segment *s = &segments[i];
        if (s->type != ELF_LOAD)
            continue;
        if (s->offset + s->filesz > size || s->paddr < GUEST_RAM ||
            s->paddr + s->memsz > GUEST_RAM + vm->config->memory ||
            !vm_copy_in(vm, s->paddr, file + s->offset, s->filesz))
            return false;
    }
    *entry = header->entry;
    return true;
}

uint64_t elf_symbol(const char *file, const char *name) {
    const struct elf_header *header = (const void *)file;
    const struct elf_section *sections = (const void *)(file + header->sections);
    for (int i = 0; i < header->section_count; i++) {
        if (sections[i].type != ELF_SYMBOLS)
            continue;
        const struct elf_symbol *symbols = (const void *)(file + sections[i].offset);
        const char *names = file + sections[sections[i].link].offset;
        for (uint64_t k = 0; k < sections[i].size / sizeof *symbols; k++)
            if (same_text(names + symbols[k].name, name))
                return symbols[k].value;
    }
    return 0;
}
