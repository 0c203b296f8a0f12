/*
 * hvm_op: HVM parameters, the upcall vector, and the little else that PVH guests call (xen/hvm/hvm_op.h,
 * params.h).
 *
 * Parameters are mostly a notice board between toolstack and guest; the table below says who may read and
 * write which. Locking: LOCK_DOMAIN for changes of parameters.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

/* What is not said here may be read and written by a privileged domain about another. */
#define GUEST_READS  0x1 /* a domain may read its own */
#define GUEST_WRITES 0x2
#define ONCE         0x4 /* once it is not zero it stays */
#define GONE         0x8 /* no longer part of the ABI */
static const uint8_t param_rights[HVM_NR_PARAMS] = {
    [HVM_PARAM_CALLBACK_IRQ] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_STORE_PFN] = GUEST_READS,
    [HVM_PARAM_STORE_EVTCHN] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_PAE_ENABLED] = GONE,
    [HVM_PARAM_IOREQ_PFN] = ONCE,
    [HVM_PARAM_BUFIOREQ_PFN] = ONCE,
    [HVM_PARAM_VIRIDIAN] = ONCE,
    [HVM_PARAM_DM_DOMAIN] = GONE,
    [HVM_PARAM_VM86_TSS] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_CONSOLE_PFN] = GUEST_READS,
    [HVM_PARAM_CONSOLE_EVTCHN] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_ACPI_IOPORTS_LOCATION] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_MEMORY_EVENT_CR0] = GONE,
    [HVM_PARAM_MEMORY_EVENT_CR3] = GONE,
    [HVM_PARAM_MEMORY_EVENT_CR4] = GONE,
    [HVM_PARAM_MEMORY_EVENT_INT3] = GONE,
    [HVM_PARAM_NESTEDHVM] = GONE,
    [HVM_PARAM_MEMORY_EVENT_SINGLE_STEP] = GONE,
    [HVM_PARAM_BUFIOREQ_EVTCHN] = GONE,
    [HVM_PARAM_MEMORY_EVENT_MSR] = GONE,
    [HVM_PARAM_IOREQ_SERVER_PFN] = ONCE,
    [HVM_PARAM_NR_IOREQ_SERVER_PAGES] = ONCE,
    [HVM_PARAM_VM_GENERATION_ID_ADDR] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_ALTP2M] = GUEST_READS | ONCE,
    [HVM_PARAM_X87_FIP_WIDTH] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_VM86_TSS_SIZED] = GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_MCA_CAP] = ONCE,
};

/* Reads the argument and finds the domain; 0 when the caller has the right to touch this parameter in this
 * way. */
static int get_param_argument(uint64_t argument, uint8_t right, struct xen_hvm_param *a, struct domain **d)
{
    if (copy_from_guest(a, GVA(argument), sizeof *a))
        return -XEN_EFAULT;
    if (a->index >= HVM_NR_PARAMS)
        return -XEN_EINVAL;
    int error = domain_find_target(a->domid, d);
    if (error)
        return error;
    uint8_t rights = param_rights[index_nospec(a->index, HVM_NR_PARAMS)];
    if (rights & GONE)
        return -XEN_EINVAL;
    return *d == current->domain && !(rights & right) ? -XEN_EPERM : 0;
}

/* What the value asks for must exist. */
static int check_value(uint32_t index, uint64_t value)
{
    switch (index) {
    case HVM_PARAM_TIMER_MODE:
        return value > HVMPTM_one_missed_tick_pending ? -XEN_EINVAL : 0;
    case HVM_PARAM_TRIPLE_FAULT_REASON:
        return value > SHUTDOWN_MAX ? -XEN_EINVAL : 0;
    case HVM_PARAM_VIRIDIAN: /* it would have to contain the base features */
        return value ? -XEN_EOPNOTSUPP : -XEN_EINVAL;
    case HVM_PARAM_ALTP2M:
    case HVM_PARAM_MCA_CAP:
        return value ? -XEN_EOPNOTSUPP : 0;
    case HVM_PARAM_ACPI_S_STATE:
        return value ? -XEN_EINVAL : 0;
    case HVM_PARAM_ACPI_IOPORTS_LOCATION: /* a PVH guest has no PM timer */
        return -XEN_ENODEV;
    case HVM_PARAM_X87_FIP_WIDTH: /* state is always saved with all 8 bytes */
        return value == 0 || value == 8 ? 0 : -XEN_EINVAL;
    default:
        return 0;
    }
}

static int set_param_locked(struct domain *d, uint32_t index, uint64_t value)
{
    uint64_t old = d->hvm_param[index];

    if ((param_rights[index] & ONCE) && old != 0 && old != value)
        return -XEN_EEXIST;
    int error = check_value(index, value);
    if (!error && index == HVM_PARAM_CALLBACK_IRQ)
        error = arch_set_callback_via(d, value);
    if (!error)
        d->hvm_param[index] = value;
    return error;
}

static int64_t set_param(uint64_t argument)
{
    struct xen_hvm_param a;
    struct domain *d;

    int error = get_param_argument(argument, GUEST_WRITES, &a, &d);
    if (error)
        return error;
    spin_lock(&d->lock);
    error = set_param_locked(d, a.index, a.value);
    spin_unlock(&d->lock);
    return error;
}

static int64_t get_param(uint64_t argument)
{
    struct xen_hvm_param a;
    struct domain *d;

    int error = get_param_argument(argument, GUEST_READS, &a, &d);
    if (error)
        return error;
    a.value = READ_ONCE(d->hvm_param[a.index]);
    return copy_to_guest(GVA(argument), &a, sizeof a);
}

static int64_t set_upcall_vector(uint64_t argument)
{
    struct xen_hvm_evtchn_upcall_vector a;

    if (copy_from_guest(&a, GVA(argument), sizeof a))
        return -XEN_EFAULT;
    if (a.vector < 0x10)
        return -XEN_EINVAL;
    struct vcpu *v = domain_vcpu(current->domain, a.vcpu);
    return v ? arch_set_upcall_vector(v, a.vector) : -XEN_ENOENT;
}

/* Means something to shadow page tables only, so it ends in an error, which guests expect. */
static int64_t pagetable_dying(uint64_t argument)
{
    struct xen_hvm_pagetable_dying a;

    if (copy_from_guest(&a, GVA(argument), sizeof a))
        return -XEN_EFAULT;
    struct domain *d = domain_find(a.domid);
    if (!d)
        return -XEN_ESRCH;
    return d == current->domain ? -XEN_EINVAL : -XEN_EOPNOTSUPP;
}

static int64_t get_time(uint64_t argument)
{
    struct xen_hvm_get_time a = {.now = time_now()};

    return copy_to_guest(GVA(argument), &a, sizeof a);
}

int64_t do_hvm_op(uint64_t arg[6])
{
    switch (arg[0]) {
    case HVMOP_set_param:
        return set_param(arg[1]);
    case HVMOP_get_param:
        return get_param(arg[1]);
    case HVMOP_set_evtchn_upcall_vector:
        return set_upcall_vector(arg[1]);
    case HVMOP_pagetable_dying:
        return pagetable_dying(arg[1]);
    case HVMOP_get_time:
        return get_time(arg[1]);
    case HVMOP_altp2m:
        return -XEN_EOPNOTSUPP;
    default:
        return -XEN_ENOSYS;
    }
}
