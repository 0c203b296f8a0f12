/*
 * Event channels (xen/event_channel.h): 2-level and FIFO, all operations of event_channel_op.
 *
 * Locking: a domain's ports change under its LOCK_EVTCHN (both domains' through spin_lock_pair); sending
 * takes the sender's. FIFO queues have a lock each.
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

/* What the hypervisor raises itself. Locks below LOCK_EVTCHN may be held. d may be NULL. */
void evtchn_send_virq(struct vcpu *v, uint32_t virq);          /* per-vCPU virqs: timer, debug */
void evtchn_send_global_virq(struct domain *d, uint32_t virq); /* global ones, to whichever vCPU bound them */

/* Opening ports in d: the new port, or -EINVAL (also: d is dying), -ENOENT, -EEXIST, -ENOSPC, -ENOMEM. */
int64_t evtchn_alloc_unbound(struct domain *d, domid_t remote); /* for remote, no DOMID_SELF, to bind */
int64_t evtchn_bind_interdomain(struct domain *d, struct domain *rd, evtchn_port_t remote_port);
int64_t evtchn_bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu);
int64_t evtchn_bind_ipi(struct domain *d, uint32_t vcpu);
/* 0, or -EINVAL: the port is not one to send through. */
int evtchn_send(struct domain *d, evtchn_port_t port);

/* SCHEDOP_poll: 1 pending, 0 not, -EINVAL: never was such a port. */
int evtchn_poll_ready(struct domain *d, evtchn_port_t port);
/* From now on every event for v's poll_port (0: for any port of its domain) calls vcpu_unblock(v), masked or
 * not. */
void evtchn_poll_begin(struct vcpu *v);
/* True when v was polling. */
bool evtchn_poll_end(struct vcpu *v);

/* vcpu info moved (registered elsewhere): sets pending bits so that nothing is lost. */
void evtchn_vcpu_info_moved(struct vcpu *v);

/* Debug key 'e'. */
void evtchn_dump(void);

#endif
