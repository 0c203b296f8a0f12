/* The toolstack's hypercalls (xen.h). No state, no locking. */
#include <dom0/below.h>
#include <lib/domain_state.h>
#include <lib/string.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#include "xen.h"

long domctl(uint32_t command, domid_t domid, struct xen_domctl *op)
{
    op->cmd = command;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    return hypercall(__HYPERVISOR_domctl, (uintptr_t)op, 0, 0, 0, 0);
}

long domctl_plain(uint32_t command, domid_t domid)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    return domctl(command, domid, &op);
}

long sysctl(uint32_t command, struct xen_sysctl *op)
{
    op->cmd = command;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_sysctl, (uintptr_t)op, 0, 0, 0, 0);
}

/* Up to most domains from first on; returns how many there were. */
static unsigned domain_infos(unsigned first, struct xen_domctl_getdomaininfo *info, unsigned most)
{
    if (first >= DOMID_FIRST_RESERVED)
        return 0;
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    op.u.getdomaininfolist.first_domain = (domid_t)first;
    op.u.getdomaininfolist.max_domains = most;
    set_xen_guest_handle(op.u.getdomaininfolist.buffer, info);
    return sysctl(XEN_SYSCTL_getdomaininfolist, &op) ? 0 : op.u.getdomaininfolist.num_domains;
}

bool domain_next(unsigned first, struct xen_domctl_getdomaininfo *info)
{
    return domain_infos(first, info, 1) == 1;
}

void domain_list_start(struct domain_list *list, unsigned first)
{
    list->next = first;
    list->count = list->at = 0;
}

const struct xen_domctl_getdomaininfo *domain_list_next(struct domain_list *list)
{
    if (list->at == list->count) {
        list->count = domain_infos(list->next, list->info, DOMAIN_BATCH);
        list->at = 0;
        if (!list->count)
            return NULL;
        list->next = list->info[list->count - 1].domain + 1u;
    }
    return &list->info[list->at++];
}

bool domain_info(domid_t domid, struct xen_domctl_getdomaininfo *info)
{
    return domain_next(domid, info) && info->domain == domid;
}

long domain_take_changed(domid_t *domid)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.cmd = XEN_DOMCTL_get_domain_state; /* of version 0 */
    op.domain = DOMID_INVALID;
    long rc = hypercall(__HYPERVISOR_domctl, (uintptr_t)&op, 0, 0, 0, 0);
    *domid = op.domain;
    return rc;
}

long set_max_vcpus(domid_t domid, unsigned count)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.max_vcpus.max = count;
    return domctl(XEN_DOMCTL_max_vcpus, domid, &op);
}

long set_max_memory(domid_t domid, uint64_t bytes)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.max_mem.max_memkb = bytes >> 10;
    return domctl(XEN_DOMCTL_max_mem, domid, &op);
}

long set_paging_pool(domid_t domid, uint64_t bytes)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.paging_mempool.size = bytes;
    return domctl(XEN_DOMCTL_set_paging_mempool_size, domid, &op);
}

static long credit_op(domid_t domid, struct xen_domctl *op, uint32_t command)
{
    op->u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    op->u.scheduler_op.cmd = command;
    return domctl(XEN_DOMCTL_scheduler_op, domid, op);
}

long get_credit(domid_t domid, uint16_t *weight, uint16_t *cap)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    long rc = credit_op(domid, &op, XEN_DOMCTL_SCHEDOP_getinfo);
    *weight = op.u.scheduler_op.u.credit2.weight;
    *cap = op.u.scheduler_op.u.credit2.cap;
    return rc;
}

long set_credit(domid_t domid, uint16_t weight, uint16_t cap)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.scheduler_op.u.credit2.weight = weight;
    op.u.scheduler_op.u.credit2.cap = cap;
    return credit_op(domid, &op, XEN_DOMCTL_SCHEDOP_putinfo);
}

