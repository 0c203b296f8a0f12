/*
 * What the boot loader handed over, the same for multiboot 1, multiboot 2 and PVH (boot/ fills it).
 *
 * Everything lies in the hypervisor's own memory. The image itself (loaded at 2 MiB, but mapped at its
 * virtual address from wherever it lies) and the modules are moved to the top of RAM below 4 GiB before the
 * frame allocator gets the rest: dom0 is mapped one to one, and its kernel's load address, often 1, 2 or 16
 * MiB, has to be free. Modules start on a page boundary and own the rest of their last page; dom0 takes their
 * frames over where they lie (frame_adopt). Command lines here are cooked: without the name of the file,
 * whichever the loader.
 */
#ifndef HV_BOOT_INFO_H
#define HV_BOOT_INFO_H

#include <hv/types.h>

/* Types of memory as in ACPI's address range table (ACPI 15.2), which E820 uses too. */
enum memory_type {
    MEMORY_RAM = 1,
    MEMORY_RESERVED = 2,
    MEMORY_ACPI = 3, /* tables; could be reclaimed */
    MEMORY_NVS = 4,
    MEMORY_UNUSABLE = 5,
};

struct memory_region {
    uint64_t start, size;
    uint32_t type;
};

struct boot_module {
    maddr_t start;
    uint64_t size;
    const char *cmdline; /* never NULL */
};

#define BOOT_MAX_REGIONS 128
#define BOOT_MAX_MODULES 16
#define BOOT_TEXT_SIZE   4096

struct boot_info {
    const char *protocol; /* "multiboot 2" ... */
    const char *loader;
    const char *cmdline;
    bool efi;         /* started by UEFI: no VGA text, RSDP comes with the boot information */
    uint8_t rsdp[36]; /* copy of the RSDP, all zero: search the BIOS area */

    /* Sorted, no overlaps, neighbours of one type merged; RAM is page aligned. */
    struct memory_region region[BOOT_MAX_REGIONS];
    uint32_t regions;
    struct boot_module module[BOOT_MAX_MODULES];
    uint32_t modules;
    bool cut; /* more regions, modules or text than there is room for */

    char text[BOOT_TEXT_SIZE]; /* the strings above */
    uint32_t text_used;
};

extern struct boot_info boot_info;

#endif
