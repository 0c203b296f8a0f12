/*
 * What the files of the event channel code share (hv/evtchn*.c): a port, a domain's ports, and the two ways
 * in which a guest is shown that a port is pending.
 */
#ifndef HV_EVTCHN_PORT_H
#define HV_EVTCHN_PORT_H

#include <hv/domain.h>
#include <hv/evtchn.h>

enum evtchn_state {
    EVTCHN_FREE,
    EVTCHN_RESERVED,    /* port 0 */
    EVTCHN_UNBOUND,     /* waits for remote_id to bind it */
    EVTCHN_INTERDOMAIN, /* joined to remote, a port in the same state that is joined to this one */
    EVTCHN_VIRQ,
    EVTCHN_IPI,
};

/* Locking: its domain's LOCK_EVTCHN, for interdomain ports also that of the other domain, unless said
 * otherwise. */
struct evtchn {
    evtchn_port_t port;
    uint8_t state;
    uint8_t vcpu;       /* who is notified; senders of the other domain read it without our lock */
    uint8_t priority;   /* FIFO: queue; likewise */
    bool saved_pending; /* FIFO: raised while the guest had no event word for it. LOCK_EVTFIFO */
    uint8_t last_vcpu;  /* FIFO: the queue that it was last linked to. LOCK_EVTFIFO */
    uint8_t last_priority;
    union {
        domid_t remote_id;
        uint32_t virq;
        struct {
            struct domain *domain;
            struct evtchn *chn;
        } remote;
    };
};
_Static_assert(sizeof(struct evtchn) == 32, "ports come in pages of a power of two");
_Static_assert(MAX_VCPUS <= 256, "a vCPU's number fits into a byte");

#define EVTCHN_PER_PAGE (PAGE_SIZE / sizeof(struct evtchn))
/* However many its configuration gives a domain: so many have a page of pointers to their pages. */
#define EVTCHN_LIMIT (PAGE_SIZE / sizeof(struct evtchn *) * EVTCHN_PER_PAGE)

/* One of the two ABIs. The caller holds LOCK_EVTCHN of d, or of a domain whose port is joined to this one. */
struct evtchn_abi {
    uint32_t ports; /* port numbers below this exist */
    void (*set_pending)(struct domain *d, struct evtchn *chn);
    void (*clear_pending)(struct domain *d, struct evtchn *chn);
    void (*unmask)(struct domain *d, struct evtchn *chn);
    bool (*is_pending)(struct domain *d, const struct evtchn *chn);
    bool (*is_masked)(struct domain *d, const struct evtchn *chn);
    /* Still in a queue of the guest's: not to be given out again. */
    bool (*is_busy)(struct domain *d, const struct evtchn *chn);
};
extern const struct evtchn_abi evtchn_2l, evtchn_fifo;

struct evtchn_domain {
    spinlock_t lock;              /* LOCK_EVTCHN */
    const struct evtchn_abi *abi; /* read by senders without our lock */
    struct evtchn **page;
    uint32_t max_port;   /* the highest that it may have */
    uint32_t valid;      /* ports below have a struct evtchn */
    uint32_t active;     /* ports that are not free, port 0 not counted */
    uint32_t first_free; /* no port below this is free */
    uint32_t next_reset; /* EVTCHNOP_reset under way: how far it came; else 0 */
    uint32_t next_kill;
    uint32_t pollers; /* vCPUs in SCHEDOP_poll; atomic */
    struct evtchn_fifo *fifo;
};

/* The port's struct, or NULL. LOCK_EVTCHN of d is held. */
static inline struct evtchn *evtchn_find_locked(const struct domain *d, evtchn_port_t port)
{
    const struct evtchn_domain *e = d->evtchn;
    return port < e->valid ? &e->page[port / EVTCHN_PER_PAGE][port % EVTCHN_PER_PAGE] : NULL;
}

static inline bool evtchn_usable(const struct evtchn *chn)
{
    return chn->state >= EVTCHN_UNBOUND;
}

bool virq_is_global(uint32_t virq);

/* Makes chn pending in whichever ABI d uses. Same locking as the functions of struct evtchn_abi. */
void evtchn_raise(struct domain *d, struct evtchn *chn);
/* v has a pending event that it did not have: sets evtchn_upcall_pending and sees to it that v notices. */
void evtchn_upcall(struct vcpu *v);
/* port of d became pending, masked or not. */
void evtchn_check_pollers(struct domain *d, evtchn_port_t port);

/* -EINVAL: no such open port. */
int evtchn_close(struct domain *d, evtchn_port_t port);

/* --- hv/evtchn_fifo.c ----------------------------------------------------------------------------------- */
int evtchn_fifo_init_control(struct domain *d, const struct evtchn_init_control *op);
int evtchn_fifo_expand_array(struct domain *d, gfn_t gfn);
/* Gives the guest's pages back and returns to the 2-level ABI. d has no open port; LOCK_EVTCHN is held. */
void evtchn_fifo_destroy_locked(struct domain *d);

#endif