static long ratelimit_op(uint32_t command, uint32_t *us)
{
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    op.u.scheduler_op.cmd = command;
    op.u.scheduler_op.u.sched_credit2.ratelimit_us = *us;
    long rc = sysctl(XEN_SYSCTL_scheduler_op, &op);
    *us = op.u.scheduler_op.u.sched_credit2.ratelimit_us;
    return rc;
}

long get_ratelimit(uint32_t *us)
{
    *us = 0;
    return ratelimit_op(XEN_SYSCTL_SCHEDOP_getinfo, us);
}

long set_ratelimit(uint32_t us)
{
    return ratelimit_op(XEN_SYSCTL_SCHEDOP_putinfo, &us);
}

static long affinity_op(uint32_t command, domid_t domid, unsigned vcpu, uint8_t *hard, uint8_t *soft,
                        unsigned bits, uint32_t flags)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    struct xen_domctl_vcpuaffinity *a = &op.u.vcpuaffinity;
    a->vcpu = vcpu;
    a->flags = flags | (hard ? XEN_VCPUAFFINITY_HARD : 0) | (soft ? XEN_VCPUAFFINITY_SOFT : 0);
    set_xen_guest_handle(a->cpumap_hard.bitmap, hard);
    set_xen_guest_handle(a->cpumap_soft.bitmap, soft);
    a->cpumap_hard.nr_bits = a->cpumap_soft.nr_bits = bits;
    return domctl(command, domid, &op);
}

long get_affinity(domid_t domid, unsigned vcpu, uint8_t *hard, uint8_t *soft, unsigned bits)
{
    return affinity_op(XEN_DOMCTL_getvcpuaffinity, domid, vcpu, hard, soft, bits, 0);
}

/* The hypervisor answers with what it will go by, into copies of what was asked for. */
long set_affinity(domid_t domid, unsigned vcpu, const uint8_t *hard, const uint8_t *soft, unsigned bits,
                  uint32_t flags)
{
    uint8_t hard_copy[bits / 8], soft_copy[bits / 8];
    if (hard)
        memcpy(hard_copy, hard, sizeof hard_copy);
    if (soft)
        memcpy(soft_copy, soft, sizeof soft_copy);
    return affinity_op(XEN_DOMCTL_setvcpuaffinity, domid, vcpu, hard ? hard_copy : NULL,
                       soft ? soft_copy : NULL, bits, flags);
}

long populate(domid_t domid, unsigned order, xen_pfn_t *gfns, unsigned count)
{
    struct xen_memory_reservation reservation = {.nr_extents = count, .extent_order = order, .domid = domid};
    set_xen_guest_handle(reservation.extent_start, gfns);
    return hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (uintptr_t)&reservation, 0, 0, 0);
}

long set_hvm_param(domid_t domid, uint32_t index, uint64_t value)
{
    struct xen_hvm_param param = {.domid = domid, .index = index, .value = value};
    return hypercall(__HYPERVISOR_hvm_op, HVMOP_set_param, (uintptr_t)&param, 0, 0, 0);
}

long alloc_unbound_port(domid_t domid)
{
    struct evtchn_alloc_unbound alloc = {.dom = domid, .remote_dom = 0};
    long rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uintptr_t)&alloc, 0, 0, 0);
    return rc ? rc : (long)alloc.port;
}

long get_context(domid_t domid, void *records, uint32_t *size)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.hvmcontext.size = *size;
    set_xen_guest_handle(op.u.hvmcontext.buffer, (uint8_t *)records);
    long rc = domctl(XEN_DOMCTL_gethvmcontext, domid, &op);
    *size = op.u.hvmcontext.size;
    return rc;
}

long set_context(domid_t domid, const void *records, uint32_t size)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.hvmcontext.size = size;
    set_xen_guest_handle(op.u.hvmcontext.buffer, (uint8_t *)(uintptr_t)records);
    return domctl(XEN_DOMCTL_sethvmcontext, domid, &op);
}
