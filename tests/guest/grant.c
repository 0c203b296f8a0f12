/* grant_table_op, version 1: size, setup, map, unmap, copy; transfer refused (xen/grant_table.h). Grants to
 * ourselves. */
#include "check.h"
#include <xen/grant_table.h>

#define GRANT(command, argument, count)                                                                      \
    hypercall(__HYPERVISOR_grant_table_op, (command), (uint64_t)(uintptr_t)(argument), (count), 0, 0)
#define REF 40 /* above the reserved entries */

static volatile struct grant_entry_v1 *table;
static uint64_t space; /* guest-physical room to map into */
static domid_t self;
static uint8_t *page;

static void test_sizes(void)
{
    struct gnttab_query_size size = {.dom = DOMID_SELF};
    EXPECT_EQ(GRANT(GNTTABOP_query_size, &size, 1), 0);
    EXPECT_EQ(size.status, GNTST_okay);
    EXPECT(size.nr_frames >= 1 && size.max_nr_frames >= size.nr_frames);
    size.dom = 0x7000;
    EXPECT_EQ(GRANT(GNTTABOP_query_size, &size, 1), 0);
    EXPECT(size.status < 0);

    xen_pfn_t frames[1];
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1};
    set_xen_guest_handle(setup.frame_list, frames);
    EXPECT_EQ(GRANT(GNTTABOP_setup_table, &setup, 1), 0);
    EXPECT_EQ(setup.status, GNTST_okay);
    setup.nr_frames = 1000000;
    EXPECT_EQ(GRANT(GNTTABOP_setup_table, &setup, 1), 0);
    EXPECT(setup.status < 0);

    struct gnttab_get_version get = {.dom = DOMID_SELF};
    EXPECT_EQ(GRANT(GNTTABOP_get_version, &get, 1), 0);
    EXPECT(get.version <= 1);
    struct gnttab_set_version set = {.version = 1};
    EXPECT_EQ(GRANT(GNTTABOP_set_version, &set, 1), 0);
    EXPECT_EQ(set.version, 1);
    set.version = 3;
    EXPECT(GRANT(GNTTABOP_set_version, &set, 1) < 0);
}

static void offer(unsigned ref, const void *what, uint16_t flags)
{
    table[ref].domid = self;
    table[ref].frame = (uint32_t)frame_of(what);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    table[ref].flags = flags;
}

static struct gnttab_map_grant_ref map(unsigned ref, uint64_t at, uint32_t flags)
{
    struct gnttab_map_grant_ref op = {.host_addr = at, .flags = flags, .ref = ref, .dom = self};
    EXPECT_EQ(GRANT(GNTTABOP_map_grant_ref, &op, 1), 0);
    return op;
}

static int unmap(grant_handle_t handle, uint64_t at)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = at, .handle = handle};
    EXPECT_EQ(GRANT(GNTTABOP_unmap_grant_ref, &op, 1), 0);
    return op.status;
}

/*
 * A page to map a grant of. Xen 4.17 takes a page that a domain grants to itself away from where it was, so
 * each is used once and looked at through its mappings only.
 */
static uint8_t *fresh_page(void)
{
    uint8_t *fresh = page_alloc(1);
    memset(fresh, 0, PAGE_SIZE);
    fresh[0] = 0x77;
    return fresh;
}

static void test_map(void)
{
    offer(REF, fresh_page(), GTF_permit_access);
    struct gnttab_map_grant_ref op = map(REF, space, GNTMAP_host_map);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(table[REF].flags, GTF_permit_access | GTF_reading | GTF_writing);
    volatile uint8_t *mapped = (volatile uint8_t *)space;
    EXPECT_EQ(mapped[0], 0x77);
    mapped[1] = 0x78;

    /* A second mapping of the same grant has a handle of its own; flags stay until the last is gone. */
    struct gnttab_map_grant_ref second = map(REF, space + PAGE_SIZE, GNTMAP_host_map | GNTMAP_readonly);
    EXPECT_EQ(second.status, GNTST_okay);
    EXPECT(second.handle != op.handle);
    EXPECT_EQ(mapped[PAGE_SIZE], 0x77);
    EXPECT_EQ(mapped[PAGE_SIZE + 1], 0x78);
    EXPECT_EQ(unmap(op.handle, space), GNTST_okay);
    EXPECT_EQ(table[REF].flags, GTF_permit_access | GTF_reading);
    EXPECT_EQ(unmap(op.handle, space), GNTST_bad_handle);
    EXPECT_EQ(unmap(second.handle, space + PAGE_SIZE), GNTST_okay);
    EXPECT_EQ(table[REF].flags, GTF_permit_access);

    /* Read-only is read-only. */
    offer(REF, fresh_page(), GTF_permit_access | GTF_readonly);
    EXPECT_EQ(map(REF, space, GNTMAP_host_map).status, GNTST_general_error);
    op = map(REF, space, GNTMAP_host_map | GNTMAP_readonly);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(mapped[0], 0x77);
    EXPECT_EQ(unmap(op.handle, space), GNTST_okay);
}

