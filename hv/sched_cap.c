/*
 * Caps: how much of one CPU all vCPUs of a domain may use together, however idle the machine is.
 *
 * d->cap_until is the time by which what the domain ran is allowed for: running for t moves it on by t * 100
 * / cap, from the present at least. So there is nothing to refill and nothing to do for a domain that sleeps.
 * Once it is CAP_BURST ahead of the clock, vCPUs of the domain are parked as they are charged or chosen
 * (VCPU_CAPPED), and the domain's timer wakes them when the clock has caught up with all of it. What vCPUs
 * that run at the same time used too much is thereby made up for, and the average is exact.
 *
 * A parked vCPU counts as runnable: it would run if it were allowed to.
 *
 * Interface: hv/sched.h, hv/sched_internal.h. Locking: cap_until is atomic; sched_cap and the timer's
 * existence belong to LOCK_DOMCTL. Whoever parks sets the bit first and the timer then, so the timer's last
 * run sees every bit.
 */
#include <hv/arch/time.h>
#include <hv/sched_internal.h>
#include <xen/errno.h>

/* Vcpus that run at the same time use up what is left together: it is shared out among all, down to this. */
#define GRAIN (MILLISECOND / 2)

void cap_charge(struct domain *d, ns_t from, ns_t now)
{
    uint32_t cap = READ_ONCE(d->sched_cap);
    from = MAX(from, READ_ONCE(d->cap_since));
    if (!cap || from >= now)
        return;
    ns_t cost = (now - from) * 100 / cap, old = __atomic_load_n(&d->cap_until, __ATOMIC_RELAXED), until;
    do
        until = MAX(old, from) + cost;
    while (
        !__atomic_compare_exchange_n(&d->cap_until, &old, until, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void cap_park_locked(struct vcpu *v)
{
    struct domain *d = v->domain;
    __atomic_fetch_or(&v->stopped, VCPU_CAPPED, __ATOMIC_SEQ_CST);
    timer_set(&d->cap_timer, __atomic_load_n(&d->cap_until, __ATOMIC_RELAXED));
}

ns_t cap_check_time(const struct vcpu *v, ns_t now)
{
    const struct domain *d = v->domain;
    uint64_t cap = READ_ONCE(d->sched_cap), most = 100ull * d->max_vcpus;
    if (!cap || cap >= most)
        return NS_NEVER;
    ns_t until = MAX(__atomic_load_n(&d->cap_until, __ATOMIC_RELAXED), now);
    ns_t left = until < now + CAP_BURST ? now + CAP_BURST - until : 0;
    /* If all of them run: that long, until cap_until has moved from where it is to CAP_BURST ahead of the
     * clock.
     */
    return now + MAX(left * cap / (most - cap), GRAIN);
}

static void cap_timer_fires(struct timer *timer, void *arg)
{
    struct domain *d = arg;
    ns_t until = __atomic_load_n(&d->cap_until, __ATOMIC_RELAXED);
    if (READ_ONCE(d->sched_cap) && until > time_now()) {
        timer_set(timer, until); /* others ran on after the first was parked */
        return;
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++)
        if (domain_vcpu(d, i))
            vcpu_wake(d->vcpu[i], VCPU_CAPPED);
}

static int prepare_timer(struct domain *d)
{
    if (d->cap_timer.fn)
        return 0;
    int error = timer_reserve();
    if (!error)
        timer_init(&d->cap_timer, cap_timer_fires, d);
    return error;
}

int sched_set_cap(struct domain *d, uint32_t cap)
{
    if (!cap && !d->sched_cap)
        return 0;
    uint32_t vcpus = 0;
    for (uint32_t i = 0; i < d->max_vcpus; i++)
        vcpus += domain_vcpu(d, i) != NULL;
    if (cap > 100 * vcpus)
        return -XEN_EINVAL;
    int error = prepare_timer(d);
    if (error)
        return error;
    WRITE_ONCE(d->cap_since, time_now());
    __atomic_store_n(&d->cap_until, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&d->sched_cap, cap, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = domain_vcpu(d, i);
        if (!v)
            continue;
        vcpu_wake(v, VCPU_CAPPED);
        sched_displace(v); /* one that runs is to be looked at in time */
    }
    return 0;
}

uint32_t sched_get_cap(const struct domain *d)
{
    return d->sched_cap;
}

void sched_cap_kill(struct domain *d)
{
    if (!d->cap_timer.fn)
        return;
    timer_kill(&d->cap_timer);
    timer_release();
    d->cap_timer.fn = NULL;
}
