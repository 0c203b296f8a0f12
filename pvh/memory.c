/*
 * Page tables and free pages (pvh/memory.h).
 *
 * Free memory is a list of extents in order of address, each described in its own first bytes: nothing is
 * touched that is not handed out, and no table has to be sized. Allocation takes the first that fits.
 */
#include <lib/x86.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/memory.h>
#include "internal.h"

#define LARGE_SIZE   (2ull << 20)
#define GIGABYTE     (1ull << 30)
#define ADDRESS_BITS 0x000ffffffffff000ull
/* Distance of memory_reserve_space() from the end of RAM: room for the 64-bit windows of PCI bridges. */
#define SPACE_GAP (64 * GIGABYTE)
#define LOW_END   (1ull << 20)
#define E820_MAX  128

struct extent {
    struct extent *next;
    size_t pages;
};

struct range {
    uint64_t start, end;
};

/* What XENMEM_memory_map writes; the types are those of the start info's map. */
struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __attribute__((packed));

extern uint64_t pvh_pml4[512];
extern char pvh_image_start[], pvh_image_end[], pvh_stack_guard[];

static struct extent *free_list;
static size_t free_pages;
static struct e820_entry e820[E820_MAX];
static unsigned e820_count;
static uint64_t space_next, top = 4 * GIGABYTE, total;

/* --- free pages ----------------------------------------------------------------------------------------- */

static uint64_t extent_end(const struct extent *e)
{
    return (uint64_t)e + e->pages * PAGE_SIZE;
}

void *page_alloc(size_t count)
{
    for (struct extent **link = &free_list; *link; link = &(*link)->next) {
        struct extent *e = *link;
        if (e->pages < count || !count)
            continue;
        free_pages -= count;
        e->pages -= count;
        /* From the extent's end, so that what describes it stays where it is. */
        if (e->pages)
            return (void *)extent_end(e);
        *link = e->next;
        return e;
    }
    return NULL;
}

void page_free(void *page, size_t count)
{
    if (!page || !count)
        return;
    struct extent **link = &free_list, *before = NULL, *freed = page;
    while (*link && (uint64_t)*link < (uint64_t)page) {
        before = *link;
        link = &before->next;
    }
    *freed = (struct extent){*link, count};
    *link = freed;
    free_pages += count;
    if (freed->next && extent_end(freed) == (uint64_t)freed->next) {
        freed->pages += freed->next->pages;
        freed->next = freed->next->next;
    }
    if (before && extent_end(before) == (uint64_t)freed) {
        before->pages += freed->pages;
        before->next = freed->next;
    }
}

size_t page_free_count(void)
{
    return free_pages;
}

/* --- page tables ---------------------------------------------------------------------------------------- */

/* The table below entry; makes an empty one, or one that maps the same as the large page that stood there. */
static uint64_t *table_below(uint64_t *entry, uint64_t step)
{
    uint64_t old = *entry;
    if (old & PAGE_PRESENT && !(old & PAGE_LARGE))
        return (uint64_t *)(old & ADDRESS_BITS);
    uint64_t *table = page_alloc(1);
    if (!table)
        return NULL;
    uint64_t value = old & PAGE_PRESENT ? (step == PAGE_SIZE ? old & ~PAGE_LARGE : old) : 0;
    for (unsigned i = 0; i < 512; i++, value += value ? step : 0)
        table[i] = value;
    *entry = (uint64_t)table | PAGE_ALL;
    return table;
}

/* The entry for address at the level whose pages have that size (4 KiB or 2 MiB); NULL without memory. */
static uint64_t *entry_of(uint64_t address, uint64_t size)
{
    uint64_t *table = table_below(&pvh_pml4[address >> 39 & 511], 0);
    if (table)
        table = table_below(&table[address >> 30 & 511], LARGE_SIZE);
    if (!table || size == LARGE_SIZE)
        return table ? &table[address >> 21 & 511] : NULL;
    table = table_below(&table[address >> 21 & 511], PAGE_SIZE);
    return table ? &table[address >> PAGE_SHIFT & 511] : NULL;
}

bool page_map(uint64_t virtual, uint64_t physical, uint64_t flags)
{
    uint64_t *entry = entry_of(virtual, PAGE_SIZE);
    if (!entry)
        return false;
    *entry = flags ? (physical & ADDRESS_BITS) | flags : 0;
    asm volatile("invlpg (%0)" : : "r"(virtual) : "memory");
    return true;
}

bool page_map_identity(uint64_t start, uint64_t size)
{
    uint64_t end = start + size;
    for (uint64_t address = start & -LARGE_SIZE; address < end; address += LARGE_SIZE) {
        uint64_t *entry = entry_of(address, LARGE_SIZE);
        if (!entry)
            return false;
        if (!(*entry & PAGE_PRESENT))
            *entry = address | PAGE_ALL | PAGE_LARGE;
    }
    return true;
}

