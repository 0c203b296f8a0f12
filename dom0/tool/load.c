/*
 * Memory of a new domain (load.h). RAM comes in 2 MiB extents where alignment and the hypervisor's supply
 * allow; files are copied through foreign mappings, one MiB at a time, so that other threads run in between.
 * No locking: nobody else knows the domain yet.
 */
#include <lib/string.h>
#include <xen/errno.h>

#include <lib/acpi.h>
#include "format.h"
#include "load.h"
#include "xen.h"

#define BATCH         256 /* frames mapped or extents asked for at once */
#define BIG_ORDER     9
#define SPECIAL_COUNT 3
#define BIG_PAGES     (1ull << BIG_ORDER)
/* How long copying takes before it is worth telling. */
#define PATIENCE_NS 1000000000ull

/* One of the entries that XENMEM_memory_map gives the guest: the PC's E820 layout. */
struct e820_entry {
    uint64_t address, size;
    uint32_t type;
} __attribute__((packed));

struct load {
    const struct plan *plan;
    domid_t domid;
    bool (*stop)(void);
    struct why *why;
    uint64_t done, total; /* bytes copied, to copy */
    uint64_t started;     /* time_ns() */
    int told;             /* percentage that the person has seen, -1 at first */
    xen_pfn_t gfns[BATCH];
};

/* Lets others run; false when the work is to stop. */
static bool breathe(struct load *l)
{
    thread_yield();
    return !(l->stop && l->stop()) || fail(l->why, "interrupted");
}

static void tell_progress(struct load *l)
{
    int percent = (int)(l->done * 100 / l->total);
    if (!l->stop || time_ns() - l->started < PATIENCE_NS || percent < l->told + 10)
        return;
    l->told = percent;
    print("\rloading: %3d %%", percent);
}

/* That nobody else takes the memory meanwhile; 0: no longer. Hypervisors without claims say ENOSYS. */
static bool claim(struct load *l, uint64_t bytes)
{
    struct xen_memory_reservation r = {.nr_extents = bytes >> PAGE_SHIFT, .domid = l->domid};
    long rc = hypercall(__HYPERVISOR_memory_op, XENMEM_claim_pages, (uintptr_t)&r, 0, 0, 0);
    return !rc || rc == -XEN_ENOSYS || fail(l->why, "claiming memory for it failed: %s", error_text(rc));
}

static bool populate_failed(struct load *l, long rc)
{
    return fail(l->why, "giving it memory failed: %s", rc < 0 ? error_text(rc) : "out of memory");
}

/* Single pages [gfn, gfn + count). */
static bool populate_pages(struct load *l, xen_pfn_t gfn, uint64_t count)
{
    while (count) {
        unsigned n = count < BATCH ? (unsigned)count : BATCH;
        for (unsigned i = 0; i < n; i++)
            l->gfns[i] = gfn + i;
        long rc = populate(l->domid, 0, l->gfns, n);
        if (rc != (long)n)
            return populate_failed(l, rc);
        gfn += n;
        count -= n;
    }
    return true;
}

/* Up to BATCH extents of 2 MiB from gfn on; those that cannot be had in one piece come as single pages. */
static bool populate_big(struct load *l, xen_pfn_t gfn, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        l->gfns[i] = gfn + i * BIG_PAGES;
    long rc = populate(l->domid, BIG_ORDER, l->gfns, count);
    unsigned got = rc < 0 ? 0 : (unsigned)rc;
    return populate_pages(l, gfn + got * BIG_PAGES, (count - got) * BIG_PAGES);
}

static bool populate_ram(struct load *l, uint64_t start, uint64_t end)
{
    xen_pfn_t gfn = start >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
    while (gfn < last) {
        uint64_t big = (last - gfn) / BIG_PAGES;
        unsigned n = big < 32 ? (unsigned)big : 32;
        if (!(n ? populate_big(l, gfn, n) : populate_pages(l, gfn, last - gfn)) || !breathe(l))
            return false;
        gfn = n ? gfn + n * BIG_PAGES : last;
    }
    return true;
}

/* Writes data, then zeros up to size, into the domain's memory at address. */
static bool copy_in(struct load *l, uint64_t address, const uint8_t *data, uint64_t data_size, uint64_t size)
{
    while (size) {
        uint64_t offset = address % PAGE_SIZE;
        uint64_t chunk = BATCH * PAGE_SIZE - offset;
        if (chunk > size)
            chunk = size;
        size_t frames = (size_t)((offset + chunk + PAGE_SIZE - 1) >> PAGE_SHIFT);
        for (size_t i = 0; i < frames; i++)
            l->gfns[i] = (address >> PAGE_SHIFT) + i;
        uint8_t *to = foreign_map(l->domid, l->gfns, frames);
        if (!to)
            return fail(l->why, "its memory at 0x%llx could not be mapped", (unsigned long long)address);
        uint64_t copied = data_size < chunk ? data_size : chunk;
        if (copied)
            memcpy(to + offset, data, copied);
        memset(to + offset + copied, 0, chunk - copied);
        foreign_unmap(to, frames);

        if (copied)
            data += copied;
        data_size -= copied;
        address += chunk;
        size -= chunk;
        l->done += chunk;
        tell_progress(l);
        if (!breathe(l))
            return false;
    }
    return true;
}

