/* Domains that the bench makes as a toolstack would (xen/domctl.h). No state but buffers, one caller at a
 * time. */
#include <bench.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/memory.h>

#define MAX_PIECES 32u

long control(struct xen_domctl *op, unsigned command, domid_t domid)
{
    op->cmd = command;
    op->domain = domid;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_domctl, (uint64_t)op, 0, 0, 0, 0);
}

static long set_up(struct xen_domctl *op, domid_t domid, unsigned pieces)
{
    static xen_pfn_t frames[MAX_PIECES];
    op->u.max_vcpus.max = 1;
    long rc = control(op, XEN_DOMCTL_max_vcpus, domid);
    op->u.max_mem.max_memkb = (pieces << 11) + 1024;
    rc = rc < 0 ? rc : control(op, XEN_DOMCTL_max_mem, domid);
    op->u.paging_mempool.size = 2 << 20;
    rc = rc < 0 ? rc : control(op, XEN_DOMCTL_set_paging_mempool_size, domid);
    for (unsigned i = 0; i < pieces; i++)
        frames[i] = i << 9;
    struct xen_memory_reservation r = {.nr_extents = pieces, .extent_order = 9, .domid = domid};
    set_xen_guest_handle(r.extent_start, frames);
    if (rc >= 0)
        rc = hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (uint64_t)&r, 0, 0, 0) - pieces;
    return rc;
}

long domain_create(unsigned pieces)
{
    static struct xen_domctl op;
    if (pieces > MAX_PIECES)
        return -1;
    op = (struct xen_domctl){.u.createdomain = {.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
                                                .max_vcpus = 1,
                                                .max_evtchn_port = 1023,
                                                .max_grant_frames = -1,
                                                .max_maptrack_frames = -1,
                                                .grant_opts = XEN_DOMCTL_GRANT_version(1),
                                                .arch.emulation_flags = XEN_X86_EMU_LAPIC}};
    long rc = control(&op, XEN_DOMCTL_createdomain, 0);
    if (rc < 0)
        return rc;
    domid_t domid = op.domain;
    rc = set_up(&op, domid, pieces);
    return rc < 0 ? rc : domid;
}

long domain_destroy(domid_t domid)
{
    static struct xen_domctl op;
    return control(&op, XEN_DOMCTL_destroydomain, domid);
}

long pin(domid_t domid, unsigned vcpu, unsigned cpu)
{
    static struct xen_domctl op;
    static uint8_t map[8];
    for (unsigned i = 0; i < sizeof map; i++)
        map[i] = cpu / 8 == i ? (uint8_t)(1u << cpu % 8) : 0;
    op = (struct xen_domctl){.u.vcpuaffinity = {.vcpu = vcpu, .flags = XEN_VCPUAFFINITY_HARD}};
    op.u.vcpuaffinity.cpumap_hard.nr_bits = 8 * sizeof map;
    set_xen_guest_handle(op.u.vcpuaffinity.cpumap_hard.bitmap, map);
    return control(&op, XEN_DOMCTL_setvcpuaffinity, domid);
}
