/*
 * memory_op: the table of its operations, reservations (populate, decrease) and queries (xen/memory.h).
 *
 * Populate and decrease return how many extents they did, also when they stopped at a bad one or had not the
 * right to begin: that is the ABI. Populate-on-demand does not exist. Extents are at most 2 MiB, so that
 * scrubbing one is bounded work; a toolstack that asks for more gets "0 done" and goes on with less.
 *
 * Locking: none here; frames, p2m and page counts look after themselves.
 */
#include <hv/arch/p2m.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/memory.h>
#include <xen/memory.h>

#define MAX_EXTENT_ORDER ORDER_2M

/* --- populate ------------------------------------------------------------------------------------------- */

/* ALLOC_* for a request's flags; false when they cannot be had. There is one NUMA node, number 0. */
static bool allocation_flags(uint32_t mem_flags, unsigned *flags)
{
    unsigned bits = XENMEMF_get_address_bits(mem_flags);
    unsigned node = XENMEMF_get_node(mem_flags);

    if (mem_flags & XENMEMF_populate_on_demand)
        return false;
    if (node != 0xff && node != 0 &&
        (current->domain->privileged || (mem_flags & XENMEMF_exact_node_request)))
        return false;
    *flags = ALLOC_ANY;
    if (bits == 0 || bits >= 64 || frame_limit <= 1ull << bits >> PAGE_SHIFT)
        return true;
    *flags = ALLOC_BELOW_4G;
    return bits >= 32;
}

/*
 * The first domain is mapped one to one for the sake of its devices: where it names RAM, it gets that very
 * RAM or nothing.
 */
static mfn_t allocate(struct domain *d, gfn_t gfn, unsigned order, unsigned flags)
{
    if (d == dom0 && mfn_is_ram(MFN(gfn.v)))
        return frame_alloc_at(d, MFN(gfn.v), 1ull << order) ? MFN(gfn.v) : INVALID_MFN;
    return frame_alloc(d, order, flags);
}

static bool populate_extent(struct domain *d, gfn_t gfn, unsigned order, unsigned flags)
{
    mfn_t mfn = allocate(d, gfn, order, flags);

    if (!mfn_valid_value(mfn))
        return false;
    if (!p2m_add(d, gfn, mfn, order, P2M_RAM))
        return true;
    frames_put(mfn, 1ull << order);
    return false;
}

/* --- decrease ------------------------------------------------------------------------------------------- */

/* Frames that left the p2m and are put once no CPU can still reach them. */
struct leaving {
    struct domain *domain;
    unsigned count;
    mfn_t mfn[64];
};

static void put_leaving(struct leaving *l)
{
    if (l->count)
        p2m_flush(l->domain);
    for (unsigned i = 0; i < l->count; i++)
        frame_put(l->mfn[i]);
    l->count = 0;
}

static bool release_extent(struct leaving *l, gfn_t gfn, unsigned order)
{
    for (uint64_t i = 0; i < 1ull << order; i++) {
        struct p2m_entry old;

        if (p2m_remove_noflush(l->domain, gfn_plus(gfn, i),
                               P2M_BIT(P2M_RAM) | P2M_BIT(P2M_RAM_RO) | P2M_BIT(P2M_SHARED), &old))
            return false;
        l->mfn[l->count++] = old.mfn;
        if (l->count == ARRAY_SIZE(l->mfn))
            put_leaving(l);
    }
    return true;
}

/* --- both ----------------------------------------------------------------------------------------------- */

/* Reads and checks the request; false: nothing is to be done. */
static bool get_reservation(gva_t argument, uint64_t start, struct xen_memory_reservation *r,
                            struct domain **d)
{
    return !copy_from_guest(r, argument, sizeof *r) && r->nr_extents <= MEMOP_MAX_EXTENTS &&
           start < r->nr_extents && !domain_find_target(r->domid, d) && r->extent_order <= MAX_EXTENT_ORDER;
}

static int64_t populate_physmap(uint64_t arg[6], uint64_t start)
{
    struct xen_memory_reservation r;
    struct domain *d;
    unsigned flags, budget = HYPERCALL_BUDGET;
    uint64_t done = start;

    if (!get_reservation(memory_argument(arg), start, &r, &d) || !allocation_flags(r.mem_flags, &flags))
        return start;
    for (; done < r.nr_extents; done++) {
        xen_pfn_t gfn;

        if (!budget)
            return memory_restart(arg, done);
        if (copy_element_from_guest(&gfn, r.extent_start, done) ||
            !populate_extent(d, GFN(gfn), r.extent_order, flags))
            break;
        budget -= MIN(budget, 1u << r.extent_order);
    }
    return done;
}

static int64_t decrease_reservation(uint64_t arg[6], uint64_t start)
{
    struct xen_memory_reservation r;
    struct leaving leaving;
    unsigned budget = HYPERCALL_BUDGET;
    uint64_t done = start;

    if (!get_reservation(memory_argument(arg), start, &r, &leaving.domain))
        return start;
    leaving.count = 0; /* and the rest of it is not cleared for nothing */
    for (; done < r.nr_extents && budget; done++) {
        xen_pfn_t gfn;

        if (copy_element_from_guest(&gfn, r.extent_start, done) ||
            !release_extent(&leaving, GFN(gfn), r.extent_order))
            break;
        budget -= MIN(budget, 1u << r.extent_order);
    }
    put_leaving(&leaving);
    return budget || done == r.nr_extents ? (int64_t)done : memory_restart(arg, done);
}

