/*
 * Mapping of granted pages: GNTTABOP_map_grant_ref and unmap_grant_ref, and the end of all mappings of a
 * dying domain.
 *
 * A handle stands for one pin and one frame reference (grant_pin()), and for a p2m entry of type P2M_GRANT_*
 * when the processor is to reach the page (GNTMAP_host_map). Devices do with the address that is told
 * (GNTMAP_device_map): that changes no map, and undoing it flushes nothing. Undoing goes in batches: entries
 * out, one flush, then pins and references. Only these functions touch such entries, so what the handle says
 * about an entry is true.
 *
 * Locking: see hv/gnttab_internal.h. The free handles have the mapping domain's LOCK_GNTTAB.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/p2m.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include <hv/panic.h>

#define GRANT_TYPES (P2M_BIT(P2M_GRANT_RW) | P2M_BIT(P2M_GRANT_RO))
#define USES        (GNTMAP_host_map | GNTMAP_device_map)
#define UNMAP_BATCH 32u

/* --- handles -------------------------------------------------------------------------------------------- */

static unsigned mapping_list_order(const struct gnttab *g)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) / sizeof g->mapping[0] < g->max_mapping_pages)
        order++;
    return order;
}

/* Adds a page of mappings to the free ones. */
static bool grow_handles_locked(struct gnttab *g)
{
    uint32_t page = g->handles / MAPPINGS_PER_PAGE;

    if (page >= g->max_mapping_pages)
        return false;
    if (!g->mapping)
        g->mapping = page_alloc(mapping_list_order(g));
    if (!g->mapping)
        return false;
    g->mapping[page] = page_alloc(0);
    if (!g->mapping[page])
        return false;
    for (uint32_t i = 0; i < MAPPINGS_PER_PAGE; i++)
        g->mapping[page][i].ref = i + 1 < MAPPINGS_PER_PAGE ? g->handles + i + 1 : g->free_handle;
    g->free_handle = g->handles;
    __atomic_store_n(&g->handles, g->handles + MAPPINGS_PER_PAGE, __ATOMIC_RELEASE);
    return true;
}

/* A handle in state MAPPING_BUSY, or NO_HANDLE. */
static uint32_t take_handle(struct gnttab *g)
{
    uint32_t handle = NO_HANDLE;

    spin_lock(&g->lock);
    if (g->free_handle != NO_HANDLE || grow_handles_locked(g)) {
        handle = g->free_handle;
        struct grant_mapping *m = grant_mapping(g, handle);
        g->free_handle = m->ref;
        m->state = MAPPING_BUSY;
    }
    spin_unlock(&g->lock);
    return handle;
}

static void give_back_handle(struct gnttab *g, uint32_t handle)
{
    struct grant_mapping *m = grant_mapping(g, handle);

    spin_lock(&g->lock);
    m->state = MAPPING_FREE;
    m->ref = g->free_handle;
    g->free_handle = handle;
    spin_unlock(&g->lock);
}

void gnttab_free_mappings(struct gnttab *g)
{
    for (uint32_t page = 0; page < g->handles / MAPPINGS_PER_PAGE; page++)
        page_free(g->mapping[page], 0);
    page_free(g->mapping, mapping_list_order(g));
}

/* --- mapping -------------------------------------------------------------------------------------------- */

static int check_flags(uint32_t flags)
{
    if (!(flags & USES))
        return GNTST_bad_gntref;
    return flags & ~(uint32_t)(USES | GNTMAP_readonly) ? GNTST_general_error : GNTST_okay;
}

/* Pins the grant, and puts the page where the processor is to see it. */
static int pin_and_map(struct domain *ld, struct domain *rd, const struct gnttab_map_grant_ref *op,
                       mfn_t *mfn)
{
    bool readonly = op->flags & GNTMAP_readonly;
    gfn_t gfn = gpa_to_gfn(GPA(op->host_addr));

    if (op->flags & GNTMAP_host_map && gfn.v > UINT32_MAX)
        return GNTST_general_error;
    int status = grant_pin(rd, op->ref, readonly, mfn);
    if (status == GNTST_okay && op->flags & GNTMAP_host_map &&
        p2m_add(ld, gfn, *mfn, ORDER_4K, readonly ? P2M_GRANT_RO : P2M_GRANT_RW)) {
        grant_unpin(rd, op->ref, readonly);
        frame_put(*mfn);
        status = GNTST_general_error;
    }
    return status;
}

static int map_one(struct domain *ld, struct gnttab_map_grant_ref *op)
{
    int status = check_flags(op->flags);
    if (status != GNTST_okay)
        return status;
    struct domain *rd = op->dom < DOMID_FIRST_RESERVED ? domain_find(op->dom) : NULL;
    if (!rd)
        return GNTST_bad_domain;
    uint32_t handle = take_handle(ld->gnttab);
    if (handle == NO_HANDLE)
        return GNTST_no_space;

    mfn_t mfn;
    status = pin_and_map(ld, rd, op, &mfn);
    if (status != GNTST_okay) {
        give_back_handle(ld->gnttab, handle);
        return status;
    }
    struct grant_mapping *m = grant_mapping(ld->gnttab, handle);
    m->gfn = (uint32_t)gpa_to_gfn(GPA(op->host_addr)).v;
    m->mfn = (uint32_t)mfn.v;
    m->ref = op->ref;
    m->domid = op->dom;
    m->flags = (uint8_t)op->flags;
    __atomic_store_n(&m->state, MAPPING_LIVE, __ATOMIC_RELEASE);
    op->handle = handle;
    op->dev_bus_addr = mfn_to_maddr(mfn).v;
    return GNTST_okay;
}