/* --- the memory map ------------------------------------------------------------------------------------- */

static bool start_info_has_map(void)
{
    return pvh_start_info->version >= 1 && pvh_start_info->memmap_entries;
}

/* What the loader put into RAM; index counts up to the first false. */
static bool used_range(unsigned index, struct range *used)
{
    const struct hvm_start_info *info = pvh_start_info;
    const struct hvm_modlist_entry *modules = (const void *)info->modlist_paddr;
    uint64_t map = start_info_has_map() ? info->memmap_paddr : 0;
    uint64_t map_size = map ? info->memmap_entries * sizeof(struct hvm_memmap_table_entry) : 0;
    const struct range fixed[] = {
        {0, LOW_END},
        {(uint64_t)pvh_image_start, (uint64_t)pvh_image_end},
        {(uint64_t)info, (uint64_t)(info + 1)},
        {info->modlist_paddr, (uint64_t)(modules + info->nr_modules)},
        {info->cmdline_paddr, info->cmdline_paddr + PAGE_SIZE},
        {map, map + map_size},
    };
    unsigned module = (index - (unsigned)ARRAY_SIZE(fixed)) / 2;
    if (index < ARRAY_SIZE(fixed))
        *used = fixed[index];
    else if (module < info->nr_modules && index % 2)
        *used = (struct range){modules[module].paddr, modules[module].paddr + modules[module].size};
    else if (module < info->nr_modules)
        *used = (struct range){modules[module].cmdline_paddr, modules[module].cmdline_paddr + PAGE_SIZE};
    else
        return false;
    used->start &= -PAGE_SIZE;
    used->end = (used->end + PAGE_SIZE - 1) & -PAGE_SIZE;
    return true;
}

static void add_free(uint64_t start, uint64_t end, unsigned index)
{
    struct range used;
    for (; start < end && used_range(index, &used); index++) {
        if (used.end <= start || end <= used.start || used.start == used.end)
            continue;
        if (start < used.start)
            add_free(start, used.start, index + 1);
        start = used.end;
    }
    if (start < end)
        page_free((void *)start, (end - start) / PAGE_SIZE);
}

bool memory_map_entry(unsigned index, struct hvm_memmap_table_entry *entry)
{
    if (start_info_has_map()) {
        if (index >= pvh_start_info->memmap_entries)
            return false;
        *entry = ((const struct hvm_memmap_table_entry *)pvh_start_info->memmap_paddr)[index];
        return true;
    }
    if (index >= e820_count)
        return false;
    *entry = (struct hvm_memmap_table_entry){e820[index].addr, e820[index].size, e820[index].type, 0};
    return true;
}

/* Xen's start info for its dom0 is of version 0, which has no map: it is asked for. */
static void ask_for_map(void)
{
    struct xen_memory_map map = {.nr_entries = E820_MAX};
    set_xen_guest_handle(map.buffer, e820);
    long result = hypercall(__HYPERVISOR_memory_op, XENMEM_memory_map, (uint64_t)&map, 0, 0, 0);
    if (result)
        pvh_panic("no memory map in the start info, and XENMEM_memory_map failed: %ld", result);
    e820_count = map.nr_entries;
}

void memory_init(void)
{
    struct hvm_memmap_table_entry entry;
    if (!start_info_has_map())
        ask_for_map();
    for (unsigned i = 0; memory_map_entry(i, &entry); i++) {
        uint64_t start = (entry.addr + PAGE_SIZE - 1) & -PAGE_SIZE;
        uint64_t end = (entry.addr + entry.size) & -PAGE_SIZE;
        if (entry.type != XEN_HVM_MEMMAP_TYPE_RAM || start >= end)
            continue;
        if (end > top)
            top = end;
        total += end - start;
        if (page_map_identity(start, end - start))
            add_free(start, end, 0);
    }
    if (!free_list)
        pvh_panic("the memory map names no RAM");
    page_map(0, 0, 0);
    page_map((uint64_t)pvh_stack_guard, 0, 0);
}

uint64_t memory_top(void)
{
    return top;
}

uint64_t memory_total(void)
{
    return total;
}

uint64_t memory_reserve_space(uint64_t size)
{
    uint64_t limit = 1ull << (cpuid(0x80000008, 0).eax & 0xff);
    if (!space_next) {
        space_next = (top + GIGABYTE - 1) & -GIGABYTE;
        if (space_next + 2 * SPACE_GAP <= limit)
            space_next += SPACE_GAP;
    }
    uint64_t start = space_next;
    size = (size + LARGE_SIZE - 1) & -LARGE_SIZE;
    if (size > limit || start > limit - size || !page_map_identity(start, size))
        return 0;
    space_next += size;
    return start;
}
