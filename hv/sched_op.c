/*
 * sched_op: how a guest gives its CPU away, waits, and ends (xen/sched.h).
 *
 * Locking: LOCK_DOMAIN around watchdogs and the shutdown code. Polling: hv/evtchn.h, evtchn_poll_begin().
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/hypercall.h>
#include <hv/printk.h>
#include <hv/sched.h>

#define MAX_POLL_PORTS 128u

/* --- poll ----------------------------------------------------------------------------------------------- */

/* Something v polls for is there already: 1; 0: nothing; negative errno. */
static int poll_ready(struct vcpu *v, const evtchn_port_t *ports, uint32_t count)
{
    if (arch_event_pending(v))
        return 1;
    for (uint32_t i = 0; i < count; i++) {
        int ready = evtchn_poll_ready(v->domain, ports[i]);
        if (ready)
            return ready;
    }
    return 0;
}

static __attribute__((noinline)) int64_t poll(gva_t guest)
{
    struct vcpu *v = current;
    struct sched_poll op;
    evtchn_port_t ports[MAX_POLL_PORTS];

    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    if (op.nr_ports > MAX_POLL_PORTS)
        return -XEN_EINVAL;
    if (copy_from_guest(ports, handle_gva(op.ports), op.nr_ports * sizeof(ports[0])))
        return -XEN_EFAULT;

    v->poll_port = op.nr_ports == 1 ? ports[0] : 0;
    if (op.timeout)
        timer_set(&v->poll, op.timeout);
    else
        timer_stop(&v->poll); /* an earlier poll's */
    evtchn_poll_begin(v);
    __atomic_fetch_or(&v->stopped, VCPU_BLOCKED, __ATOMIC_SEQ_CST);
    /* Senders first make the port pending and then look for pollers. */
    int ready = poll_ready(v, ports, op.nr_ports);
    if (ready) {
        evtchn_poll_end(v);
        __atomic_fetch_and(&v->stopped, ~VCPU_BLOCKED, __ATOMIC_SEQ_CST);
        timer_stop(&v->poll);
        return MIN(ready, 0);
    }
    softirq_raise(SOFTIRQ_SCHEDULE);
    return 0;
}

/* --- watchdogs ------------------------------------------------------------------------------------------ */

static void watchdog_fires(struct timer *timer, void *arg)
{
    struct domain *d = arg;
    (void)timer;
    if (d->shut_down || d->dying)
        return;
    printk(LOG_WARNING "d%u: watchdog fired\n", d->id);
    domain_shutdown(d, SHUTDOWN_watchdog);
}

/* A free watchdog is taken; its number from 1 on, -ENOSPC, -ENOMEM. */
static int64_t take_watchdog_locked(struct domain *d, ns_t expires)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(d->watchdog); i++) {
        if (d->watchdog_in_use & 1u << i)
            continue;
        int error = timer_reserve();
        if (error)
            return error;
        d->watchdog_in_use |= 1u << i;
        timer_init(&d->watchdog[i], watchdog_fires, d);
        timer_set(&d->watchdog[i], expires);
        return i + 1;
    }
    return -XEN_ENOSPC;
}

static int64_t change_watchdog_locked(struct domain *d, uint32_t id, uint32_t timeout, ns_t expires)
{
    uint32_t i = id - 1;
    if (!(d->watchdog_in_use & 1u << i))
        return -XEN_EINVAL;
    if (timeout) {
        timer_set(&d->watchdog[i], expires);
    } else {
        timer_stop(&d->watchdog[i]);
        timer_release();
        d->watchdog_in_use &= ~(1u << i);
    }
    return 0;
}

static int64_t watchdog(gva_t guest)
{
    struct domain *d = current->domain;
    struct sched_watchdog op;
    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    if (op.id > ARRAY_SIZE(d->watchdog))
        return -XEN_EINVAL;

    ns_t expires = time_now() + op.timeout * SECOND;
    spin_lock(&d->lock);
    int64_t result =
        op.id ? change_watchdog_locked(d, op.id, op.timeout, expires) : take_watchdog_locked(d, expires);
    spin_unlock(&d->lock);
    return result;
}

void watchdogs_kill(struct domain *d)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(d->watchdog); i++)
        if (d->watchdog_in_use & 1u << i) {
            timer_kill(&d->watchdog[i]);
            timer_release();
        }
    d->watchdog_in_use = 0;
}

/* --- shutdown ------------------------------------------------------------------------------------------- */

static int64_t shutdown(gva_t guest)
{
    struct sched_shutdown op;
    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    domain_shutdown(current->domain, (uint8_t)op.reason);
    return 0;
}

/* What the domain's end is to count as, whatever ends it. The first word is the last. */
static int64_t shutdown_code(gva_t guest)
{
    struct domain *d = current->domain;
    struct sched_shutdown op;
    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    spin_lock(&d->lock);
    if (!d->shut_down && !d->shutdown_code_fixed) {
        d->shutdown_code = (uint8_t)op.reason;
        d->shutdown_code_fixed = true;
    }
    spin_unlock(&d->lock);
    return 0;
}

static int64_t remote_shutdown(gva_t guest)
{
    struct sched_remote_shutdown op;
    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    struct domain *d = op.domain_id == DOMID_SELF ? NULL : domain_find(op.domain_id);
    if (!d)
        return -XEN_ESRCH;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    domain_shutdown(d, (uint8_t)op.reason);
    return 0;
}

/* --- the hypercall -------------------------------------------------------------------------------------- */

/* Ties the calling vCPU to one CPU for a while (firmware calls that insist on it); a negative one ends that.
 */
static int64_t pin_override(gva_t guest)
{
    struct sched_pin_override op;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    if (copy_from_guest(&op, guest, sizeof(op)))
        return -XEN_EFAULT;
    return op.pcpu < 0 ? sched_unpin(current) : sched_pin(current, (uint32_t)op.pcpu);
}

static __attribute__((noinline)) int64_t other_op(uint32_t op, gva_t guest)
{
    switch (op) {
    case SCHEDOP_shutdown:
        return shutdown(guest);
    case SCHEDOP_remote_shutdown:
        return remote_shutdown(guest);
    case SCHEDOP_shutdown_code:
        return shutdown_code(guest);
    case SCHEDOP_watchdog:
        return watchdog(guest);
    case SCHEDOP_pin_override:
        return pin_override(guest);
    default:
        return -XEN_ENOSYS;
    }
}

/* arg: operation, argument's address. */
int64_t do_sched_op(uint64_t arg[6])
{
    switch ((uint32_t)arg[0]) {
    case SCHEDOP_yield:
        vcpu_yield_current();
        return 0;
    case SCHEDOP_block:
        vcpu_block_current();
        return 0;
    case SCHEDOP_poll:
        return poll(GVA(arg[1]));
    default:
        return other_op((uint32_t)arg[0], GVA(arg[1]));
    }
}
