/*
 * The scheduler: what control operations set, and what the debug key shows.
 *
 * Interface: hv/sched.h. Locking: settings are words that the scheduler reads as it goes, each written whole;
 * sched_displace() has it look at once where that matters.
 */
#include <hv/evtchn.h>
#include <hv/printk.h>
#include <hv/sched_internal.h>
#include <xen/errno.h>

/* XEN_SYSCTL_SCHED_RATELIMIT_MIN and _MAX of xen/sysctl.h, which are in microseconds. */
#define RATELIMIT_LEAST (MILLISECOND / 10)
#define RATELIMIT_MOST  (SECOND / 2)

int sched_set_weight(struct domain *d, uint32_t weight)
{
    if (!weight || weight > SCHED_MAX_WEIGHT)
        return -XEN_EINVAL;
    WRITE_ONCE(d->sched_weight, weight);
    return 0;
}

uint32_t sched_get_weight(const struct domain *d)
{
    return d->sched_weight ? d->sched_weight : SCHED_DEFAULT_WEIGHT;
}

int sched_set_ratelimit(ns_t limit)
{
    if (limit && (limit < RATELIMIT_LEAST || limit > RATELIMIT_MOST))
        return -XEN_EINVAL;
    WRITE_ONCE(sched_ratelimit, limit);
    return 0;
}

ns_t sched_get_ratelimit(void)
{
    return sched_ratelimit;
}

int sched_set_affinity(struct vcpu *v, uint64_t mask)
{
    mask &= all_cpus();
    if (!mask)
        return -XEN_EINVAL;
    if (v->pin)
        return -XEN_EBUSY;
    WRITE_ONCE(v->affinity, mask);
    sched_displace(v);
    return 0;
}

int sched_set_soft_affinity(struct vcpu *v, uint64_t mask)
{
    if (v->pin)
        return -XEN_EBUSY;
    WRITE_ONCE(v->soft_affinity, mask & all_cpus());
    sched_displace(v);
    return 0;
}

int sched_pin(struct vcpu *v, uint32_t cpu)
{
    if (cpu >= cpu_count)
        return -XEN_EINVAL;
    if (v->pin)
        return -XEN_EBUSY;
    WRITE_ONCE(v->pin, 1ull << cpu);
    sched_displace(v);
    return 0;
}

int sched_unpin(struct vcpu *v)
{
    if (!v->pin)
        return -XEN_EINVAL;
    WRITE_ONCE(v->pin, 0);
    sched_displace(v);
    return 0;
}

/* --- debug key ------------------------------------------------------------------------------------------ */

static void dump_vcpu(struct vcpu *v)
{
    static const char *const states[] = {"running", "runnable", "blocked", "offline"};
    struct vcpu_runstate_info r;
    runstate_get(v, &r);
    printk(LOG_INFO "  d%uv%u CPU %u %s stopped %#x pending %u vtime %lu ran %lu ms\n", v->domain->id, v->id,
           v->cpu->id, states[r.state], v->stopped, vcpu_upcall_pending(v), v->vtime,
           r.time[RUNSTATE_running] / MILLISECOND);
}

void sched_dump(void)
{
    printk(LOG_INFO "  idle CPUs %#lx, with vCPUs waiting %#lx\n", idle_cpus, waiting_cpus);
    for (unsigned i = 0; i < cpu_count; i++) {
        struct run_queue *rq = &cpus[i]->run_queue;
        printk(LOG_INFO "  CPU %u: %u wait, vtime %lu, %s\n", i, rq->count, rq->vtime,
               rq->sliced ? "sliced" : "not sliced");
    }
    for (struct domain *d = domain_next(0); d; d = domain_next(d->id + 1))
        for (uint32_t i = 0; i < d->max_vcpus; i++)
            if (domain_vcpu(d, i))
                dump_vcpu(d->vcpu[i]);
}
