/*
 * memory_op: pages put at chosen places of a guest-physical map (xen/memory.h): add_to_physmap and its batch,
 * remove_from_physmap, acquire_resource.
 *
 * A page that stood at the place before goes: RAM returns to the allocator, special pages are unhooked. Grant
 * mappings and device registers stay what they are. Foreign frames and resources may be mapped by privileged
 * domains only.
 *
 * Locking: LOCK_DOMAIN while a special page moves, of which there is one place at a time; the p2m's own lock
 * otherwise. A guest whose vCPUs work on one place at the same time gets one order or the other, never a lost
 * reference.
 */
#include <hv/arch/p2m.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/gnttab.h>
#include <hv/memory.h>
#include <xen/memory.h>

#define OWN_TYPES (P2M_BIT(P2M_RAM) | P2M_BIT(P2M_RAM_RO) | P2M_BIT(P2M_SHARED))

/* --- one page ------------------------------------------------------------------------------------------- */

/* Takes what is at gfn out, if it is one of types, and drops its reference. */
static int drop_page(struct domain *d, gfn_t gfn, uint32_t types)
{
    struct p2m_entry old;

    int error = p2m_remove(d, gfn, types, &old);
    if (!error)
        frame_put(old.mfn);
    return error;
}

/* Makes room at gfn for another page. The errors are those of Xen. */
static int clear_place(struct domain *d, gfn_t gfn)
{
    struct p2m_entry old;

    int error = p2m_remove(d, gfn, OWN_TYPES, &old);
    if (!error)
        frame_put(old.mfn);
    else if (error == -XEN_ENOENT)
        error = 0;
    else if (error == -XEN_EBUSY)
        error = old.type == P2M_DEVICE ? -XEN_EPERM : -XEN_ENXIO;
    return error;
}

/* Maps mfn, of which the caller holds a reference: it passes to the entry, or is dropped. */
static int place_page(struct domain *d, gfn_t gfn, mfn_t mfn, enum p2m_type type)
{
    int error = clear_place(d, gfn);
    if (!error)
        error = p2m_add(d, gfn, mfn, ORDER_4K, type);
    if (error)
        frame_put(mfn);
    return error;
}

/* Takes a special page from its old place, unless the guest has put something else there since. */
static void unhook_page(struct domain *d, gfn_t gfn, mfn_t mfn)
{
    if (gfn.v == INVALID_GFN.v)
        return;
    guest_access_begin(d);
    struct p2m_entry entry = p2m_lookup(d, gfn);
    guest_access_end();
    if (entry.type == P2M_SHARED && entry.mfn.v == mfn.v)
        drop_page(d, gfn, P2M_BIT(P2M_SHARED));
}

static int place_shared_info(struct domain *d, uint64_t index, gfn_t gfn)
{
    mfn_t mfn = virt_to_mfn(d->shared_info);

    if (index != 0)
        return -XEN_EINVAL;
    spin_lock(&d->lock);
    unhook_page(d, d->shared_info_gfn, mfn);
    d->shared_info_gfn = INVALID_GFN;
    frame_get_held(mfn);
    int error = place_page(d, gfn, mfn, P2M_SHARED);
    if (!error)
        d->shared_info_gfn = gfn;
    spin_unlock(&d->lock);
    return error;
}

static int place_grant_table(struct domain *d, uint64_t index, gfn_t gfn)
{
    mfn_t mfn;

    if (index > UINT32_MAX)
        return -XEN_EINVAL;
    int error = gnttab_frame(d, (uint32_t)index, &mfn);
    if (error)
        return error;
    spin_lock(&d->lock);
    unhook_page(d, gnttab_set_gfn(d, (uint32_t)index, INVALID_GFN), mfn);
    frame_get_held(mfn);
    error = place_page(d, gfn, mfn, P2M_SHARED);
    if (!error)
        gnttab_set_gfn(d, (uint32_t)index, gfn);
    spin_unlock(&d->lock);
    return error;
}

