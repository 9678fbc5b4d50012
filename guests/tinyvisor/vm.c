// A virtual machine: some memory of its own, with a program in it, and one processor.
#include "tinyvisor.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t size);

static struct gstage_root roots[VMS_MAX];

static const struct embedded_guest *find_embedded(const char *name) {
    for (const struct embedded_guest *guest = embedded_guests; guest->name; guest++)
        if (name == NULL || same_text(guest->name, name))
            return guest;
    panic("machines.c wants a guest that guest.toml does not embed");
}

// Copies to a VM's memory, page by page: neighbours there need not be neighbours here. False if
// the VM has no memory there.
bool vm_copy_in(struct vm *vm, uint64_t guest_physical, const void *source, uint64_t size) {
    const char *from = source;
    while (size > 0) {
        char *page = gstage_page(vm, guest_physical);
        if (page == NULL)
            return false;
        uint64_t offset = guest_physical % PAGE_SIZE;
        uint64_t part = size < PAGE_SIZE - offset ? size : PAGE_SIZE - offset;
        memcpy(page + offset, from, part);
        guest_physical += part, from += part, size -= part;
    }
    return true;
}

static uint64_t load_image(struct vm *vm, const struct vm_config *config) {
    if (config->flat != NULL) {
        uint64_t size = (uint64_t)(config->flat_end - config->flat);
        if (!vm_copy_in(vm, GUEST_KERNEL, config->flat, size))
            panic("a raw image does not fit into its machine");
        return GUEST_KERNEL;
    }
    const struct embedded_guest *guest = find_embedded(config->image);
    uint64_t entry;
    if (!elf_load(vm, guest->start, (uint64_t)(guest->end - guest->start), &entry))
        panic("an embedded guest is no riscv64 ELF file, or does not fit into its machine");
    if (config->patch != NULL) {
        uint64_t value = *config->patch_value;
        if (!vm_copy_in(vm, elf_symbol(guest->start, config->patch), &value, sizeof value))
            panic("an embedded guest lacks the symbol to be patched");
    }
    return entry;
}

void vm_create(struct vm *vm, uint64_t number, const struct vm_config *config) {
    *vm = (struct vm){.number = number, .config = config, .gstage = &roots[number - 1]};
    uint64_t entry = load_image(vm, config);
    fence_i(); // the guest's text was written as data
    vcpu_init(&vm->vcpu, entry, 0, 0);
}

// Ends a VM, and says of it what the format says. Its memory is taken back.
void vm_end(struct vm *vm, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    transcript_last_words(vm, format, arguments);
    va_end(arguments);
    vm->state = VM_ENDED;
    gstage_destroy(vm);
}