/* Pages that no address leads to are of no use to a domain that does not know machine frames: none are given.
 */
static int64_t increase_reservation(uint64_t arg[6], uint64_t start)
{
    (void)arg;
    return start;
}

/* A toolstack makes sure of all the memory that it is going to populate. */
static int64_t claim_pages(uint64_t arg[6], uint64_t start)
{
    struct xen_memory_reservation r;

    (void)start;
    if (copy_from_guest(&r, memory_argument(arg), sizeof r))
        return -XEN_EFAULT;
    struct domain *d = domain_find(r.domid);
    if (r.extent_start.p || r.extent_order || r.mem_flags || !d)
        return -XEN_EINVAL;
    return current->domain->privileged ? frames_claim(d, r.nr_extents) : -XEN_EPERM;
}

static int64_t exchange(uint64_t arg[6], uint64_t start)
{
    struct xen_memory_exchange e;

    (void)start;
    return copy_from_guest(&e, memory_argument(arg), sizeof e) ? -XEN_EFAULT : -XEN_EOPNOTSUPP;
}

/* --- queries -------------------------------------------------------------------------------------------- */

static int64_t maximum_ram_page(uint64_t arg[6], uint64_t start)
{
    (void)arg, (void)start;
    return (int64_t)frame_limit;
}

static int64_t query_domain(uint64_t arg[6], uint64_t start)
{
    struct xen_memory_domain query;
    struct domain *d;

    (void)start;
    if (copy_from_guest(&query, memory_argument(arg), sizeof query))
        return -XEN_EFAULT;
    int error = domain_find_target(query.domid, &d);
    if (error)
        return error;
    switch (arg[0] & MEMOP_COMMAND_MASK) {
    case XENMEM_current_reservation:
        return d->total_pages;
    case XENMEM_maximum_reservation:
        return d->max_pages;
    default:
        return (int64_t)p2m_max_gfn(d).v;
    }
}

/* Without populate-on-demand any target is met already, by the pages that there are. */
static int64_t pod_target(uint64_t arg[6], uint64_t start)
{
    struct xen_pod_target target;
    struct domain *d;

    (void)start;
    if (copy_from_guest(&target, memory_argument(arg), sizeof target))
        return -XEN_EFAULT;
    d = domain_find(target.domid);
    if (!d)
        return -XEN_ESRCH;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    if ((arg[0] & MEMOP_COMMAND_MASK) == XENMEM_set_pod_target && target.target_pages > d->max_pages)
        return -XEN_EINVAL;
    target.tot_pages = d->total_pages;
    target.pod_cache_pages = 0;
    target.pod_entries = 0;
    return copy_to_guest(memory_argument(arg), &target, sizeof target);
}

static int64_t sharing_pages(uint64_t arg[6], uint64_t start)
{
    (void)arg, (void)start;
    return 0;
}

static int64_t get_vnumainfo(uint64_t arg[6], uint64_t start)
{
    struct xen_vnuma_topology_info info;
    struct domain *d;

    (void)start;
    if (copy_from_guest(&info, memory_argument(arg), sizeof info))
        return -XEN_EFAULT;
    if (info.pad)
        return -XEN_EINVAL;
    int error = domain_find_target(info.domid, &d);
    return error ? error : -XEN_EOPNOTSUPP;
}

int64_t do_memory_op(uint64_t arg[6])
{
    static const struct {
        memop_fn *fn;
        bool in_steps; /* may go on from an extent; others start at 0 only */
    } operation[] = {
        [XENMEM_increase_reservation] = {increase_reservation, true},
        [XENMEM_decrease_reservation] = {decrease_reservation, true},
        [XENMEM_populate_physmap] = {populate_physmap, true},
        [XENMEM_exchange] = {exchange, false},
        [XENMEM_maximum_ram_page] = {maximum_ram_page, false},
        [XENMEM_current_reservation] = {query_domain, false},
        [XENMEM_maximum_reservation] = {query_domain, false},
        [XENMEM_maximum_gpfn] = {query_domain, false},
        [XENMEM_memory_map] = {memory_get_map, false},
        [XENMEM_set_memory_map] = {memory_set_map, false},
        [XENMEM_reserved_device_memory_map] = {memory_reserved_device_map, false},
        [XENMEM_add_to_physmap] = {memory_add_to_physmap, true},
        [XENMEM_add_to_physmap_batch] = {memory_add_to_physmap_batch, true},
        [XENMEM_remove_from_physmap] = {memory_remove_from_physmap, false},
        [XENMEM_acquire_resource] = {memory_acquire_resource, true},
        [XENMEM_set_pod_target] = {pod_target, false},
        [XENMEM_get_pod_target] = {pod_target, false},
        [XENMEM_get_sharing_freed_pages] = {sharing_pages, false},
        [XENMEM_get_sharing_shared_pages] = {sharing_pages, false},
        [XENMEM_get_vnumainfo] = {get_vnumainfo, false},
        [XENMEM_claim_pages] = {claim_pages, false},
    };
    uint64_t command = arg[0] & MEMOP_COMMAND_MASK, start = arg[0] >> MEMOP_EXTENT_SHIFT;

    if (command >= ARRAY_SIZE(operation) || !operation[command].fn)
        return -XEN_ENOSYS;
    if (start && !operation[command].in_steps)
        return -XEN_EINVAL;
    return operation[command].fn(arg, start);
}
