/*
 * Interrupts of the machine that belong to the domain that drives it.
 *
 * A source (an IO-APIC pin, an MSI, an MSI-X entry) is bound to a vector of the host; when it fires, the
 * domain's own vector is set in the local APIC that the domain aimed it at. The host's destination follows
 * the vCPU. A source that storms is masked for a while.
 *
 * Locking: the owner of a source serialises bind, route and unbind of it (LOCK_VDEVICE or lower may be held).
 * Its operations and arrived() are called with interrupts off, on any CPU, under LOCK_HWIRQ: locks above that
 * may be taken inside.
 */
#ifndef X86_GUEST_HWIRQ_H
#define X86_GUEST_HWIRQ_H

#include <hv/types.h>

struct domain;
struct hwirq;

struct hwirq_operations {
    /* The source is to raise that vector on that CPU from now on. The vector stays the same from bind to
     * unbind. */
    void (*program)(struct hwirq *irq, uint32_t host_apic_id, uint8_t host_vector);
    /* Against storms: on top of what the domain itself asked for. NULL: the source cannot be masked. */
    void (*mask)(struct hwirq *irq, bool masked);
};

/* Where the domain wants it, as an MSI or a redirection entry says (SDM vol. 3, 11.11; 82093AA). */
struct hwirq_route {
    uint32_t destination; /* APIC id or logical destination, as the domain numbers its own */
    bool logical;
    bool level;       /* an IO-APIC's pin whose EOI is of interest (vioapic.h) */
    uint8_t delivery; /* 0 fixed, 1 lowest priority; others are not delivered */
    uint8_t vector;   /* the domain's, 16 to 255 */
};

/* Embedded in what its owner keeps for the source; zeroed before the first bind. All but operations is
 * LOCK_HWIRQ's. */
struct hwirq {
    const struct hwirq_operations *operations;
    struct domain *domain;
    struct hwirq_route route;
    uint8_t host_vector; /* 0: not bound */
    bool throttled;
    /* called for each interrupt before delivery; NULL: none. For level-triggered pins: false keeps it from
     * being delivered */
    bool (*arrived)(struct hwirq *irq);
    uint32_t count; /* since window_start, for storms */
    ns_t window_start;
    uint32_t host_apic_id;
    uint64_t delivered;
};

void hwirq_init(void);
/* Binds and programs. 0, -ENOSPC: no vector is left, -EINVAL: the route is none. operations and arrived are
 * set. */
int hwirq_bind(struct domain *d, struct hwirq *irq, const struct hwirq_route *route);
/* The domain aims it elsewhere. 0 or -EINVAL; then it stays as it was. */
int hwirq_set_route(struct hwirq *irq, const struct hwirq_route *route);
/* Nothing is delivered after it returns. The source itself is silenced by its owner before; a mask for a
 * storm is taken back. */
void hwirq_unbind(struct hwirq *irq);

/* An MSI's address and data as a route; false: not an interrupt message that is supported. */
bool hwirq_route_of_message(uint64_t address, uint32_t data, struct hwirq_route *route);

#endif
