/* Memory layout and start info of a PVH domain (layout.h). No state, no locking. */
#include <lib/string.h>
#include <xen/errno.h>

#include "format.h"
#include "layout.h"
#include "xen.h"

/* What lies below is where PCs have firmware and a guest keeps its real-mode trampoline. */
#define LOWEST_LOAD (1ull << 20)

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static void add_region(struct layout *l, uint64_t start, uint64_t end, uint32_t type)
{
    if (start < end)
        l->map[l->map_count++] =
            (struct hvm_memmap_table_entry){.addr = start, .size = end - start, .type = type};
}

/* What the start info, its lists and the command line take. */
static uint64_t start_info_size(const struct layout_request *r)
{
    return whole_pages(sizeof(struct hvm_start_info) + sizeof(struct hvm_modlist_entry) +
                       LAYOUT_MAP * sizeof(struct hvm_memmap_table_entry) + strlen(r->command_line) + 1);
}

bool layout_plan(const struct layout_request *r, struct layout *l, struct why *why)
{
    char kernel[SIZE_TEXT], ramdisk[SIZE_TEXT], needed[SIZE_TEXT];
    *l = (struct layout){.low_end = r->memory, .acpi_size = whole_pages(r->acpi_size)};
    if (r->memory > HOLE_START) {
        l->low_end = HOLE_START;
        l->high_end = HOLE_END + (r->memory - HOLE_START);
    }
    if (r->kernel_start < LOWEST_LOAD)
        return fail(why, "the kernel wants to be loaded at 0x%llx: below 1 MiB no guest may",
                    (unsigned long long)r->kernel_start);

    uint64_t next = whole_pages(r->kernel_end), ramdisk_pages = whole_pages(r->ramdisk_size);
    uint64_t end = 0;
    l->start_info_size = start_info_size(r);
    if (__builtin_add_overflow(next, ramdisk_pages, &end) ||
        __builtin_add_overflow(end, l->start_info_size, &end) || end > l->low_end)
        return fail(why,
                    "too little: the kernel ends at %s and the ramdisk has %s, %s are needed to load them",
                    format_size(kernel, r->kernel_end), format_size(ramdisk, r->ramdisk_size),
                    format_size(needed, end));
    if (r->ramdisk_size) {
        l->ramdisk = next;
        next += ramdisk_pages;
    }
    l->start_info = next;

    add_region(l, 0, l->low_end, XEN_HVM_MEMMAP_TYPE_RAM);
    add_region(l, ACPI_ADDRESS, ACPI_ADDRESS + l->acpi_size, XEN_HVM_MEMMAP_TYPE_ACPI);
    add_region(l, SPECIAL_ADDRESS, SPECIAL_ADDRESS + SPECIAL_PAGES * PAGE_SIZE, XEN_HVM_MEMMAP_TYPE_RESERVED);
    add_region(l, HOLE_END, l->high_end, XEN_HVM_MEMMAP_TYPE_RAM);
    return true;
}

void start_info_write(void *page, const struct layout_request *r, const struct layout *l)
{
    struct contents {
        struct hvm_start_info info;
        struct hvm_modlist_entry module;
        struct hvm_memmap_table_entry map[LAYOUT_MAP];
        char command_line[];
    } *to = page;
    memset(to, 0, l->start_info_size);
    to->info = (struct hvm_start_info){
        .magic = XEN_HVM_START_MAGIC_VALUE,
        .version = 1,
        .cmdline_paddr = l->start_info + offsetof(struct contents, command_line),
        .rsdp_paddr = ACPI_ADDRESS,
        .memmap_paddr = l->start_info + offsetof(struct contents, map),
        .memmap_entries = l->map_count,
    };
    if (l->ramdisk) {
        to->info.nr_modules = 1;
        to->info.modlist_paddr = l->start_info + offsetof(struct contents, module);
        to->module = (struct hvm_modlist_entry){.paddr = l->ramdisk, .size = r->ramdisk_size};
    }
    memcpy(to->map, l->map, l->map_count * sizeof l->map[0]);
    memcpy(to->command_line, r->command_line, strlen(r->command_line) + 1);
}
