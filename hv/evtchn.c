/*
 * Event channels: the ports of a domain, binding and closing them, and sending (hv/evtchn.h). How a guest is
 * shown what is pending: hv/evtchn_2l.c and hv/evtchn_fifo.c. What guests ask for: hv/evtchn_op.c.
 *
 * Ports come into being in pages as they are needed, and their pages stay until the domain is freed.
 *
 * Locking: LOCK_EVTCHN of the domain; joining two ports and parting them needs both domains' locks, so either
 * one keeps a pair together. That is why a sender, who holds only its own, may use the other end, and the
 * domain behind it.
 */
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/evtchn_port.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/sched.h>

bool virq_is_global(uint32_t virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF && virq != VIRQ_XENPMU;
}

/* --- ports ---------------------------------------------------------------------------------------------- */

static int add_page_locked(struct evtchn_domain *e)
{
    struct evtchn *page = page_alloc(0);
    if (!page)
        return -XEN_ENOMEM;
    for (uint32_t i = 0; i < EVTCHN_PER_PAGE; i++)
        page[i].port = e->valid + i;
    e->page[e->valid / EVTCHN_PER_PAGE] = page;
    e->valid += EVTCHN_PER_PAGE;
    return 0;
}

/* The lowest free port, which the caller gives a state at once; or negative errno. */
static int64_t alloc_locked(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    assert_locked(&e->lock);
    if (d->dying)
        return -XEN_EINVAL;

    bool lowest = true;
    for (evtchn_port_t port = e->first_free; port <= e->max_port && port < e->abi->ports; port++) {
        if (port == e->valid) {
            int error = add_page_locked(e);
            if (error)
                return error;
        }
        const struct evtchn *chn = evtchn_find_locked(d, port);
        if (chn->state == EVTCHN_FREE) {
            if (!e->abi->is_busy(d, chn)) {
                e->active++;
                return port;
            }
            lowest = false; /* free one day: first_free must not pass it */
        }
        if (lowest)
            e->first_free = port + 1;
    }
    return -XEN_ENOSPC;
}

static void free_locked(struct domain *d, struct evtchn *chn)
{
    struct evtchn_domain *e = d->evtchn;
    e->abi->clear_pending(d, chn); /* whoever gets this port next shall find it silent */
    chn->state = EVTCHN_FREE;
    chn->vcpu = 0;
    e->active--;
    e->first_free = MIN(e->first_free, chn->port);
}

static struct evtchn *open_locked(struct domain *d, evtchn_port_t port, enum evtchn_state state,
                                  uint32_t vcpu)
{
    struct evtchn *chn = evtchn_find_locked(d, port);
    chn->state = state;
    chn->vcpu = (uint8_t)vcpu;
    chn->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    return chn;
}

/* --- opening -------------------------------------------------------------------------------------------- */

int64_t evtchn_alloc_unbound(struct domain *d, domid_t remote)
{
    spin_lock(&d->evtchn->lock);
    int64_t port = alloc_locked(d);
    if (port >= 0)
        open_locked(d, port, EVTCHN_UNBOUND, 0)->remote_id = remote;
    spin_unlock(&d->evtchn->lock);
    return port;
}

static int64_t bind_interdomain_locked(struct domain *d, struct domain *rd, evtchn_port_t remote_port)
{
    struct evtchn *rchn = evtchn_find_locked(rd, remote_port);
    if (!rchn || rchn->state != EVTCHN_UNBOUND || rchn->remote_id != d->id)
        return -XEN_EINVAL;
    int64_t port = alloc_locked(d);
    if (port < 0)
        return port;

    struct evtchn *chn = open_locked(d, port, EVTCHN_INTERDOMAIN, 0);
    chn->remote.domain = rd;
    chn->remote.chn = rchn;
    rchn->state = EVTCHN_INTERDOMAIN;
    rchn->remote.domain = d;
    rchn->remote.chn = chn;
    /* The other side may have sent already. */
    evtchn_raise(d, chn);
    return port;
}

