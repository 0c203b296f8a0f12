/*
 * event_channel_op: what guests ask of event channels, decoded and answered (xen/event_channel.h), and the
 * debug key 'e'.
 *
 * Locking: none held on entry; LOCK_EVTCHN inside where ports are read or changed.
 */
#include <hv/arch/guest_access.h>
#include <hv/cpu.h>
#include <hv/evtchn_port.h>
#include <hv/hypercall.h>
#include <hv/printk.h>
#include <lib/printf.h>

/* EVTCHNOP_reset_cont, which guests have no name for: what a reset that was interrupted turns into. */
#define RESET_CONTINUES 14

static int64_t alloc_unbound(struct evtchn_alloc_unbound *op)
{
    struct domain *d;
    int error = domain_find_target(op->dom, &d);
    if (error)
        return error;
    return evtchn_alloc_unbound(d, op->remote_dom == DOMID_SELF ? current->domain->id : op->remote_dom);
}

static int64_t bind_interdomain(const struct evtchn_bind_interdomain *op)
{
    struct domain *rd = domain_find(op->remote_dom);
    return rd ? evtchn_bind_interdomain(current->domain, rd, op->remote_port) : -XEN_ESRCH;
}

static void describe(const struct evtchn *chn, struct evtchn_status *op)
{
    op->vcpu = chn->vcpu;
    switch (chn->state) {
    case EVTCHN_UNBOUND:
        op->status = EVTCHNSTAT_unbound;
        op->u.unbound.dom = chn->remote_id;
        break;
    case EVTCHN_INTERDOMAIN:
        op->status = EVTCHNSTAT_interdomain;
        op->u.interdomain.dom = chn->remote.domain->id;
        op->u.interdomain.port = chn->remote.chn->port;
        break;
    case EVTCHN_VIRQ:
        op->status = EVTCHNSTAT_virq;
        op->u.virq = chn->virq;
        break;
    case EVTCHN_IPI:
        op->status = EVTCHNSTAT_ipi;
        break;
    default:
        op->status = EVTCHNSTAT_closed;
    }
}

static int status(struct evtchn_status *op)
{
    struct domain *d;
    int error = domain_find_target(op->dom, &d);
    if (error)
        return error;
    spin_lock(&d->evtchn->lock);
    const struct evtchn *chn = evtchn_find_locked(d, op->port);
    if (chn)
        describe(chn, op);
    spin_unlock(&d->evtchn->lock);
    return chn ? 0 : -XEN_EINVAL;
}

static int bind_vcpu_locked(struct evtchn *chn, uint32_t vcpu)
{
    bool movable = chn && (chn->state == EVTCHN_UNBOUND || chn->state == EVTCHN_INTERDOMAIN ||
                           (chn->state == EVTCHN_VIRQ && virq_is_global(chn->virq)));
    if (!movable)
        return -XEN_EINVAL;
    WRITE_ONCE(chn->vcpu, (uint8_t)vcpu);
    return 0;
}

