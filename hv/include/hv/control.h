/*
 * Control operations: domctl (hv/domctl*.c) and sysctl (hv/sysctl*.c). xen/domctl.h, xen/sysctl.h.
 *
 * A domctl function gets its own copy of the operation and the domain that it names (NULL for createdomain).
 * It returns what the caller sees; with COPY_BACK in the table the operation is written back when that is 0.
 * On HYPERCALL_RESTART the same call runs again. LOCK_DOMCTL is held unless the table says UNLOCKED.
 */
#ifndef HV_CONTROL_H
#define HV_CONTROL_H

#include <hv/types.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>

struct domain;
typedef int64_t domctl_fn(struct xen_domctl *op, struct domain *d);
typedef int64_t sysctl_fn(struct xen_sysctl *op);

/* Fills all of info (XEN_DOMCTL_getdomaininfo, XEN_SYSCTL_getdomaininfolist). */
void control_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

/* Pauses d, which is not the current domain, and waits until its vCPUs have left their CPUs. */
void control_pause_and_wait(struct domain *d);

/* A bitmap of at most 64 bits to and from the guest's, whose further bits are ignored, or cleared. 0,
 * -EINVAL, -EFAULT. */
int control_get_bitmap(uint64_t *bits, const struct xenctl_bitmap *map);
int control_put_bitmap(const struct xenctl_bitmap *map, uint64_t bits);

/* hv/domctl_sched.c */
domctl_fn domctl_set_node_affinity, domctl_get_node_affinity, domctl_set_vcpu_affinity,
    domctl_get_vcpu_affinity, domctl_scheduler_op;
/* hv/domctl_state.c */
domctl_fn domctl_get_vcpu_context, domctl_set_vcpu_context, domctl_get_context, domctl_set_context,
    domctl_get_context_partial, domctl_get_page_info, domctl_shadow_op, domctl_get_mempool_size,
    domctl_set_mempool_size, domctl_get_tsc_info, domctl_set_tsc_info, domctl_irq_permission,
    domctl_iomem_permission, domctl_ioport_permission;

#endif
