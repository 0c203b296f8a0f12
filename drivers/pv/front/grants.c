/*
 * The domain's grant table, version 1 (drivers/front.h, xen/grant_table.h). Free references hang on a list by
 * their number.
 */
#include <drivers/front.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/memory.h>
#include "internal.h"

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define MAX_FRAMES        32u

static volatile struct grant_entry_v1 *table;
static grant_ref_t next_free[MAX_FRAMES * ENTRIES_PER_FRAME], first_free;

bool grants_map(void)
{
    struct gnttab_query_size size = {.dom = DOMID_SELF};
    if (hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (uintptr_t)&size, 1, 0, 0) ||
        size.status != GNTST_okay)
        return false;
    uint32_t frames = size.max_nr_frames < MAX_FRAMES ? size.max_nr_frames : MAX_FRAMES;
    uint64_t space = memory_reserve_space(frames * PAGE_SIZE);
    for (uint32_t i = 0; i < frames; i++) {
        struct xen_add_to_physmap add = {.domid = DOMID_SELF,
                                         .space = XENMAPSPACE_grant_table,
                                         .idx = i,
                                         .gpfn = (space >> PAGE_SHIFT) + i};
        if (!space || hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uintptr_t)&add, 0, 0, 0))
            return false;
    }
    table = (volatile struct grant_entry_v1 *)space;
    /* The first ones are the toolstack's: the console's ring and the store's. */
    for (grant_ref_t ref = frames * ENTRIES_PER_FRAME - 1; ref >= GNTTAB_NR_RESERVED_ENTRIES; ref--) {
        next_free[ref] = first_free;
        first_free = ref;
    }
    return true;
}

grant_ref_t grant_offer(domid_t to, const void *page, bool read_only)
{
    grant_ref_t ref = first_free;
    if (ref == GRANT_NONE)
        pvh_panic("no grant reference is left");
    first_free = next_free[ref];
    table[ref].domid = to;
    table[ref].frame = (uint32_t)((uintptr_t)page >> PAGE_SHIFT);
    __atomic_store_n(&table[ref].flags, GTF_permit_access | (read_only ? GTF_readonly : 0), __ATOMIC_SEQ_CST);
    return ref;
}

bool grant_withdraw(grant_ref_t ref)
{
    uint16_t flags = table[ref].flags;
    do {
        if (flags & (GTF_reading | GTF_writing))
            return false;
    } while (!__atomic_compare_exchange_n(&table[ref].flags, &flags, 0, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    next_free[ref] = first_free;
    first_free = ref;
    return true;
}

volatile struct grant_entry_v1 *grant_entry(grant_ref_t ref)
{
    return &table[ref];
}
