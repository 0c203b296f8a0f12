/*
 * The firmware's memory map made orderly: sorted, without overlaps, neighbours of one type merged, RAM in
 * whole pages. Where regions overlap, the type that forbids more wins. Boot only.
 */
#include "boot.h"

#define MAX_RAW 512

static struct memory_region raw[MAX_RAW] INIT_BSS;
static uint32_t raw_count INIT_DATA;

INIT_CODE void memory_map_add(uint64_t start, uint64_t size, uint32_t type)
{
    if (size == 0)
        return;
    if (raw_count == MAX_RAW) {
        boot_info.cut = true;
        return;
    }
    if (start + size < start)
        size = -start;
    raw[raw_count++] = (struct memory_region){.start = start, .size = size, .type = type};
}

/* How much a type forbids. Types that we do not know are reserved memory. */
static INIT_CODE unsigned severity(uint32_t type)
{
    switch (type) {
    case MEMORY_RAM:
        return 1;
    case MEMORY_ACPI:
        return 2;
    case MEMORY_NVS:
        return 3;
    case MEMORY_UNUSABLE:
        return 5;
    default:
        return 4;
    }
}

/* The type of memory at position (0: nothing there), and in *next where the map may change after it (0:
 * nowhere). */
static INIT_CODE uint32_t type_at(uint64_t position, uint64_t *next)
{
    uint32_t type = 0;
    *next = 0;
    for (uint32_t i = 0; i < raw_count; i++) {
        uint64_t start = raw[i].start, last = start + (raw[i].size - 1);
        if (position >= start && position <= last && (!type || severity(raw[i].type) > severity(type)))
            type = raw[i].type;
        if (start > position && (!*next || start < *next))
            *next = start;
        if (last >= position && last + 1 > position && (!*next || last + 1 < *next))
            *next = last + 1;
    }
    return type;
}

static INIT_CODE void append(uint64_t start, uint64_t end, uint32_t type)
{
    if (type > MEMORY_UNUSABLE)
        type = MEMORY_RESERVED;
    if (type == MEMORY_RAM) {
        start = (start + PAGE_SIZE - 1) & PAGE_MASK;
        end &= PAGE_MASK;
        if (start >= end)
            return;
    }
    struct memory_region *last = boot_info.region + boot_info.regions - 1;
    if (boot_info.regions && last->type == type && last->start + last->size == start)
        last->size += end - start;
    else if (boot_info.regions == BOOT_MAX_REGIONS)
        boot_info.cut = true;
    else
        boot_info.region[boot_info.regions++] =
            (struct memory_region){.start = start, .size = end - start, .type = type};
}

INIT_CODE void memory_map_finish(void)
{
    uint64_t position = 0, next;
    do {
        uint32_t type = type_at(position, &next);
        if (type)
            append(position, next ? next : ~0ull, type);
        position = next;
    } while (next);
}
