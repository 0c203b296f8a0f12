/*
 * The allocator of the time before there are frames (x86/boot_memory.h, boot_alloc of hv/init.h).
 *
 * Free memory is a short sorted list of ranges. Allocation takes from the end of the highest range that fits,
 * so that low memory stays whole for domains, and the modules lie in no range at all. Boot CPU only, no
 * locking.
 */
#include <hv/frame.h>
#include <hv/init.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <x86/boot_memory.h>
#include <x86/paging.h>

struct range {
    uint64_t start, end; /* page aligned; empty ranges stay in the list */
};

extern char image_start[], image_end[];

static struct range ranges[2 * (BOOT_MAX_REGIONS + BOOT_MAX_MODULES)] INIT_BSS;
static uint32_t range_count INIT_DATA;
static uint64_t allocation_limit INIT_DATA;
static bool finished;

/* Takes [start, end) out of every range, in whole pages. */
static INIT_CODE void exclude(uint64_t start, uint64_t end)
{
    start &= PAGE_MASK;
    end = (end + PAGE_SIZE - 1) & PAGE_MASK;
    for (uint32_t i = 0; i < range_count; i++) {
        struct range *r = &ranges[i];
        if (end <= r->start || start >= r->end)
            continue;
        if (start > r->start && end < r->end) {
            if (range_count == ARRAY_SIZE(ranges))
                boot_fail("the memory map has too many pieces");
            memmove(r + 1, r, (range_count - i) * sizeof *r);
            range_count++;
            r->end = start;
            r[1].start = end;
        } else if (start > r->start) {
            r->end = start;
        } else {
            r->start = MIN(end, r->end);
        }
    }
}

/* Makes [start, end) free, which was not; whole pages. */
static INIT_CODE void include(uint64_t start, uint64_t end)
{
    if (range_count == ARRAY_SIZE(ranges))
        boot_fail("the memory map has too many pieces");
    uint32_t i = range_count++;
    for (; i && ranges[i - 1].start > start; i--)
        ranges[i] = ranges[i - 1];
    ranges[i] = (struct range){start & PAGE_MASK, (end + PAGE_SIZE - 1) & PAGE_MASK};
}

INIT_CODE void boot_memory_init(uint64_t limit)
{
    for (uint32_t i = 0; i < boot_info.regions; i++) {
        const struct memory_region *region = &boot_info.region[i];
        uint64_t end = MIN(region->start + region->size, DIRECTMAP_SIZE);
        if (region->type == MEMORY_RAM && region->start < end)
            ranges[range_count++] = (struct range){region->start, end};
    }
    exclude(0, PAGE_SIZE); /* BIOS data */
    exclude(virt_to_maddr(image_start).v, virt_to_maddr(image_end).v);
    for (uint32_t i = 0; i < boot_info.modules; i++)
        exclude(boot_info.module[i].start.v, boot_info.module[i].start.v + boot_info.module[i].size);
    allocation_limit = limit;
}

INIT_CODE void boot_memory_set_limit(uint64_t limit)
{
    allocation_limit = limit;
}

INIT_CODE uint64_t boot_memory_total(void)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < boot_info.regions; i++)
        if (boot_info.region[i].type == MEMORY_RAM)
            total += boot_info.region[i].size;
    return total;
}

/* Whole pages from the top of the highest range below limit; 0 when nothing fits. What lies above limit in a
 * range stays free. */
static INIT_CODE uint64_t take(uint64_t size, uint64_t limit)
{
    size = (size + PAGE_SIZE - 1) & PAGE_MASK;
    for (uint32_t i = range_count; i-- > 0;) {
        uint64_t end = MIN(ranges[i].end, limit);
        if (end <= ranges[i].start || end - ranges[i].start < size)
            continue;
        exclude(end - size, end);
        return end - size;
    }
    return 0;
}

INIT_CODE void *boot_alloc(uint64_t size)
{
    uint64_t start = finished ? 0 : take(size, allocation_limit);
    if (!start)
        boot_fail("too little memory: no %lu KiB left for the hypervisor; give the machine more", size >> 10);
    return memset(maddr_to_virt(MADDR(start)), 0, (size + PAGE_SIZE - 1) & PAGE_MASK);
}

static INIT_CODE void move_module(struct boot_module *module)
{
    uint64_t from = module->start.v, size = (module->size + PAGE_SIZE - 1) & PAGE_MASK;
    uint64_t to = take(size, allocation_limit);
    if (to <= from) {
        if (to)
            include(to, to + size);
        return;
    }
    memcpy(maddr_to_virt(MADDR(to)), maddr_to_virt(module->start), size);
    module->start = MADDR(to);
    include(from, from + size);
}

INIT_CODE void boot_memory_move_modules(void)
{
    for (uint32_t i = 0; i < boot_info.modules; i++)
        move_module(&boot_info.module[i]);
}

INIT_CODE maddr_t boot_memory_image_place(void)
{
    uint64_t place = take((uint64_t)(image_end - image_start), allocation_limit);
    if (!place)
        boot_fail("too little memory for the hypervisor; give the machine more");
    return MADDR(place);
}

INIT_CODE void boot_memory_image_moved(void)
{
    uint64_t loaded = virt_to_maddr(image_start).v - image_shift;
    include(loaded, loaded + (uint64_t)(image_end - image_start));
}

INIT_CODE maddr_t boot_memory_low_page(void)
{
    return MADDR(take(PAGE_SIZE, 0xa0000));
}

INIT_CODE void boot_memory_finish(void)
{
    uint64_t limit = 0;
    for (uint32_t i = 0; i < boot_info.regions; i++)
        if (boot_info.region[i].type == MEMORY_RAM)
            limit = MIN(boot_info.region[i].start + boot_info.region[i].size, DIRECTMAP_SIZE) >> PAGE_SHIFT;
    frame_init(boot_alloc(limit * sizeof(struct frame)), limit);
    finished = true;
    for (uint32_t i = 0; i < range_count; i++)
        if (ranges[i].start < ranges[i].end)
            frame_add_range(MFN(ranges[i].start >> PAGE_SHIFT),
                            (ranges[i].end - ranges[i].start) >> PAGE_SHIFT);
}