/* Moves a page of RAM. */
static int move_page(struct domain *d, gfn_t from, gfn_t to)
{
    struct p2m_entry old;

    void *page = map_guest_frame(d, from, true);
    if (!page)
        return -XEN_EINVAL;
    mfn_t mfn = virt_to_mfn(page);
    int error = 0;
    if (from.v != to.v) {
        error = clear_place(d, to);
        if (!error)
            error = p2m_remove(d, from, P2M_BIT(P2M_RAM), &old);
        if (!error && p2m_add(d, to, old.mfn, ORDER_4K, P2M_RAM)) {
            error = -XEN_EINVAL;
            frame_put(old.mfn);
        }
    }
    frame_put(mfn);
    return error;
}

static int place_foreign(struct domain *d, domid_t foreign, uint64_t index, gfn_t gfn)
{
    if (!d->privileged)
        return -XEN_EPERM;

    struct domain *owner = domain_find(foreign);
    if (!owner)
        return -XEN_ESRCH;
    if (owner == current->domain)
        return -XEN_EPERM;
    if (owner == d)
        return -XEN_EINVAL;
    void *page = map_guest_frame(owner, GFN(index), true);
    return page ? place_page(d, gfn, virt_to_mfn(page), P2M_FOREIGN) : -XEN_EINVAL;
}

static int place(struct domain *d, unsigned space, domid_t foreign, uint64_t index, gfn_t gfn)
{
    switch (space) {
    case XENMAPSPACE_shared_info:
        return place_shared_info(d, index, gfn);
    case XENMAPSPACE_grant_table:
        return place_grant_table(d, index, gfn);
    case XENMAPSPACE_gmfn:
        return move_page(d, GFN(index), gfn);
    case XENMAPSPACE_gmfn_foreign:
        return place_foreign(d, foreign, index, gfn);
    default:
        return -XEN_EINVAL;
    }
}

int physmap_add_own(struct domain *d, unsigned space, uint64_t index, gfn_t gfn)
{
    if (space != XENMAPSPACE_shared_info && space != XENMAPSPACE_grant_table && space != XENMAPSPACE_gmfn)
        return -XEN_ENOSYS;
    return place(d, space, DOMID_INVALID, index, gfn);
}

/* Device registers reach dom0 by other ways, and nobody else. */
static int check_target(domid_t id, unsigned space, struct domain **d)
{
    int error = domain_find_target(id, d);
    if (!error && space == XENMAPSPACE_dev_mmio)
        error = -XEN_EACCES;
    return error;
}

/* --- operations ----------------------------------------------------------------------------------------- */

static int64_t add_range(uint64_t arg[6], struct domain *d, const struct xen_add_to_physmap *a,
                         uint64_t start)
{
    if (a->size < start)
        return -XEN_EILSEQ;
    if (a->gpfn + a->size < a->gpfn || a->idx + a->size < a->idx)
        return -XEN_EOVERFLOW;
    for (uint64_t i = start; i < a->size; i++) {
        if (i - start == HYPERCALL_BUDGET)
            return memory_restart(arg, i);
        int error = move_page(d, GFN(a->idx + i), GFN(a->gpfn + i));
        if (error)
            return error;
    }
    return 0;
}

int64_t memory_add_to_physmap(uint64_t arg[6], uint64_t start)
{
    struct xen_add_to_physmap a;
    struct domain *d;

    if (start > UINT16_MAX)
        return -XEN_EDOM;
    if (copy_from_guest(&a, memory_argument(arg), sizeof a))
        return -XEN_EFAULT;
    if (a.space == XENMAPSPACE_gmfn_foreign)
        return -XEN_ENOSYS;
    int error = check_target(a.domid, a.space, &d);
    if (error)
        return error;
    if (a.gpfn == INVALID_GFN.v)
        return -XEN_EINVAL;
    if (a.space == XENMAPSPACE_gmfn_range)
        return add_range(arg, d, &a, start);
    return place(d, a.space, DOMID_INVALID, a.idx, GFN(a.gpfn));
}

