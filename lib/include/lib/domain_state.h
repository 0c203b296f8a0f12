/*
 * XEN_DOMCTL_get_domain_state of Xen 4.21, which the installed xen/domctl.h may be too old for. It is one of
 * the operations that Xen keeps stable: interface_version is 0 whatever the version of the others.
 *
 * For a domain's id: its state. For DOMID_INVALID: the state of a domain that came, shut down or went since
 * it was last told of so, with its id in `domain`; -ENOENT when there is none. Of one that is gone all is 0.
 */
#ifndef LIB_DOMAIN_STATE_H
#define LIB_DOMAIN_STATE_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>

#ifndef XEN_DOMCTL_get_domain_state
#define XEN_DOMCTL_get_domain_state           90
#define XEN_DOMCTL_GETDOMSTATE_STATE_EXIST    0x0001
#define XEN_DOMCTL_GETDOMSTATE_STATE_SHUTDOWN 0x0002
#define XEN_DOMCTL_GETDOMSTATE_STATE_DYING    0x0004
#define XEN_DOMCTL_GETDOMSTATE_STATE_DEAD     0x0008
#define XEN_DOMCTL_GETDOMSTATE_CAP_CONTROL    0x0001
#define XEN_DOMCTL_GETDOMSTATE_CAP_HARDWARE   0x0002
struct xen_domctl_get_domain_state {
    uint16_t state;     /* XEN_DOMCTL_GETDOMSTATE_STATE_* */
    uint16_t caps;      /* XEN_DOMCTL_GETDOMSTATE_CAP_* */
    uint32_t pad0;      /* 0 */
    uint64_t unique_id; /* no other domain since boot has it */
};
#endif

/* Where it stands in the operation. */
static inline struct xen_domctl_get_domain_state *domain_state_of(struct xen_domctl *op)
{
    return (struct xen_domctl_get_domain_state *)(void *)&op->u;
}

#endif
