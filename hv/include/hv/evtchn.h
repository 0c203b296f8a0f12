/*
 * Event channels (xen/event_channel.h): 2-level and FIFO, all operations of event_channel_op.
 *
 * Locking: a domain's ports change under its LOCK_EVTCHN (both domains' through spin_lock_pair); sending takes the
 * sender's. FIFO queues have a lock each.
 */
#ifndef HV_EVTCHN_H
#define HV_EVTCHN_H

#include <hv/types.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

struct domain;
struct vcpu;

int evtchn_domain_init(struct domain *d, uint32_t max_port);
/* Closes all channels; a bounded number per call: HYPERCALL_RESTART until done, then 0. */
int64_t evtchn_domain_kill(struct domain *d);
void evtchn_domain_free(struct domain *d); /* after kill, no other user left */
int evtchn_vcpu_init(struct vcpu *v);
void evtchn_vcpu_free(struct vcpu *v);

/* What the hypervisor raises itself. */
void evtchn_send_virq(struct vcpu *v, uint32_t virq);           /* per-vCPU virqs: timer, debug */
void evtchn_send_global_virq(struct domain *d, uint32_t virq);  /* global ones, to whichever vCPU bound them */

/* Used by domctl/PVH building: an unbound port in d for remote to bind; port or negative errno. */
int64_t evtchn_alloc_unbound(struct domain *d, domid_t remote);

/* SCHEDOP_poll. True when the port is pending, or is none that could ever be: then there is nothing to wait for. */
bool evtchn_poll_ready(struct domain *d, evtchn_port_t port);
/* From now on every event for v's poll_port (0: for any port of its domain) calls vcpu_unblock(v), masked or not. */
void evtchn_poll_begin(struct vcpu *v);
/* True when v was polling. */
bool evtchn_poll_end(struct vcpu *v);

/* True when v has an upcall that is to be injected (its info's evtchn_upcall_pending). */
bool vcpu_upcall_pending(const struct vcpu *v);

/* vcpu info moved (registered elsewhere): sets pending bits so that nothing is lost. */
void evtchn_vcpu_info_moved(struct vcpu *v);

/* Debug key 'e'. */
void evtchn_dump(void);

#endif