static uint64_t bytes_to_copy(const struct plan *plan)
{
    uint64_t total = plan->ramdisk.size + plan->layout.start_info_size + plan->layout.acpi_size +
                     SPECIAL_COUNT * PAGE_SIZE;
    for (unsigned i = 0; i < plan->image.segment_count; i++)
        total += plan->image.segments[i].memory_size;
    return total;
}

static bool copy_files(struct load *l)
{
    const struct elf_image *image = &l->plan->image;
    const struct file *ramdisk = &l->plan->ramdisk;
    bool ok = true;
    for (unsigned i = 0; ok && i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        ok = copy_in(l, s->address, s->data, s->file_size, s->memory_size);
    }
    if (ok && ramdisk->size)
        ok = copy_in(l, l->plan->layout.ramdisk, ramdisk->data, ramdisk->size, ramdisk->size);
    return ok;
}

/*
 * The pages that are no RAM. Each is written whole, so that nothing of an earlier owner is left in it. The
 * identity map is a page directory of 4 MiB pages (Intel SDM volume 3, 4.3): VMX CPUs that cannot run without
 * paging use it.
 */
static bool make_special_pages(struct load *l)
{
    static const xen_pfn_t special[SPECIAL_COUNT] = {STORE_GFN, CONSOLE_GFN, IDENTITY_GFN};
    enum { PRESENT_WRITE_USER_ACCESSED_DIRTY_LARGE = 0xe7 };
    for (size_t i = 0; i < SPECIAL_COUNT; i++)
        if (!populate_pages(l, special[i], 1) || !copy_in(l, special[i] << PAGE_SHIFT, NULL, 0, PAGE_SIZE))
            return false;
    xen_pfn_t gfn = IDENTITY_GFN;
    uint32_t *directory = foreign_map(l->domid, &gfn, 1);
    if (!directory)
        return fail(l->why, "its identity map could not be mapped");
    for (uint32_t i = 0; i < 1024; i++)
        directory[i] = i << 22 | PRESENT_WRITE_USER_ACCESSED_DIRTY_LARGE;
    foreign_unmap(directory, 1);
    return true;
}

static bool make_acpi_tables(struct load *l)
{
    const struct layout *layout = &l->plan->layout;
    const struct guest_config *config = l->plan->config;
    uint8_t *tables = mem_alloc(layout->acpi_size);
    if (!tables)
        return fail(l->why, "out of memory");
    acpi_write(tables, ACPI_ADDRESS, config->vcpus, config->max_vcpus);
    bool ok = populate_pages(l, ACPI_ADDRESS >> PAGE_SHIFT, layout->acpi_size >> PAGE_SHIFT) &&
              copy_in(l, ACPI_ADDRESS, tables, layout->acpi_size, layout->acpi_size);
    mem_free(tables);
    return ok;
}

static bool make_start_info(struct load *l)
{
    const struct layout *layout = &l->plan->layout;
    void *page = mem_alloc(layout->start_info_size);
    if (!page)
        return fail(l->why, "out of memory");
    start_info_write(page, &l->plan->request, layout);
    bool ok = copy_in(l, layout->start_info, page, layout->start_info_size, layout->start_info_size);
    mem_free(page);
    return ok;
}

static bool set_memory_map(struct load *l)
{
    const struct layout *layout = &l->plan->layout;
    struct e820_entry entries[LAYOUT_MAP];
    for (unsigned i = 0; i < layout->map_count; i++)
        entries[i] = (struct e820_entry){layout->map[i].addr, layout->map[i].size, layout->map[i].type};
    struct xen_foreign_memory_map map = {.domid = l->domid, .map = {.nr_entries = layout->map_count}};
    set_xen_guest_handle(map.map.buffer, entries);
    long rc = hypercall(__HYPERVISOR_memory_op, XENMEM_set_memory_map, (uintptr_t)&map, 0, 0, 0);
    return !rc || fail(l->why, "setting its memory map failed: %s", error_text(rc));
}

bool load_domain(const struct plan *plan, domid_t domid, bool (*stop)(void), struct why *why)
{
    const struct layout *layout = &plan->layout;
    struct load *l = mem_alloc(sizeof *l);
    if (!l)
        return fail(why, "out of memory");
    *l = (struct load){.plan = plan, .domid = domid, .stop = stop, .why = why, .told = -1};
    l->total = bytes_to_copy(plan);
    l->started = time_ns();
    bool ok = claim(l, plan->config->memory) && populate_ram(l, 0, layout->low_end) &&
              populate_ram(l, HOLE_END, layout->high_end) && claim(l, 0) && set_memory_map(l) &&
              make_special_pages(l) && make_acpi_tables(l) && copy_files(l) && make_start_info(l);
    if (l->told >= 0)
        print("\r               \r");
    mem_free(l);
    return ok;
}
