/*
 * domctl: where vCPUs may run and how much of the CPUs they get (xen/domctl.h). There is one NUMA node.
 *
 * The scheduler is shown as credit2. Locking: LOCK_DOMCTL is held.
 */
#include <hv/control.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <hv/sched.h>

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

/* Both are told where the vCPU may run and would rather run from now on, of what was asked for. */
static int64_t set_hard_affinity(struct vcpu *v, const struct xen_domctl_vcpuaffinity *a)
{
    uint64_t wanted;
    int error = control_get_bitmap(&wanted, &a->cpumap_hard);
    if (!error)
        error = sched_set_affinity(v, wanted);
    return error ? error : control_put_bitmap(&a->cpumap_hard, v->affinity);
}

static int64_t set_soft_affinity(struct vcpu *v, const struct xen_domctl_vcpuaffinity *a)
{
    uint64_t wanted;
    int error = control_get_bitmap(&wanted, &a->cpumap_soft);
    if (!error)
        error = sched_set_soft_affinity(v, wanted);
    return error ? error : control_put_bitmap(&a->cpumap_soft, v->soft_affinity & v->affinity);
}

static int find_vcpu(struct domain *d, const struct xen_domctl_vcpuaffinity *a, struct vcpu **v)
{
    if (a->vcpu >= d->max_vcpus)
        return -XEN_EINVAL;
    *v = domain_vcpu(d, a->vcpu);
    if (!*v)
        return -XEN_ESRCH;
    if (!a->flags || ((a->flags & XEN_VCPUAFFINITY_HARD) && !a->cpumap_hard.bitmap.p) ||
        ((a->flags & XEN_VCPUAFFINITY_SOFT) && !a->cpumap_soft.bitmap.p))
        return -XEN_EINVAL;
    return 0;
}

int64_t domctl_set_vcpu_affinity(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v;

    int64_t error = find_vcpu(d, a, &v);
    if (error)
        return error;
    if (a->flags & XEN_VCPUAFFINITY_FORCE)
        sched_unpin(v);
    uint64_t before = v->affinity;
    if (a->flags & XEN_VCPUAFFINITY_HARD)
        error = set_hard_affinity(v, a);
    if (error || !(a->flags & XEN_VCPUAFFINITY_SOFT))
        return error;
    error = set_soft_affinity(v, a);
    if (error)
        sched_set_affinity(v, before); /* who gets an error expects that nothing has changed */
    return error;
}

int64_t domctl_get_vcpu_affinity(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v;

    int error = find_vcpu(d, a, &v);
    if (!error && (a->flags & XEN_VCPUAFFINITY_HARD))
        error = control_put_bitmap(&a->cpumap_hard, v->affinity);
    if (!error && (a->flags & XEN_VCPUAFFINITY_SOFT))
        error = control_put_bitmap(&a->cpumap_soft, v->soft_affinity);
    return error;
}

/* Weight 0 leaves the weight as it is; cap 0 is none. credit2 has nothing that is set for single vCPUs. */
int64_t domctl_scheduler_op(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_scheduler_op *s = &op->u.scheduler_op;

    if (s->sched_id != SCHED_ID)
        return -XEN_EINVAL;
    switch (s->cmd) {
    case XEN_DOMCTL_SCHEDOP_putinfo: {
        int error = sched_set_cap(d, s->u.credit2.cap);
        return error || !s->u.credit2.weight ? error : sched_set_weight(d, s->u.credit2.weight);
    }
    case XEN_DOMCTL_SCHEDOP_getinfo:
        s->u.credit2.weight = (uint16_t)sched_get_weight(d);
        s->u.credit2.cap = (uint16_t)sched_get_cap(d);
        return 0;
    default:
        return -XEN_EINVAL;
    }
}