int64_t grant_map(uint64_t arg[6])
{
    struct domain *ld = current->domain;
    uint32_t count = (uint32_t)arg[2];

    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_map_grant_ref op;
        gva_t at = GVA(arg[1] + i * sizeof op);

        if (i == HYPERCALL_BUDGET)
            return grant_restart(arg, i, sizeof op);
        if (copy_from_guest(&op, at, sizeof op))
            return -XEN_EFAULT;
        op.status = (int16_t)map_one(ld, &op);
        if (copy_to_guest(at, &op, sizeof op))
            return -XEN_EFAULT;
    }
    return 0;
}

/* --- unmapping ------------------------------------------------------------------------------------------ */

/* Handles of which something was undone, and whose frames are still held. */
struct unmapped {
    bool flush; /* some p2m entry is out */
    unsigned count;
    uint32_t handle[UNMAP_BATCH];
};

static void finish_unmap(struct domain *ld, struct unmapped *u)
{
    if (u->flush)
        p2m_flush(ld);
    for (unsigned i = 0; i < u->count; i++) {
        struct grant_mapping *m = grant_mapping(ld->gnttab, u->handle[i]);
        if (m->flags & USES) {
            __atomic_store_n(&m->state, MAPPING_LIVE, __ATOMIC_RELEASE);
        } else {
            frame_put(grant_unpin(domain_find(m->domid), m->ref, m->flags & GNTMAP_readonly));
            give_back_handle(ld->gnttab, u->handle[i]);
        }
    }
    u->count = 0;
    u->flush = false;
}

/* Claims a live handle: from here on it is this CPU's. */
static bool claim_handle(struct gnttab *g, uint32_t handle)
{
    uint32_t handles = __atomic_load_n(&g->handles, __ATOMIC_ACQUIRE);
    uint8_t live = MAPPING_LIVE;

    if (handle >= handles)
        return false;
    struct grant_mapping *m = grant_mapping(g, (uint32_t)index_nospec(handle, handles));
    return __atomic_compare_exchange_n(&m->state, &live, MAPPING_BUSY, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* The handle is claimed; uses are among those that it has. */
static void undo(struct domain *ld, struct unmapped *u, uint32_t handle, uint8_t uses)
{
    struct grant_mapping *m = grant_mapping(ld->gnttab, handle);

    if (uses & GNTMAP_host_map) {
        struct p2m_entry old;
        int error = p2m_remove_noflush(ld, GFN(m->gfn), GRANT_TYPES, &old);
        ASSERT(!error);
        u->flush = true;
    }
    m->flags &= (uint8_t)~uses;
    u->handle[u->count++] = handle;
}

static int unmap_one(struct domain *ld, const struct gnttab_unmap_grant_ref *op, struct unmapped *u)
{
    if (!claim_handle(ld->gnttab, op->handle))
        return GNTST_bad_handle;

    struct grant_mapping *m = grant_mapping(ld->gnttab, op->handle);
    uint8_t uses = (op->host_addr ? GNTMAP_host_map : 0) | (op->dev_bus_addr ? GNTMAP_device_map : 0);
    bool elsewhere = op->host_addr && op->host_addr >> PAGE_SHIFT != m->gfn;
    bool another = op->dev_bus_addr && op->dev_bus_addr >> PAGE_SHIFT != m->mfn;
    /* A bus address that was told without being asked for is no use: naming it is no mistake. */
    uses &= m->flags | ~(uint8_t)GNTMAP_device_map;
    if (!uses || elsewhere || another || uses & ~m->flags) {
        __atomic_store_n(&m->state, MAPPING_LIVE, __ATOMIC_RELEASE);
        return elsewhere || another || uses ? GNTST_general_error : GNTST_okay;
    }
    undo(ld, u, op->handle, uses);
    return GNTST_okay;
}

int64_t grant_unmap(uint64_t arg[6])
{
    struct domain *ld = current->domain;
    uint32_t count = (uint32_t)arg[2], i;
    struct unmapped u = {.count = 0};
    int64_t result = 0;

    for (i = 0; i < count && !result; i++) {
        struct gnttab_unmap_grant_ref op;
        gva_t at = GVA(arg[1] + i * sizeof op);

        if (i == HYPERCALL_BUDGET) {
            result = grant_restart(arg, i, sizeof op);
            break;
        }
        if (copy_from_guest(&op, at, sizeof op)) {
            result = -XEN_EFAULT;
            break;
        }
        op.status = (int16_t)unmap_one(ld, &op, &u);
        if (copy_to_guest(GVA(at.v + offsetof(struct gnttab_unmap_grant_ref, status)), &op.status,
                          sizeof op.status))
            result = -XEN_EFAULT;
        if (u.count == UNMAP_BATCH)
            finish_unmap(ld, &u);
    }
    finish_unmap(ld, &u);
    return result;
}

int64_t gnttab_kill(struct domain *d)
{
    struct gnttab *g = d->gnttab;
    struct unmapped u = {.count = 0};

    for (unsigned i = 0; i < HYPERCALL_BUDGET && g->kill_next < g->handles; i++, g->kill_next++) {
        if (!claim_handle(g, g->kill_next))
            continue;
        undo(d, &u, g->kill_next, grant_mapping(g, g->kill_next)->flags & USES);
        if (u.count == UNMAP_BATCH)
            finish_unmap(d, &u);
    }
    finish_unmap(d, &u);
    return g->kill_next < g->handles ? HYPERCALL_RESTART : 0;
}
