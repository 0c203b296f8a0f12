/* Multiboot 2, section 3.6: a list of tags, from GRUB on BIOS and UEFI. Boot only. */
#include <lib/string.h>
#include "boot.h"

struct multiboot2_tag {
    uint32_t type, size; /* size includes these two; the next tag begins 8-byte aligned */
    union {
        char text[0];
        struct {
            uint32_t start, end;
            char cmdline[];
        } module;
        struct {
            uint32_t entry_size, version;
            char entries[];
        } memory_map;
        uint8_t rsdp[36];
    };
};

struct multiboot2_mmap {
    uint64_t start, length;
    uint32_t type, reserved;
};

enum {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_EFI_TABLE_32 = 11,
    TAG_EFI_TABLE_64 = 12,
    TAG_RSDP_1 = 14,
    TAG_RSDP_2 = 15,
};

#define TAG_HEADER_SIZE offsetof(struct multiboot2_tag, text)

static INIT_CODE void read_memory_map(const struct multiboot2_tag *tag)
{
    uint32_t size = tag->memory_map.entry_size;
    if (size < sizeof(struct multiboot2_mmap))
        return;
    const char *end = (const char *)tag + tag->size;
    for (const char *p = tag->memory_map.entries; p + size <= end; p += size) {
        const struct multiboot2_mmap *entry = (const void *)p;
        memory_map_add(entry->start, entry->length, entry->type);
    }
}

static INIT_CODE void read_tag(const struct multiboot2_tag *tag)
{
    switch (tag->type) {
    case TAG_CMDLINE:
        boot_info.cmdline = boot_text(tag->text);
        break;
    case TAG_LOADER:
        boot_info.loader = boot_text(tag->text);
        break;
    case TAG_MODULE:
        boot_add_module(tag->module.start, tag->module.end, tag->module.cmdline);
        break;
    case TAG_MEMORY_MAP:
        read_memory_map(tag);
        break;
    case TAG_EFI_TABLE_32:
    case TAG_EFI_TABLE_64:
        boot_info.efi = true;
        break;
    case TAG_RSDP_1: /* ACPI 1.0's, 20 bytes; a newer one in another tag is better */
        if (boot_info.rsdp[0])
            break;
        /* fall through */
    case TAG_RSDP_2:
        memcpy(boot_info.rsdp, tag->rsdp, MIN(sizeof tag->rsdp, tag->size - TAG_HEADER_SIZE));
        break;
    }
}

INIT_CODE void multiboot2_read(const void *info)
{
    boot_info.protocol = "multiboot 2";
    const char *p = info, *end = p + *(const uint32_t *)info;
    for (p += 8; p + TAG_HEADER_SIZE <= end;) {
        const struct multiboot2_tag *tag = (const void *)p;
        if (tag->type == TAG_END || tag->size < TAG_HEADER_SIZE)
            break;
        read_tag(tag);
        p += (tag->size + 7) & ~7u;
    }
}