int64_t memory_add_to_physmap_batch(uint64_t arg[6], uint64_t start)
{
    struct xen_add_to_physmap_batch b;
    struct domain *d;

    if (start > UINT16_MAX)
        return -XEN_EDOM;
    if (copy_from_guest(&b, memory_argument(arg), sizeof b))
        return -XEN_EFAULT;
    if (b.space == XENMAPSPACE_gmfn_range)
        return -XEN_EOPNOTSUPP;
    int error = check_target(b.domid, b.space, &d);
    if (error)
        return error;
    if (b.size < start || (b.size == start && start))
        return -XEN_EILSEQ;

    for (uint64_t i = start; i < b.size; i++) {
        xen_ulong_t index;
        xen_pfn_t gfn;

        if (i - start == HYPERCALL_BUDGET)
            return memory_restart(arg, i);
        if (copy_element_from_guest(&index, b.idxs, i) || copy_element_from_guest(&gfn, b.gpfns, i))
            return -XEN_EFAULT;
        if (gfn == INVALID_GFN.v)
            return -XEN_EINVAL;
        int result = place(d, b.space, b.u.foreign_domid, index, GFN(gfn));
        if (copy_element_to_guest(b.errs, i, &result))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t memory_remove_from_physmap(uint64_t arg[6], uint64_t start)
{
    struct xen_remove_from_physmap r;
    struct domain *d;

    (void)start;
    if (copy_from_guest(&r, memory_argument(arg), sizeof r))
        return -XEN_EFAULT;
    int error = domain_find_target(r.domid, &d);
    if (!error)
        error = drop_page(d, GFN(r.gpfn), OWN_TYPES | P2M_BIT(P2M_FOREIGN));
    return error == -XEN_EBUSY ? -XEN_ENOENT : error;
}

/* --- resources ------------------------------------------------------------------------------------------ */

/* Frames of d's grant table appear in the caller's map. Entries that fail are left out: the first error ends
 * it. */
static int64_t map_grant_frames(uint64_t arg[6], struct domain *d, const struct xen_mem_acquire_resource *r,
                                uint64_t start)
{
    for (uint64_t i = start; i < r->nr_frames; i++) {
        xen_pfn_t gfn;
        mfn_t mfn;

        if (i - start == HYPERCALL_BUDGET)
            return memory_restart(arg, i);
        int error = copy_element_from_guest(&gfn, r->frame_list, i);
        if (!error)
            error = gnttab_frame(d, (uint32_t)(r->frame + i), &mfn);
        if (!error) {
            frame_get_held(mfn);
            error = p2m_add(current->domain, GFN(gfn), mfn, ORDER_4K, P2M_FOREIGN);
            if (error)
                frame_put(mfn);
        }
        if (error)
            return i ? -XEN_EIO : error;
    }
    return 0;
}

int64_t memory_acquire_resource(uint64_t arg[6], uint64_t start)
{
    struct xen_mem_acquire_resource r;
    gva_t argument = memory_argument(arg);

    if (!current->domain->privileged)
        return -XEN_EACCES;
    if (copy_from_guest(&r, argument, sizeof r))
        return -XEN_EFAULT;
    if (r.pad || r.frame > UINT32_MAX || r.frame + r.nr_frames > UINT32_MAX)
        return -XEN_EINVAL;
    struct domain *d = domain_find(r.domid);
    if (!d)
        return -XEN_ESRCH;
    if (d == current->domain)
        return -XEN_EPERM;
    if (r.type != XENMEM_resource_grant_table)
        return -XEN_EOPNOTSUPP;
    if (r.id != XENMEM_resource_grant_table_id_shared)
        return -XEN_EINVAL;

    if (!handle_gva(r.frame_list).v) {
        if (r.nr_frames || start)
            return -XEN_EINVAL;
        r.nr_frames = gnttab_max_frames(d);
        return copy_to_guest(argument, &r, sizeof r);
    }
    if (start >= r.nr_frames || r.nr_frames > MEMOP_MAX_EXTENTS)
        return -XEN_EINVAL;
    return map_grant_frames(arg, d, &r, start);
}