int64_t evtchn_bind_interdomain(struct domain *d, struct domain *rd, evtchn_port_t remote_port)
{
    spin_lock_pair(&d->evtchn->lock, &rd->evtchn->lock);
    int64_t port = bind_interdomain_locked(d, rd, remote_port);
    spin_unlock_pair(&d->evtchn->lock, &rd->evtchn->lock);
    return port;
}

int64_t evtchn_bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu)
{
    if (virq >= NR_VIRQS || (virq_is_global(virq) && vcpu != 0))
        return -XEN_EINVAL;
    struct vcpu *v = domain_vcpu(d, vcpu);
    if (!v)
        return -XEN_ENOENT;

    spin_lock(&d->evtchn->lock);
    int64_t port = v->virq_port[virq] ? -XEN_EEXIST : alloc_locked(d);
    if (port >= 0) {
        open_locked(d, port, EVTCHN_VIRQ, vcpu)->virq = virq;
        WRITE_ONCE(v->virq_port[virq], (evtchn_port_t)port);
    }
    spin_unlock(&d->evtchn->lock);
    return port;
}

int64_t evtchn_bind_ipi(struct domain *d, uint32_t vcpu)
{
    if (!domain_vcpu(d, vcpu))
        return -XEN_ENOENT;
    spin_lock(&d->evtchn->lock);
    int64_t port = alloc_locked(d);
    if (port >= 0)
        open_locked(d, port, EVTCHN_IPI, vcpu);
    spin_unlock(&d->evtchn->lock);
    return port;
}

/* --- closing -------------------------------------------------------------------------------------------- */

/* Both domains' locks are held. */
static void part_locked(struct domain *d, struct evtchn *chn)
{
    struct evtchn *rchn = chn->remote.chn;
    rchn->state = EVTCHN_UNBOUND;
    rchn->remote_id = d->id;
    free_locked(d, chn);
}

int evtchn_close(struct domain *d, evtchn_port_t port)
{
    struct domain *rd = d; /* whose lock we hold as well */
    int error = 0;

    for (;;) {
        spin_lock_pair(&d->evtchn->lock, &rd->evtchn->lock);
        struct evtchn *chn = evtchn_find_locked(d, port);
        struct domain *wanted = chn && chn->state == EVTCHN_INTERDOMAIN ? chn->remote.domain : rd;
        if (wanted != rd) {
            /* RCU keeps it in memory while we change locks; then we look again. */
            spin_unlock_pair(&d->evtchn->lock, &rd->evtchn->lock);
            rd = wanted;
            continue;
        }
        if (!chn || !evtchn_usable(chn)) {
            error = -XEN_EINVAL;
        } else if (chn->state == EVTCHN_INTERDOMAIN) {
            part_locked(d, chn);
        } else {
            if (chn->state == EVTCHN_VIRQ)
                WRITE_ONCE(d->vcpu[virq_is_global(chn->virq) ? 0 : chn->vcpu]->virq_port[chn->virq], 0);
            free_locked(d, chn);
        }
        spin_unlock_pair(&d->evtchn->lock, &rd->evtchn->lock);
        return error;
    }
}

/* --- sending -------------------------------------------------------------------------------------------- */

void evtchn_upcall(struct vcpu *v)
{
    struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);
    if (__atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        return;
    arch_upcall(v);
}

void evtchn_raise(struct domain *d, struct evtchn *chn)
{
    const struct evtchn_abi *abi;
    if (!evtchn_usable(chn))
        return;
    /* If the guest changes its ABI meanwhile, it may have collected what was pending before we set the bit.
     */
    do {
        abi = __atomic_load_n(&d->evtchn->abi, __ATOMIC_SEQ_CST);
        abi->set_pending(d, chn);
    } while (abi != __atomic_load_n(&d->evtchn->abi, __ATOMIC_SEQ_CST));
}

int evtchn_send(struct domain *d, evtchn_port_t port)
{
    int error = 0;
    spin_lock(&d->evtchn->lock);
    struct evtchn *chn = evtchn_find_locked(d, port);
    switch (chn ? chn->state : EVTCHN_FREE) {
    case EVTCHN_INTERDOMAIN:
        evtchn_raise(chn->remote.domain, chn->remote.chn);
        break;
    case EVTCHN_IPI:
        evtchn_raise(d, chn);
        break;
    case EVTCHN_UNBOUND: /* whoever binds it gets an event then */
        break;
    default:
        error = -XEN_EINVAL;
    }
    spin_unlock(&d->evtchn->lock);
    return error;
}

