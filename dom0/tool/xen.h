/*
 * The hypercalls of the toolstack, one function per operation (xen/domctl.h, xen/sysctl.h, xen/memory.h,
 * xen/hvm/hvm_op.h, xen/event_channel.h). All return what the hypervisor returned: negative errno on failure.
 */
#ifndef TOOL_XEN_H
#define TOOL_XEN_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/memory.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ull << PAGE_SHIFT)

/* Fills in command, version and domain of op. */
long domctl(uint32_t command, domid_t domid, struct xen_domctl *op);
/* For the commands that need nothing but the domain. */
long domctl_plain(uint32_t command, domid_t domid);
/* Fills in command and version of op. */
long sysctl(uint32_t command, struct xen_sysctl *op);

/* False when there is no such domain (or the hypervisor failed). */
bool domain_info(domid_t domid, struct xen_domctl_getdomaininfo *info);
/* The first domain whose id is >= first; false when there is none. */
bool domain_next(unsigned first, struct xen_domctl_getdomaininfo *info);
/* All domains from first on, in the order of their ids, as they were when their batch was asked for. */
#define DOMAIN_BATCH 16u
struct domain_list {
    unsigned next, count, at;
    struct xen_domctl_getdomaininfo info[DOMAIN_BATCH];
};
void domain_list_start(struct domain_list *list, unsigned first);
/* NULL past the last; good until the next call. */
const struct xen_domctl_getdomaininfo *domain_list_next(struct domain_list *list);

/* A domain that came, shut down or went since this was last said of it. -ENOENT: none. Hypervisors before
 * Xen 4.21 know no such call, and say another error. */
long domain_take_changed(domid_t *domid);

long set_max_vcpus(domid_t domid, unsigned count);
long set_max_memory(domid_t domid, uint64_t bytes);
long set_paging_pool(domid_t domid, uint64_t bytes);
/* Returns how many of the count extents of 2^order pages at gfns are there now, or an errno. */
long populate(domid_t domid, unsigned order, xen_pfn_t *gfns, unsigned count);
/* credit2's weight, 0: as it is, and cap. */
long get_credit(domid_t domid, uint16_t *weight, uint16_t *cap);
long set_credit(domid_t domid, uint16_t weight, uint16_t cap);
long get_ratelimit(uint32_t *us);
long set_ratelimit(uint32_t us);
/* Bitmaps of that many bits, of where a vCPU may run and would rather run; NULL: not asked for, or as it is.
 * flags: XEN_VCPUAFFINITY_FORCE or 0. */
long get_affinity(domid_t domid, unsigned vcpu, uint8_t *hard, uint8_t *soft, unsigned bits);
long set_affinity(domid_t domid, unsigned vcpu, const uint8_t *hard, const uint8_t *soft, unsigned bits,
                  uint32_t flags);
long set_hvm_param(domid_t domid, uint32_t index, uint64_t value);
/* A port of the domain that domain 0 may bind; the port or an errno. */
long alloc_unbound_port(domid_t domid);
/* The CPU and device records of xen/hvm/save.h. get with NULL gives the size that is needed in *size. */
long get_context(domid_t domid, void *records, uint32_t *size);
long set_context(domid_t domid, const void *records, uint32_t size);

#endif
