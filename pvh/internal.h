/* What the files of the runtime share among themselves. */
#ifndef PVH_INTERNAL_H
#define PVH_INTERNAL_H

#include <pvh/event.h>
#include <pvh/apic.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>

/* Builds the IDT and readies CPU 0. */
void trap_init(void);
/* Loads IDT and TSS on the calling CPU, which becomes number index. */
void trap_init_cpu(unsigned index, void *fault_stack_top);
/* Reads the memory map, maps RAM, and takes away page 0 and the page below the stack. */
void memory_init(void);
/* vCPU id of the calling CPU, from CPUID. */
uint32_t vcpu_id(void);

/* --- event.c and event_fifo.c --------------------------------------------------------------------------- */
struct event_slot {
    event_handler handler;
    void *arg;
    evtchn_port_t next; /* FIFO: behind it among those taken from the queues; 0: none */
    bool taken;         /* FIFO: stands there */
};
/* NULL when the port never had a handler. */
struct event_slot *event_slot(evtchn_port_t port);
/* Clears the pending bit and calls the handler, if there is one. */
void event_call(evtchn_port_t port);

struct event_abi {
    uint32_t ports;
    bool (*reach)(evtchn_port_t port); /* makes the others work for the port; false: no memory */
    void (*mask)(evtchn_port_t port);
    void (*clear_mask)(evtchn_port_t port);
    bool (*pending)(evtchn_port_t port);
    bool (*clear)(evtchn_port_t port); /* the pending bit; whether it was set */
    bool (*dispatch)(void);
};
extern const struct event_abi event_fifo;
long fifo_init(void);

#endif