static int set_priority_locked(struct domain *d, struct evtchn *chn, uint32_t priority)
{
    if (!chn)
        return -XEN_EINVAL;
    if (d->evtchn->abi != &evtchn_fifo)
        return -XEN_ENOSYS;
    if (!evtchn_usable(chn))
        return -XEN_EACCES;
    if (priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -XEN_EINVAL;
    WRITE_ONCE(chn->priority, (uint8_t)priority);
    return 0;
}

static int unmask_locked(struct domain *d, struct evtchn *chn)
{
    if (!chn)
        return -XEN_EINVAL;
    if (evtchn_usable(chn))
        d->evtchn->abi->unmask(d, chn);
    return 0;
}

/* One of the operations on a port of the current domain that its lock makes whole. */
static int on_port(unsigned op, evtchn_port_t port, uint32_t value)
{
    struct domain *d = current->domain;
    int result;

    if (op == EVTCHNOP_bind_vcpu && !domain_vcpu(d, value))
        return -XEN_ENOENT;
    spin_lock(&d->evtchn->lock);
    struct evtchn *chn = evtchn_find_locked(d, port);
    if (op == EVTCHNOP_bind_vcpu)
        result = bind_vcpu_locked(chn, value);
    else if (op == EVTCHNOP_set_priority)
        result = set_priority_locked(d, chn, value);
    else
        result = unmask_locked(d, chn);
    spin_unlock(&d->evtchn->lock);
    return result;
}

/* --- reset ---------------------------------------------------------------------------------------------- */

/* Notes that a reset begins or goes on: at which port, or 0 when there is none to go on with or one is under
 * way. */
static uint32_t reset_position(struct evtchn_domain *e, bool goes_on)
{
    spin_lock(&e->lock);
    uint32_t from = goes_on ? e->next_reset : !e->next_reset;
    e->next_reset = MAX(e->next_reset, from);
    spin_unlock(&e->lock);
    return from;
}

static int64_t reset(struct domain *d, bool goes_on)
{
    struct evtchn_domain *e = d->evtchn;
    if (d != current->domain && !d->pause_count)
        return -XEN_EINVAL;
    uint32_t port = reset_position(e, goes_on);
    if (!port)
        return -XEN_EBUSY;

    for (unsigned budget = HYPERCALL_BUDGET; port < READ_ONCE(e->valid) && READ_ONCE(e->active); port++) {
        if (!budget--) {
            WRITE_ONCE(e->next_reset, port);
            return HYPERCALL_RESTART;
        }
        evtchn_close(d, port);
    }
    spin_lock(&e->lock);
    e->next_reset = 0;
    int result = e->active ? -XEN_EAGAIN : 0;
    if (!result)
        evtchn_fifo_destroy_locked(d);
    spin_unlock(&e->lock);
    return result;
}

static int64_t do_reset(uint64_t arg[6], const struct evtchn_reset *op)
{
    struct domain *d;
    int error = domain_find_target(op->dom, &d);
    if (error)
        return error;
    int64_t result = reset(d, arg[0] == RESET_CONTINUES);
    if (result == HYPERCALL_RESTART)
        arg[0] = RESET_CONTINUES;
    return result;
}

/* --- the hypercall -------------------------------------------------------------------------------------- */

union evtchn_args {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_close close;
    struct evtchn_status status;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
    struct evtchn_init_control init_control;
    struct evtchn_expand_array expand_array;
    struct evtchn_set_priority set_priority;
};

static const uint8_t arg_size[] = {
    [EVTCHNOP_alloc_unbound] = sizeof(struct evtchn_alloc_unbound),
    [EVTCHNOP_bind_interdomain] = sizeof(struct evtchn_bind_interdomain),
    [EVTCHNOP_bind_virq] = sizeof(struct evtchn_bind_virq),
    [EVTCHNOP_bind_ipi] = sizeof(struct evtchn_bind_ipi),
    [EVTCHNOP_bind_pirq] = sizeof(struct evtchn_bind_pirq),
    [EVTCHNOP_close] = sizeof(struct evtchn_close),
    [EVTCHNOP_status] = sizeof(struct evtchn_status),
    [EVTCHNOP_bind_vcpu] = sizeof(struct evtchn_bind_vcpu),
    [EVTCHNOP_unmask] = sizeof(struct evtchn_unmask),
    [EVTCHNOP_reset] = sizeof(struct evtchn_reset),
    [RESET_CONTINUES] = sizeof(struct evtchn_reset),
    [EVTCHNOP_init_control] = sizeof(struct evtchn_init_control),
    [EVTCHNOP_expand_array] = sizeof(struct evtchn_expand_array),
    [EVTCHNOP_set_priority] = sizeof(struct evtchn_set_priority),
};

/* The operations that open a port: the result is its number, which *answer takes; it goes back to the guest.
 */
static int64_t open_op(unsigned op, union evtchn_args *args, evtchn_port_t **answer)
{
    struct domain *d = current->domain;
    switch (op) {
    case EVTCHNOP_alloc_unbound:
        *answer = &args->alloc_unbound.port;
        return alloc_unbound(&args->alloc_unbound);
    case EVTCHNOP_bind_interdomain:
        *answer = &args->bind_interdomain.local_port;
        return bind_interdomain(&args->bind_interdomain);
    case EVTCHNOP_bind_virq:
        *answer = &args->bind_virq.port;
        return evtchn_bind_virq(d, args->bind_virq.virq, args->bind_virq.vcpu);
    case EVTCHNOP_bind_ipi:
        *answer = &args->bind_ipi.port;
        return evtchn_bind_ipi(d, args->bind_ipi.vcpu);
    default: /* bind_pirq: a domain without physical interrupts has none with that number */
        return -XEN_EINVAL;
    }
}

static int64_t open_and_answer(unsigned op, union evtchn_args *args, gva_t guest)
{
    evtchn_port_t *answer = NULL;
    int64_t port = open_op(op, args, &answer);
    if (port < 0)
        return port;
    *answer = (evtchn_port_t)port;
    if (!copy_to_guest(guest, args, arg_size[op]))
        return 0;
    struct domain *d = current->domain;
    if (op != EVTCHNOP_alloc_unbound || !domain_find_target(args->alloc_unbound.dom, &d))
        evtchn_close(d, (evtchn_port_t)port);
    return -XEN_EFAULT;
}

static int64_t init_control(struct evtchn_init_control *op, gva_t guest)
{
    int error = evtchn_fifo_init_control(current->domain, op);
    if (error)
        return error;
    op->link_bits = EVTCHN_FIFO_LINK_BITS;
    return copy_to_guest(guest, op, sizeof(*op));
}

/* By far the most frequent one. */
static int64_t send(gva_t guest)
{
    struct evtchn_send op;
    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    return evtchn_send(current->domain, op.port);
}

static __attribute__((noinline)) int64_t other_op(uint64_t arg[6])
{
    uint32_t op = (uint32_t)arg[0];
    gva_t guest = GVA(arg[1]);
    union evtchn_args args;

    if (op >= ARRAY_SIZE(arg_size) || !arg_size[op])
        return -XEN_ENOSYS;
    if (copy_from_guest(&args, guest, arg_size[op]))
        return -XEN_EFAULT;

    switch (op) {
    case EVTCHNOP_unmask:
        return on_port(op, args.unmask.port, 0);
    case EVTCHNOP_close:
        return evtchn_close(current->domain, args.close.port);
    case EVTCHNOP_status: {
        int error = status(&args.status);
        return error ? error : copy_to_guest(guest, &args.status, sizeof(args.status));
    }
    case EVTCHNOP_bind_vcpu:
        return on_port(op, args.bind_vcpu.port, args.bind_vcpu.vcpu);
    case EVTCHNOP_set_priority:
        return on_port(op, args.set_priority.port, args.set_priority.priority);
    case EVTCHNOP_reset:
    case RESET_CONTINUES:
        return do_reset(arg, &args.reset);
    case EVTCHNOP_init_control:
        return init_control(&args.init_control, guest);
    case EVTCHNOP_expand_array:
        return evtchn_fifo_expand_array(current->domain, GFN(args.expand_array.array_gfn));
    default:
        return open_and_answer(op, &args, guest);
    }
}

/* arg: operation, struct for it. */
int64_t do_event_channel_op(uint64_t arg[6])
{
    return likely((uint32_t)arg[0] == EVTCHNOP_send) ? send(GVA(arg[1])) : other_op(arg);
}

/* --- debug key ------------------------------------------------------------------------------------------ */

static void dump_port(struct domain *d, const struct evtchn *chn)
{
    const struct evtchn_abi *abi = d->evtchn->abi;
    char end[32] = "ipi";
    if (chn->state == EVTCHN_UNBOUND)
        snprintf(end, sizeof end, "unbound, for d%u", chn->remote_id);
    else if (chn->state == EVTCHN_INTERDOMAIN)
        snprintf(end, sizeof end, "d%u port %u", chn->remote.domain->id, chn->remote.chn->port);
    else if (chn->state == EVTCHN_VIRQ)
        snprintf(end, sizeof end, "virq %u", chn->virq);
    printk("  %5u %c%c vcpu %u %s\n", chn->port, abi->is_pending(d, chn) ? 'P' : '-',
           abi->is_masked(d, chn) ? 'M' : '-', chn->vcpu, end);
}

void evtchn_dump(void)
{
    for (struct domain *d = domain_next(0); d; d = domain_next(d->id + 1)) {
        struct evtchn_domain *e = d->evtchn;
        spin_lock(&e->lock);
        printk("d%u: %u ports, %s, %u vCPUs poll\n", d->id, e->active, e->fifo ? "FIFO" : "2-level",
               e->pollers);
        for (evtchn_port_t port = 1; port < e->valid; port++) {
            const struct evtchn *chn = evtchn_find_locked(d, port);
            if (evtchn_usable(chn))
                dump_port(d, chn);
        }
        spin_unlock(&e->lock);
    }
}
