/*
 * vcpu_op: starting and stopping vCPUs, their timers, and the areas that they share with the hypervisor
 * (xen/vcpu.h), as Xen does it for HVM domains. And vm_assist.
 *
 * Locking: LOCK_DOMAIN around a vCPU's way from "down" to "up"; the rest is the vCPU's own or atomic.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/vcpu_time.h>
#include <xen/hvm/hvm_vcpu.h>

/* Longer periods would overflow once they are added to the time (as on Xen). */
#define LONGEST_PERIOD (INT64_C(1) << 62)

static int64_t initialise(struct vcpu *v, gva_t guest)
{
    struct domain *d = v->domain;
    struct vcpu_hvm_context context;
    if (copy_from_guest(&context, guest, sizeof(context)))
        return -XEN_EFAULT;

    spin_lock(&d->lock);
    int error = v->initialised ? -XEN_EEXIST : arch_vcpu_initialise(v, &context);
    spin_unlock(&d->lock);
    return error;
}

static int64_t up(struct vcpu *v)
{
    struct domain *d = v->domain;
    spin_lock(&d->lock);
    bool ready = v->initialised;
    if (ready)
        vcpu_wake(v, VCPU_DOWN);
    spin_unlock(&d->lock);
    return ready ? 0 : -XEN_EINVAL;
}

static bool is_up(const struct vcpu *v)
{
    return !(__atomic_load_n(&v->stopped, __ATOMIC_SEQ_CST) & VCPU_DOWN);
}

/* A domain that takes down the last of its vCPUs has switched itself off. */
static int64_t down(struct vcpu *v)
{
    struct domain *d = v->domain;
    bool last = true;

    spin_lock(&d->lock);
    for (uint32_t i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i] && d->vcpu[i] != v && is_up(d->vcpu[i]))
            last = false;
    if (!last)
        vcpu_stop(v, VCPU_DOWN);
    spin_unlock(&d->lock);
    if (last)
        domain_shutdown(d, SHUTDOWN_poweroff);
    return 0;
}

static int64_t set_periodic(struct vcpu *v, gva_t guest)
{
    struct vcpu_set_periodic_timer set;
    if (copy_from_guest(&set, guest, sizeof(set)))
        return -XEN_EFAULT;
    if (set.period_ns < MILLISECOND || set.period_ns > LONGEST_PERIOD)
        return -XEN_EINVAL;
    vcpu_set_periodic(v, set.period_ns);
    return 0;
}

/* VCPU_SSHOTTMR_future may be ignored, and Xen does: a time that has passed raises the event. */
static int64_t set_singleshot(struct vcpu *v, gva_t guest)
{
    struct vcpu_set_singleshot_timer set;
    if (v != current)
        return -XEN_EINVAL;
    if (copy_from_guest(&set, guest, sizeof(set)))
        return -XEN_EFAULT;
    vcpu_set_singleshot(v, set.timeout_abs_ns);
    return 0;
}

static int64_t stop_singleshot(struct vcpu *v)
{
    if (v != current)
        return -XEN_EINVAL;
    timer_stop(&v->singleshot);
    return 0;
}

static int64_t register_info(struct vcpu *v, gva_t guest)
{
    struct vcpu_register_vcpu_info info;
    if (copy_from_guest(&info, guest, sizeof(info)))
        return -XEN_EFAULT;
    return vcpu_register_info(v, GFN(info.mfn), info.offset);
}

static int64_t get_runstate(struct vcpu *v, gva_t guest)
{
    struct vcpu_runstate_info info;
    runstate_get(v, &info);
    return copy_to_guest(guest, &info, sizeof(info));
}

/* Written now as far as it is mapped, and whenever v's state changes; 0 ends it. */
static int64_t register_runstate(struct vcpu *v, gva_t guest)
{
    struct vcpu_register_runstate_memory_area area;
    if (copy_from_guest(&area, guest, sizeof(area)))
        return -XEN_EFAULT;
    WRITE_ONCE(v->runstate_area.v, area.addr.p);
    if (v == current)
        runstate_publish();
    else if (area.addr.p)
        (void)get_runstate(v, GVA(area.addr.p));
    return 0;
}

static int64_t register_time(struct vcpu *v, gva_t guest)
{
    struct vcpu_register_time_memory_area area;
    if (copy_from_guest(&area, guest, sizeof(area)))
        return -XEN_EFAULT;
    WRITE_ONCE(v->time_area.v, area.addr.p);
    if (v == current)
        vcpu_publish_time();
    return 0;
}

/* arg: operation, number of the vCPU, argument's address. */
int64_t do_vcpu_op(uint64_t arg[6])
{
    struct vcpu *v = domain_vcpu(current->domain, (uint32_t)arg[1]);
    gva_t guest = GVA(arg[2]);
    if (!v)
        return -XEN_ENOENT;

    switch ((uint32_t)arg[0]) {
    case VCPUOP_initialise:
        return initialise(v, guest);
    case VCPUOP_up:
        return up(v);
    case VCPUOP_down:
        return down(v);
    case VCPUOP_is_up:
        return is_up(v);
    case VCPUOP_get_runstate_info:
        return get_runstate(v, guest);
    case VCPUOP_register_runstate_memory_area:
        return register_runstate(v, guest);
    case VCPUOP_set_periodic_timer:
        return set_periodic(v, guest);
    case VCPUOP_stop_periodic_timer:
        vcpu_set_periodic(v, 0);
        return 0;
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(v, guest);
    case VCPUOP_stop_singleshot_timer:
        return stop_singleshot(v);
    case VCPUOP_register_vcpu_info:
        return register_info(v, guest);
    case VCPUOP_register_vcpu_time_memory_area:
        return register_time(v, guest);
    case VCPUOP_send_nmi:
        if (guest.v)
            return -XEN_EINVAL;
        arch_send_nmi(v);
        return 0;
    case VCPUOP_get_physid:
        return -XEN_EINVAL; /* only for a dom0 whose vCPUs are tied to CPUs for good, which there is not */
    default:
        return -XEN_ENOSYS;
    }
}

/* arg: command, type. The one assistance that an HVM domain can ask for says how its run state is written. */
int64_t do_vm_assist(uint64_t arg[6])
{
    struct domain *d = current->domain;
    if ((uint32_t)arg[1] != VMASST_TYPE_runstate_update_flag)
        return -XEN_EINVAL;
    uint64_t bit = 1ull << VMASST_TYPE_runstate_update_flag;
    switch ((uint32_t)arg[0]) {
    case VMASST_CMD_enable:
        __atomic_fetch_or(&d->vm_assist, bit, __ATOMIC_RELAXED);
        return 0;
    case VMASST_CMD_disable:
        __atomic_fetch_and(&d->vm_assist, ~bit, __ATOMIC_RELAXED);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}
