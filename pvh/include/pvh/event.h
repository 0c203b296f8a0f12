/*
 * Event channels (xen/event_channel.h), two-level or FIFO, and the shared pages.
 *
 * event_init() maps the shared info page and has events delivered as TRAP_EVENT to all CPUs. The handler of
 * that vector calls event_dispatch(); a kernel that wants no interrupts replaces it and calls
 * event_dispatch() itself. Functions that call the hypervisor return its value: negative errno, or the port.
 */
#ifndef PVH_EVENT_H
#define PVH_EVENT_H

#include <pvh/pvh.h>
#include <xen/event_channel.h>

extern struct shared_info *event_shared_info;

/* Safe to call again. 0 or negative errno. */
long event_init(void);
/* This CPU's vcpu_info; CPUs from 32 up register one with VCPUOP_register_vcpu_info at first use. */
struct vcpu_info *event_vcpu_info(void);
/* Has events of this vCPU delivered by HVMOP_set_evtchn_upcall_vector, through the local APIC. 0: back to the
 * callback. */
long event_upcall_vector(unsigned vcpu, unsigned vector);

typedef void (*event_handler)(evtchn_port_t port, void *arg);
/*
 * Instead of bits for 4096 ports, queues for 131072 (xen/event_channel.h, FIFO). For kernels of one CPU,
 * after event_init(); ports from then on need event_handle() before anything else. 0, or negative errno: all
 * stays as it was.
 */
long event_use_fifo(void);
/* Calls handler for each event on the port; unmasks it. NULL: masks it. Panics without memory for a new port.
 */
void event_handle(evtchn_port_t port, event_handler handler, void *arg);
/*
 * Delivers once what is pending on this CPU: acknowledges and calls handlers. True when there was anything.
 * What comes meanwhile stays pending, so that a flood of events cannot keep the caller here.
 */
bool event_dispatch(void);

void event_mask(evtchn_port_t port);
/* EVTCHNOP_unmask when something is pending, so that it is not lost. */
void event_unmask(evtchn_port_t port);
bool event_pending(evtchn_port_t port);
/* Clears the pending bit; returns whether it was set. */
bool event_clear(evtchn_port_t port);

long event_send(evtchn_port_t port);
long event_close(evtchn_port_t port);
long event_alloc_unbound(domid_t domid, domid_t remote);
long event_bind_interdomain(domid_t remote, evtchn_port_t remote_port);
long event_bind_virq(uint32_t virq, uint32_t vcpu);
long event_bind_ipi(uint32_t vcpu);

/* --- time: the clock in vcpu_info and shared info; event_init() must have run --------------------------- */
uint64_t pvh_time_ns(void);     /* since the hypervisor started */
uint64_t pvh_wall_time_s(void); /* seconds since 1970 */

#endif
