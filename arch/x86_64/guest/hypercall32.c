/*
 * Hypercalls from code that is not in 64-bit mode: boot loaders, as GRUB's PVH image is, and what kernels
 * call before they get to 64-bit mode.
 *
 * Operations without structures, or with ones that the 32-bit ABI lays out alike, are let through. Those of
 * memory_op that a boot loader needs to find its memory, its grant table and the shared info are translated.
 * All others are -ENOSYS. The layouts are those of xen/memory.h with xen_ulong_t, xen_pfn_t and handles of
 * four bytes.
 */
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <hv/memory.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/version.h>
#include "guest.h"
#include "hypercall32.h"

struct memory_map32 {
    uint32_t entries, buffer;
};

struct foreign_memory_map32 {
    domid_t domid;
    struct memory_map32 map;
};

struct add_to_physmap32 {
    domid_t domid;
    uint16_t size;
    uint32_t space, index, gfn;
};

static int64_t get_memory_map(struct domain *d, gva_t argument)
{
    struct memory_map32 map;
    if (copy_from_guest(&map, argument, sizeof map))
        return -XEN_EFAULT;
    int error = memory_map_read(d, GVA(map.buffer), &map.entries);
    return error ? error : copy_to_guest(argument, &map, sizeof map);
}

static int64_t set_memory_map(struct domain *d, gva_t argument)
{
    struct foreign_memory_map32 request;
    if (copy_from_guest(&request, argument, sizeof request))
        return -XEN_EFAULT;
    if (request.domid != DOMID_SELF)
        return -XEN_ENOSYS;
    return memory_map_write(d, GVA(request.map.buffer), request.map.entries);
}

static int64_t add_to_physmap(struct domain *d, gva_t argument)
{
    struct add_to_physmap32 a;
    if (copy_from_guest(&a, argument, sizeof a))
        return -XEN_EFAULT;
    if (a.domid != DOMID_SELF)
        return -XEN_ENOSYS;
    return physmap_add_own(d, a.space, a.index, GFN(a.gfn));
}

static int64_t memory_op32(struct domain *d, uint32_t op, gva_t argument)
{
    switch (op) {
    case XENMEM_memory_map:
        return get_memory_map(d, argument);
    case XENMEM_set_memory_map:
        return set_memory_map(d, argument);
    case XENMEM_add_to_physmap:
        return add_to_physmap(d, argument);
    default:
        return -XEN_ENOSYS;
    }
}

static bool same_layout(uint32_t number, uint32_t op)
{
    switch (number) {
    case __HYPERVISOR_console_io:
        return true;
    case __HYPERVISOR_event_channel_op:
        return op <= EVTCHNOP_reset; /* beyond: 64-bit members that are aligned differently */
    case __HYPERVISOR_grant_table_op:
        return op == GNTTABOP_set_version || op == GNTTABOP_get_version || op == GNTTABOP_query_size;
    case __HYPERVISOR_hvm_op:
        return op == HVMOP_set_param || op == HVMOP_get_param;
    case __HYPERVISOR_sched_op:
        return op == SCHEDOP_yield || op == SCHEDOP_block || op == SCHEDOP_shutdown || op == SCHEDOP_watchdog;
    case __HYPERVISOR_xen_version:
        return op == XENVER_version || op == XENVER_extraversion || op == XENVER_get_features;
    default:
        return false;
    }
}

int64_t hypercall32(struct vcpu *v)
{
    static const uint8_t order[6] = {RBX, RCX, RDX, RSI, RDI, RBP};
    uint64_t *gpr = v->arch->gpr, arg[6];

    for (unsigned i = 0; i < ARRAY_SIZE(arg); i++)
        arg[i] = (uint32_t)gpr[order[i]];
    if ((uint32_t)gpr[RAX] == __HYPERVISOR_memory_op)
        return (uint32_t)memory_op32(v->domain, (uint32_t)arg[0], GVA(arg[1]));
    if (!same_layout((uint32_t)gpr[RAX], (uint32_t)arg[0]))
        return -XEN_ENOSYS;
    int64_t result = hypercall((uint32_t)gpr[RAX], arg);
    if (result != HYPERCALL_RESTART)
        return (uint32_t)result;
    for (unsigned i = 0; i < ARRAY_SIZE(arg); i++)
        gpr[order[i]] = (uint32_t)arg[i];
    return result;
}