void evtchn_send_virq(struct vcpu *v, uint32_t virq)
{
    struct domain *d = v->domain;
    if (!READ_ONCE(v->virq_port[virq]))
        return;
    spin_lock(&d->evtchn->lock);
    if (v->virq_port[virq])
        evtchn_raise(d, evtchn_find_locked(d, v->virq_port[virq]));
    spin_unlock(&d->evtchn->lock);
}

void evtchn_send_global_virq(struct domain *d, uint32_t virq)
{
    struct vcpu *v = d ? domain_vcpu(d, 0) : NULL; /* where all global ones are noted */
    if (v)
        evtchn_send_virq(v, virq);
}

void evtchn_vcpu_info_moved(struct vcpu *v)
{
    /* A sender may have set bits in the old place after they were copied: let the guest look at everything.
     */
    __atomic_store_n(&v->info->evtchn_pending_sel, ~0ull, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    arch_upcall(v);
}

/* --- polling -------------------------------------------------------------------------------------------- */

int evtchn_poll_ready(struct domain *d, evtchn_port_t port)
{
    spin_lock(&d->evtchn->lock);
    struct evtchn *chn = evtchn_find_locked(d, port);
    int ready = chn ? evtchn_usable(chn) && d->evtchn->abi->is_pending(d, chn) : -XEN_EINVAL;
    spin_unlock(&d->evtchn->lock);
    return ready;
}

void evtchn_poll_begin(struct vcpu *v)
{
    __atomic_fetch_add(&v->domain->evtchn->pollers, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->polling, true, __ATOMIC_SEQ_CST);
}

bool evtchn_poll_end(struct vcpu *v)
{
    if (!READ_ONCE(v->polling) || !__atomic_exchange_n(&v->polling, false, __ATOMIC_SEQ_CST))
        return false;
    __atomic_fetch_sub(&v->domain->evtchn->pollers, 1, __ATOMIC_SEQ_CST);
    return true;
}

void evtchn_check_pollers(struct domain *d, evtchn_port_t port)
{
    if (likely(!__atomic_load_n(&d->evtchn->pollers, __ATOMIC_SEQ_CST)))
        return;
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = domain_vcpu(d, i);
        if (v && READ_ONCE(v->polling) && (!READ_ONCE(v->poll_port) || v->poll_port == port))
            vcpu_unblock(v);
    }
}

/* --- beginning and end ---------------------------------------------------------------------------------- */

int evtchn_domain_init(struct domain *d, uint32_t max_port)
{
    struct evtchn_domain *e = heap_alloc(sizeof(*e));
    if (!e)
        return -XEN_ENOMEM;
    e->max_port = MIN(max_port, (uint32_t)EVTCHN_LIMIT - 1);
    e->page = heap_alloc((e->max_port / EVTCHN_PER_PAGE + 1) * sizeof(*e->page));
    if (!e->page || add_page_locked(e)) {
        heap_free(e->page);
        heap_free(e);
        return -XEN_ENOMEM;
    }
    spin_lock_init(&e->lock, LOCK_EVTCHN);
    e->abi = &evtchn_2l;
    e->page[0][0].state = EVTCHN_RESERVED;
    e->first_free = e->next_kill = 1;
    d->evtchn = e;
    return 0;
}

int64_t evtchn_domain_kill(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    for (unsigned budget = HYPERCALL_BUDGET; e->next_kill < e->valid; e->next_kill++) {
        if (!budget--)
            return HYPERCALL_RESTART;
        evtchn_close(d, e->next_kill);
    }
    spin_lock(&e->lock);
    evtchn_fifo_destroy_locked(d);
    spin_unlock(&e->lock);
    return 0;
}

void evtchn_domain_free(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    for (uint32_t i = 0; i < e->valid / EVTCHN_PER_PAGE; i++)
        page_free(e->page[i], 0);
    heap_free(e->page);
    heap_free(e);
    d->evtchn = NULL;
}
