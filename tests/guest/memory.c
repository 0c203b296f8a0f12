/* memory_op: what a domain asks and changes about its own memory (xen/memory.h). */
#include "check.h"

#define MEMORY(command, argument) OP(memory_op, command, argument)

static struct xen_memory_domain self = {.domid = DOMID_SELF};
static uint64_t spare; /* a gfn where nothing is */

static void test_queries(void)
{
    struct {
        uint64_t start, size;
        uint32_t type;
    } __attribute__((packed)) entries[64];
    struct xen_memory_map map = {.nr_entries = ARRAY_SIZE(entries)};
    set_xen_guest_handle(map.buffer, (void *)entries);
    EXPECT_EQ(MEMORY(XENMEM_memory_map, &map), 0);
    EXPECT(map.nr_entries >= 1 && map.nr_entries <= ARRAY_SIZE(entries));
    uint64_t ram = 0;
    for (unsigned i = 0; i < map.nr_entries; i++)
        if (entries[i].type == 1)
            ram += entries[i].size;
    EXPECT(ram >= memory_total() && ram - memory_total() < 0x10000); /* whole pages only */
    set_xen_guest_handle(map.buffer, BAD_POINTER);
    EXPECT_EQ(MEMORY(XENMEM_memory_map, &map), -XEN_EFAULT);

    long pages = MEMORY(XENMEM_current_reservation, &self), most = MEMORY(XENMEM_maximum_reservation, &self);
    EXPECT(pages > 0 && most >= pages);
    /* A few pages more than RAM: the special pages. Less than RAM: what was ballooned out. */
    EXPECT((uint64_t)pages * PAGE_SIZE + (4u << 20) >= ram);
    EXPECT(MEMORY(XENMEM_maximum_gpfn, &self) >= (long)frame_of(&self));

    struct xen_memory_domain other = {.domid = 0x7ff0 - 1};
    EXPECT(MEMORY(XENMEM_current_reservation, &other) < 0);
    EXPECT_EQ(MEMORY(XENMEM_current_reservation, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(MEMORY(63, NULL), -XEN_ENOSYS);
}

static long change(unsigned command, xen_pfn_t *frames, unsigned count, unsigned order, domid_t domid)
{
    struct xen_memory_reservation r = {.nr_extents = count, .extent_order = order, .domid = domid};
    set_xen_guest_handle(r.extent_start, frames);
    return MEMORY(command, &r);
}

/* A page given back and taken again is clean or our own, and the count of pages follows. */
static void test_balloon(void)
{
    uint8_t *page = page_alloc(1);
    long before = MEMORY(XENMEM_current_reservation, &self);
    xen_pfn_t frame = frame_of(page);
    memset(page, 0x5a, PAGE_SIZE);
    EXPECT_EQ(change(XENMEM_decrease_reservation, &frame, 1, 0, DOMID_SELF), 1);
    EXPECT_EQ(MEMORY(XENMEM_current_reservation, &self), before - 1);
    EXPECT_EQ(change(XENMEM_populate_physmap, &frame, 1, 0, DOMID_SELF), 1);
    EXPECT_EQ(MEMORY(XENMEM_current_reservation, &self), before);
    unsigned foreign = 0; /* what was in it before may come back, but never what another domain wrote */
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        foreign += page[i] != 0 && page[i] != 0x5a;
    EXPECT_EQ(foreign, 0);

    /* As much as could be done is said; a list that is wrong from its second entry on is done up to there. */
    xen_pfn_t frames[2] = {frame_of(page), spare};
    EXPECT_EQ(change(XENMEM_decrease_reservation, frames, 2, 0, DOMID_SELF), 1);
    frames[0] = frame_of(page);
    EXPECT_EQ(change(XENMEM_populate_physmap, frames, 1, 0, DOMID_SELF), 1);
    page_free(page, 1);

    EXPECT_EQ(change(XENMEM_populate_physmap, NULL, 0, 0, DOMID_SELF), 0);
    EXPECT_EQ(change(XENMEM_populate_physmap, frames, 1, 40, DOMID_SELF), 0);
    EXPECT_EQ(change(XENMEM_populate_physmap, BAD_POINTER, 1, 0, DOMID_SELF) <= 0, 1);
    EXPECT_EQ(change(XENMEM_populate_physmap, frames, 1, 0, 0x7000), 0);
    EXPECT_EQ(MEMORY(XENMEM_current_reservation, &self), before);
}

static long map_space(unsigned space, uint64_t index, uint64_t gfn)
{
    struct xen_add_to_physmap add = {.domid = DOMID_SELF, .space = space, .idx = index, .gpfn = gfn};
    return MEMORY(XENMEM_add_to_physmap, &add);
}

static long unmap(uint64_t gfn)
{
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = gfn};
    return MEMORY(XENMEM_remove_from_physmap, &remove);
}

static void test_physmap(void)
{
    volatile uint32_t *at = (volatile uint32_t *)(spare << PAGE_SHIFT);

    EXPECT_EQ(map_space(XENMAPSPACE_grant_table, 0, spare), 0);
    at[1022] = 0x600d; /* the last entry of the page: nobody's grant */
    EXPECT_EQ(map_space(XENMAPSPACE_grant_table, 0, spare + 1), 0);
    EXPECT_EQ(at[1024 + 1022], 0x600d);
    at[1024 + 1022] = 0;
    EXPECT_EQ(unmap(spare + 1), 0);
    EXPECT_EQ(unmap(spare + 1) < 0, 1);
    EXPECT(map_space(XENMAPSPACE_grant_table, 100000, spare + 1) < 0);
    EXPECT(map_space(77, 0, spare + 1) < 0);

    /* A page moved within the map keeps its contents; where it was is a hole. */
    uint32_t *page = page_alloc(1);
    page[0] = 0xcafe;
    EXPECT_EQ(map_space(XENMAPSPACE_gmfn, frame_of(page), spare + 2), 0);
    EXPECT_EQ(at[2048], 0xcafe);
    EXPECT_EQ(map_space(XENMAPSPACE_gmfn, spare + 2, frame_of(page)), 0);
    EXPECT_EQ(page[0], 0xcafe);
    page_free(page, 1);

    xen_ulong_t indices[2] = {0, 100000};
    xen_pfn_t gfns[2] = {spare + 3, spare + 4};
    int errors[2] = {1, 1};
    struct xen_add_to_physmap_batch batch = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .size = 2};
    set_xen_guest_handle(batch.idxs, indices);
    set_xen_guest_handle(batch.gpfns, gfns);
    set_xen_guest_handle(batch.errs, errors);
    EXPECT_EQ(MEMORY(XENMEM_add_to_physmap_batch, &batch), 0);
    EXPECT_EQ(errors[0], 0);
    EXPECT(errors[1] < 0);
    EXPECT_EQ(unmap(spare + 3), 0);

    batch.space = XENMAPSPACE_gmfn_foreign;
    batch.size = 1;
    batch.u.foreign_domid = 0x7000;
    EXPECT(MEMORY(XENMEM_add_to_physmap_batch, &batch) < 0 || errors[0] < 0);
}

static void test_resources(void)
{
    xen_pfn_t frames[1] = {0};
    struct xen_mem_acquire_resource acquire = {
        .domid = 0x7000, .type = XENMEM_resource_grant_table, .id = 0, .nr_frames = 1};
    set_xen_guest_handle(acquire.frame_list, frames);
    EXPECT(MEMORY(XENMEM_acquire_resource, &acquire) < 0);
    acquire.type = 99;
    EXPECT(MEMORY(XENMEM_acquire_resource, &acquire) < 0);
}

int main(void)
{
    spare = memory_reserve_space(8 * PAGE_SIZE) >> PAGE_SHIFT;
    test_queries();
    test_balloon();
    test_physmap();
    test_resources();
    return verdict("memory");
}
