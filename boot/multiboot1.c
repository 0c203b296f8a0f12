/*
 * Multiboot 0.6.96, section 3.3: the boot information of QEMU's -kernel and of older boot loaders. Boot only.
 */
#include <lib/string.h>
#include "boot.h"

struct multiboot1_info {
    uint32_t flags; /* which of the fields are valid, bit per group */
    uint32_t mem_lower, mem_upper;
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count, mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
};
#define HAS_MEMORY  0x001
#define HAS_CMDLINE 0x004
#define HAS_MODULES 0x008
#define HAS_MMAP    0x040
#define HAS_LOADER  0x200

struct multiboot1_module {
    uint32_t start, end, string, reserved;
};

struct multiboot1_mmap {
    uint32_t size; /* of what follows */
    uint64_t start, length;
    uint32_t type;
} __attribute__((packed));

/* Every loader but GRUB 2 puts the file's name in front of the arguments. */
static INIT_CODE const char *arguments(const char *text)
{
    if (strncmp(boot_info.loader, "GRUB 2", 6) == 0)
        return text;
    while (*text && *text != ' ')
        text++;
    while (*text == ' ')
        text++;
    return text;
}

static INIT_CODE void read_memory(const struct multiboot1_info *info)
{
    if (!(info->flags & HAS_MMAP)) {
        if (info->flags & HAS_MEMORY) {
            memory_map_add(0, info->mem_lower * 1024ull, MEMORY_RAM);
            memory_map_add(0x100000, info->mem_upper * 1024ull, MEMORY_RAM);
        }
        return;
    }
    for (uint32_t at = 0; at < info->mmap_length;) {
        const struct multiboot1_mmap *entry = boot_pointer((uint64_t)info->mmap_addr + at);
        memory_map_add(entry->start, entry->length, entry->type);
        at += entry->size + sizeof entry->size;
    }
}

INIT_CODE void multiboot1_read(const void *from)
{
    const struct multiboot1_info *info = from;
    boot_info.protocol = "multiboot 1";
    if (info->flags & HAS_LOADER)
        boot_info.loader = boot_text(boot_pointer(info->boot_loader_name));
    if (info->flags & HAS_CMDLINE)
        boot_info.cmdline = boot_text(arguments(boot_pointer(info->cmdline)));
    read_memory(info);
    const struct multiboot1_module *module = boot_pointer(info->mods_addr);
    for (uint32_t i = 0; (info->flags & HAS_MODULES) && i < info->mods_count; i++)
        boot_add_module(module[i].start, module[i].end,
                        module[i].string ? arguments(boot_pointer(module[i].string)) : NULL);
}
