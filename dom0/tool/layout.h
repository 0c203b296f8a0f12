/*
 * Where everything of a new PVH domain lies in its guest-physical memory. Pure arithmetic; the addresses that
 * a guest may know are Xen's.
 *
 *   0            RAM: kernel, then ramdisk, then start info
 *   0xfc000000   the hole: local APIC (0xfee00000), ACPI tables (0xfef00000), special pages (0xfeff8000).
 * These three share one table of the guest-physical map, which a small domain feels 4 GiB        RAM that did
 * not fit below the hole
 */
#ifndef TOOL_LAYOUT_H
#define TOOL_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

#include <lib/why.h>

#define HOLE_START      0xfc000000ull
#define HOLE_END        (1ull << 32)
#define ACPI_ADDRESS    0xfef00000ull
#define SPECIAL_ADDRESS 0xfeff8000ull
#define SPECIAL_PAGES   8
/* Places among the special pages that libxc's guests know. */
#define STORE_GFN    (SPECIAL_ADDRESS / 4096 + 4)
#define IDENTITY_GFN (SPECIAL_ADDRESS / 4096 + 6)
#define CONSOLE_GFN  (SPECIAL_ADDRESS / 4096 + 7)
#define LAYOUT_MAP   4

struct layout_request {
    uint64_t memory;                   /* bytes of RAM, whole pages */
    uint64_t kernel_start, kernel_end; /* from the ELF file */
    uint64_t ramdisk_size;             /* 0: none */
    uint64_t acpi_size;
    const char *command_line; /* never NULL */
};

struct layout {
    uint64_t low_end;  /* RAM is [0, low_end) ... */
    uint64_t high_end; /* ... and [4 GiB, high_end) when this is not 0 */
    uint64_t ramdisk;  /* address, 0 when there is none */
    uint64_t start_info, start_info_size;
    uint64_t acpi_size; /* whole pages */
    unsigned map_count;
    struct hvm_memmap_table_entry map[LAYOUT_MAP]; /* in ascending order */
};

/* The reason in why reads on from "memory=N: ". */
bool layout_plan(const struct layout_request *request, struct layout *layout, struct why *why);

/*
 * Writes what hvm_start_info points to and itself into page, which has layout->start_info_size bytes and
 * stands for the guest's memory at layout->start_info.
 */
void start_info_write(void *page, const struct layout_request *request, const struct layout *layout);

#endif
