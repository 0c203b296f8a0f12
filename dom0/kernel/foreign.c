/*
 * Mappings of other domains' memory (foreign_map, resource_map and foreign_unmap of dom0/below.h).
 *
 * A window of guest-physical space above all RAM; frames of it are handed out first-fit from a bitmap, and
 * the hypervisor puts the foreign frames there (XENMAPSPACE_gmfn_foreign of xen/memory.h).
 */
#include <dom0/below.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include <xen/memory.h>
#include "kernel.h"

#define WINDOW_FRAMES 16384u
#define BATCH         512u

static uint64_t window;
static uint64_t used[WINDOW_FRAMES / 64];

static bool is_used(size_t frame)
{
    return used[frame / 64] >> frame % 64 & 1;
}

static void set_used(size_t start, size_t count, bool value)
{
    for (size_t i = start; i < start + count; i++) {
        uint64_t bit = 1ull << i % 64;
        used[i / 64] = value ? used[i / 64] | bit : used[i / 64] & ~bit;
    }
}

/* First of count free frames in a row, or WINDOW_FRAMES. */
static size_t find_free(size_t count)
{
    size_t run = 0;
    for (size_t i = 0; i < WINDOW_FRAMES; i++) {
        if (i % 64 == 0 && used[i / 64] == ~0ull) {
            run = 0;
            i += 63;
            continue;
        }
        run = is_used(i) ? 0 : run + 1;
        if (run == count)
            return i + 1 - count;
    }
    return WINDOW_FRAMES;
}

static void unmap_frames(xen_pfn_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = first + i};
        hypercall(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, (uint64_t)&remove, 0, 0, 0);
    }
}

/* Maps up to BATCH frames. On failure those before the first that failed may be mapped. */
static bool map_batch(domid_t domid, const xen_pfn_t *gfns, xen_pfn_t first, size_t count)
{
    static xen_ulong_t sources[BATCH];
    static xen_pfn_t targets[BATCH];
    static int errors[BATCH];
    for (size_t i = 0; i < count; i++) {
        sources[i] = gfns[i];
        targets[i] = first + i;
        errors[i] = 0;
    }
    struct xen_add_to_physmap_batch batch = {.domid = DOMID_SELF,
                                             .space = XENMAPSPACE_gmfn_foreign,
                                             .size = (uint16_t)count,
                                             .u.foreign_domid = domid};
    set_xen_guest_handle(batch.idxs, sources);
    set_xen_guest_handle(batch.gpfns, targets);
    set_xen_guest_handle(batch.errs, errors);
    if (hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, (uint64_t)&batch, 0, 0, 0))
        return false;
    for (size_t i = 0; i < count; i++)
        if (errors[i])
            return false;
    return true;
}

void foreign_init(void)
{
    window = memory_reserve_space(WINDOW_FRAMES * PAGE_SIZE);
    if (!window)
        pvh_panic("no room above RAM in the %lu MiB of address space for other domains' memory",
                  memory_top() >> 20);
}

void *foreign_map(domid_t domid, const xen_pfn_t *gfns, size_t count)
{
    size_t start = count ? find_free(count) : WINDOW_FRAMES;
    if (start == WINDOW_FRAMES)
        return NULL;
    xen_pfn_t first = (window >> PAGE_SHIFT) + start;
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < BATCH ? count - done : BATCH;
        if (!map_batch(domid, gfns + done, first + done, n)) {
            unmap_frames(first, done + n);
            return NULL;
        }
    }
    set_used(start, count, true);
    return (void *)(first << PAGE_SHIFT);
}

void *resource_map(domid_t domid, uint32_t type, uint32_t id, uint64_t first, size_t count)
{
    xen_pfn_t gfns[32];
    size_t start = count && count <= 32 ? find_free(count) : WINDOW_FRAMES;
    if (start == WINDOW_FRAMES)
        return NULL;
    for (size_t i = 0; i < count; i++)
        gfns[i] = (window >> PAGE_SHIFT) + start + i;
    struct xen_mem_acquire_resource acquire = {
        .domid = domid, .type = (uint16_t)type, .id = id, .nr_frames = (uint32_t)count, .frame = first};
    set_xen_guest_handle(acquire.frame_list, gfns);
    if (hypercall(__HYPERVISOR_memory_op, XENMEM_acquire_resource, (uint64_t)&acquire, 0, 0, 0)) {
        unmap_frames(gfns[0], count);
        return NULL;
    }
    set_used(start, count, true);
    return (void *)(gfns[0] << PAGE_SHIFT);
}

void foreign_unmap(void *p, size_t count)
{
    if (!p)
        return;
    unmap_frames((uint64_t)p >> PAGE_SHIFT, count);
    set_used(((uint64_t)p - window) >> PAGE_SHIFT, count, false);
}
