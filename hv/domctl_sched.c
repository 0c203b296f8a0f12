/*
 * domctl: where vCPUs may run and how much of the CPUs they get (xen/domctl.h). There is one NUMA node.
 *
 * The scheduler is shown as credit2. Soft affinity is a preference that it does not have, so only one that
 * prefers nothing is taken. Locking: LOCK_DOMCTL is held.
 */
#include <hv/control.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <hv/sched.h>

static uint64_t online_cpus(void)
{
    return cpu_count == 64 ? ~0ull : (1ull << cpu_count) - 1;
}

int64_t domctl_set_node_affinity(struct xen_domctl *op, struct domain *d)
{
    uint64_t nodes;

    (void)d;
    int error = control_get_bitmap(&nodes, &op->u.nodeaffinity.nodemap);
    return error ? error : nodes & 1 ? 0 : -XEN_EINVAL;
}

int64_t domctl_get_node_affinity(struct xen_domctl *op, struct domain *d)
{
    (void)d;
    return control_put_bitmap(&op->u.nodeaffinity.nodemap, 1);
}

static int find_vcpu(struct domain *d, const struct xen_domctl_vcpuaffinity *a, struct vcpu **v)
{
    if (!(a->flags & (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)))
        return -XEN_EINVAL;
    *v = domain_vcpu(d, a->vcpu);
    return *v ? 0 : -XEN_ESRCH;
}

static int64_t set_hard_affinity(struct vcpu *v, const struct xen_domctl_vcpuaffinity *a)
{
    uint64_t cpus_wanted;

    if (a->flags & XEN_VCPUAFFINITY_FORCE)
        sched_unpin(v);
    int error = control_get_bitmap(&cpus_wanted, &a->cpumap_hard);
    if (!error)
        error = sched_set_affinity(v, cpus_wanted);
    return error ? error : control_put_bitmap(&a->cpumap_hard, v->affinity & online_cpus());
}

int64_t domctl_set_vcpu_affinity(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v;
    uint64_t soft;

    int64_t error = find_vcpu(d, a, &v);
    if (!error && (a->flags & XEN_VCPUAFFINITY_HARD))
        error = set_hard_affinity(v, a);
    if (error || !(a->flags & XEN_VCPUAFFINITY_SOFT))
        return error;
    error = control_get_bitmap(&soft, &a->cpumap_soft);
    if (!error && (v->affinity & online_cpus() & ~soft))
        error = -XEN_EOPNOTSUPP;
    return error ? error : control_put_bitmap(&a->cpumap_soft, v->affinity & online_cpus());
}

int64_t domctl_get_vcpu_affinity(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v;

    int error = find_vcpu(d, a, &v);
    if (!error && (a->flags & XEN_VCPUAFFINITY_HARD))
        error = control_put_bitmap(&a->cpumap_hard, v->affinity);
    if (!error && (a->flags & XEN_VCPUAFFINITY_SOFT))
        error = control_put_bitmap(&a->cpumap_soft, ~0ull);
    return error;
}

/* Weight 0 leaves the weight as it is. There are no caps, which is what cap 0 says. */
int64_t domctl_scheduler_op(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_scheduler_op *s = &op->u.scheduler_op;

    if (s->sched_id != SCHED_ID)
        return -XEN_EINVAL;
    switch (s->cmd) {
    case XEN_DOMCTL_SCHEDOP_putinfo:
        if (s->u.credit2.cap)
            return -XEN_EOPNOTSUPP;
        return s->u.credit2.weight ? sched_set_weight(d, s->u.credit2.weight) : 0;
    case XEN_DOMCTL_SCHEDOP_getinfo:
        s->u.credit2.weight = (uint16_t)sched_get_weight(d);
        s->u.credit2.cap = 0;
        return 0;
    default:
        return -XEN_EINVAL;
    }
}