static void test_map_refusals(void)
{
    table[REF + 1].flags = 0;
    EXPECT_EQ(map(REF + 1, space, GNTMAP_host_map).status, GNTST_general_error); /* an empty entry */
    EXPECT_EQ(map(1000000, space, GNTMAP_host_map).status, GNTST_bad_gntref);
    offer(REF, page, GTF_permit_access);
    EXPECT_EQ(map(REF, space, 0).status, GNTST_bad_gntref); /* neither host nor device */
    table[REF].domid = 0x6fff;
    EXPECT_EQ(map(REF, space, GNTMAP_host_map).status, GNTST_general_error); /* meant for another */
    offer(REF, (void *)(1ull << 43), GTF_permit_access);
    EXPECT(map(REF, space, GNTMAP_host_map).status < 0); /* no such frame */
    offer(REF, page, GTF_permit_access);

    struct gnttab_map_grant_ref stranger = {
        .host_addr = space, .flags = GNTMAP_host_map, .ref = REF, .dom = 0x7000};
    EXPECT_EQ(GRANT(GNTTABOP_map_grant_ref, &stranger, 1), 0);
    EXPECT_EQ(stranger.status, GNTST_bad_domain);
    EXPECT_EQ(unmap(0x12345678, space), GNTST_bad_handle);
    EXPECT_EQ(GRANT(GNTTABOP_map_grant_ref, BAD_POINTER, 1), -XEN_EFAULT);
    EXPECT(GRANT(99, &stranger, 1) < 0);

    /* A list: each entry has its own result. */
    offer(REF, fresh_page(), GTF_permit_access);
    struct gnttab_map_grant_ref list[3] = {
        {.host_addr = space, .flags = GNTMAP_host_map, .ref = REF, .dom = self},
        {.host_addr = space + PAGE_SIZE, .flags = GNTMAP_host_map, .ref = 1000000, .dom = self},
        {.host_addr = space + 2 * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = REF, .dom = self},
    };
    EXPECT_EQ(GRANT(GNTTABOP_map_grant_ref, list, 3), 0);
    EXPECT_EQ(list[0].status, GNTST_okay);
    EXPECT_EQ(list[1].status, GNTST_bad_gntref);
    EXPECT_EQ(list[2].status, GNTST_okay);
    EXPECT_EQ(unmap(list[0].handle, space), GNTST_okay);
    EXPECT_EQ(unmap(list[2].handle, space + 2 * PAGE_SIZE), GNTST_okay);
}

static int copy(struct gnttab_copy op)
{
    EXPECT_EQ(GRANT(GNTTABOP_copy, &op, 1), 0);
    return op.status;
}

static void test_copy(void)
{
    uint8_t *to = page_alloc(1);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        page[i] = (uint8_t)(i * 7);
    memset(to, 0, PAGE_SIZE);
    offer(REF, page, GTF_permit_access | GTF_readonly);
    struct gnttab_copy op = {
        .source = {.u.ref = REF, .domid = self, .offset = 100},
        .dest = {.u.gmfn = frame_of(to), .domid = DOMID_SELF, .offset = 200},
        .len = 1000,
        .flags = GNTCOPY_source_gref,
    };
    EXPECT_EQ(copy(op), GNTST_okay);
    EXPECT(memcmp(to + 200, page + 100, 1000) == 0 && to[199] == 0 && to[1200] == 0);
    EXPECT_EQ(table[REF].flags, GTF_permit_access | GTF_readonly);

    op.len = 4000;
    EXPECT_EQ(copy(op), GNTST_bad_copy_arg); /* 200 + 4000 is over the page */
    op.len = 8;
    op.dest.offset = 0xffff;
    EXPECT_EQ(copy(op), GNTST_bad_copy_arg);
    op.dest.offset = 0;
    op.source.u.ref = 1000000;
    EXPECT_EQ(copy(op), GNTST_bad_gntref);

    /* Into a grant that only lets read. */
    struct gnttab_copy back = {
        .source = {.u.gmfn = frame_of(to), .domid = DOMID_SELF},
        .dest = {.u.ref = REF, .domid = self},
        .len = 16,
        .flags = GNTCOPY_dest_gref,
    };
    EXPECT_EQ(copy(back), GNTST_general_error);
    offer(REF, page, GTF_permit_access);
    EXPECT_EQ(copy(back), GNTST_okay);
    EXPECT_EQ(memcmp(to, page, 16), 0);
    back.source.u.gmfn = 1ull << 40;
    EXPECT(copy(back) < 0);
    page_free(to, 1);
}

static void test_transfer(void)
{
    struct gnttab_transfer op = {.mfn = frame_of(page), .domid = self, .ref = REF, .status = 0x55};
    long result = GRANT(GNTTABOP_transfer, &op, 1);
    EXPECT(result < 0 || op.status < 0);
}

int main(void)
{
    self = own_domid();
    page = page_alloc(1);
    space = memory_reserve_space(4 * PAGE_SIZE);
    uint64_t at = memory_reserve_space(PAGE_SIZE);
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = at >> PAGE_SHIFT};
    EXPECT_EQ(OP(memory_op, XENMEM_add_to_physmap, &add), 0);
    table = (volatile struct grant_entry_v1 *)at;
    test_sizes();
    test_map();
    test_map_refusals();
    test_copy();
    test_transfer();
    return verdict("grant");
}
