/*
 * domctl: the toolstack's operations on domains (xen/domctl.h, interface version 0x15). This file has the
 * table and the life of domains; scheduling parameters are in domctl_sched.c, state and memory in
 * domctl_state.c.
 *
 * Locking: LOCK_DOMCTL, one operation at a time. Who does not get it at once runs again later, so that a CPU
 * never waits for another's long operation. Operations that only look do without.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/vcpu.h>
#include <hv/control.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <lib/domain_state.h>
#include <lib/string.h>

#define GPADDR_BITS 48 /* what a p2m of four levels covers */

static spinlock_t domctl_lock = SPINLOCK_INIT(LOCK_DOMCTL);

/* --- information ---------------------------------------------------------------------------------------- */

static void add_vcpu_info(struct vcpu *v, struct xen_domctl_getdomaininfo *info)
{
    info->max_vcpu_id = v->id;
    info->cpu_time += vcpu_cpu_time(v);
    if (v->stopped & VCPU_DOWN)
        return;
    info->nr_online_vcpus++;
    if (!(v->stopped & VCPU_BLOCKED))
        info->flags &= ~XEN_DOMINF_blocked;
    if (vcpu_is_running(v))
        info->flags |= XEN_DOMINF_running;
}

void control_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    *info = (struct xen_domctl_getdomaininfo){
        .domain = d->id,
        .flags = XEN_DOMINF_blocked,
        .tot_pages = d->total_pages,
        .max_pages = d->max_pages,
        .outstanding_pages = d->claimed_pages,
        .shared_info_frame = d->shared_info_gfn.v,
        .max_vcpu_id = XEN_INVALID_MAX_VCPU_ID,
        .ssidref = d->config->ssidref,
        .gpaddr_bits = GPADDR_BITS,
        .arch_config = d->config->arch,
    };
    memcpy(info->handle, d->handle, sizeof info->handle);

    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = domain_vcpu(d, i);
        if (v)
            add_vcpu_info(v, info);
    }
    if (!info->nr_online_vcpus)
        info->flags = 0;
    info->flags |= XEN_DOMINF_hvm_guest | XEN_DOMINF_hap;
    if (d->dying == DOMAIN_DEAD)
        info->flags |= XEN_DOMINF_dying;
    if (d->control_pauses)
        info->flags |= XEN_DOMINF_paused;
    if (d->config->flags & XEN_DOMCTL_CDF_xs_domain)
        info->flags |= XEN_DOMINF_xs_domain;
    if (d->shut_down)
        info->flags |= XEN_DOMINF_shutdown | (uint32_t)d->shutdown_code << XEN_DOMINF_shutdownshift;
    else
        info->flags |= (uint32_t)XEN_DOMINF_shutdownmask << XEN_DOMINF_shutdownshift;
}

/* About the domain of that id, or the next higher one that there is. */
static int64_t get_domain_info(struct xen_domctl *op, struct domain *d)
{
    if (!d && op->domain >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    if (!d)
        d = domain_next(op->domain);
    if (!d)
        return -XEN_ESRCH;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    control_domain_info(d, &op->u.getdomaininfo);
    op->domain = d->id;
    return 0;
}

static int64_t get_vcpu_info(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;

    if (info->vcpu >= d->max_vcpus)
        return -XEN_EINVAL;
    struct vcpu *v = domain_vcpu(d, info->vcpu);
    if (!v)
        return -XEN_ESRCH;
    info->online = !(v->stopped & VCPU_DOWN);
    info->blocked = !!(v->stopped & VCPU_BLOCKED);
    info->running = vcpu_is_running(v);
    info->cpu_time = vcpu_cpu_time(v);
    info->cpu = v->cpu->id;
    return 0;
}

/* --- life ----------------------------------------------------------------------------------------------- */

static int64_t create_domain(struct xen_domctl *op, struct domain *d)
{
    bool chosen = op->domain > 0 && op->domain < DOMID_FIRST_RESERVED;

    int error = domain_create(chosen ? op->domain : DOMID_INVALID, &op->u.createdomain, false, &d);
    if (!error)
        op->domain = d->id;
    return error;
}

static int64_t destroy_domain(struct xen_domctl *op, struct domain *d)
{
    (void)op;
    return domain_kill(d);
}

static int64_t pause_domain(struct xen_domctl *op, struct domain *d)
{
    (void)op;
    int error = domain_control_pause(d);
    while (!error && !domain_is_stopped(d))
        cpu_relax();
    return error;
}

static int64_t unpause_domain(struct xen_domctl *op, struct domain *d)
{
    (void)op;
    return domain_control_unpause(d);
}

static int64_t resume_domain(struct xen_domctl *op, struct domain *d)
{
    (void)op;
    domain_resume(d);
    return 0;
}

/* The number was fixed when the domain was created; this makes those that are missing. */
static int64_t make_vcpus(struct xen_domctl *op, struct domain *d)
{
    if (op->u.max_vcpus.max != d->max_vcpus)
        return -XEN_EINVAL;
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        int error = d->vcpu[i] ? 0 : vcpu_create(d, i);
        if (error)
            return error;
    }
    return 0;
}

/* --- properties ----------------------------------------------------------------------------------------- */

static int64_t set_max_mem(struct xen_domctl *op, struct domain *d)
{
    uint64_t pages = op->u.max_mem.max_memkb >> (PAGE_SHIFT - 10);

    WRITE_ONCE(d->max_pages, (uint32_t)MIN(pages, UINT32_MAX - 1ull));
    return 0;
}

static int64_t set_handle(struct xen_domctl *op, struct domain *d)
{
    memcpy(d->handle, op->u.setdomainhandle.handle, sizeof d->handle);
    return 0;
}

static int64_t set_time_offset(struct xen_domctl *op, struct domain *d)
{
    d->time_offset = op->u.settimeoffset.time_offset_seconds;
    arch_update_wallclock(d);
    return 0;
}

/* There are no ACPI buttons to press in a PVH domain. */
static int64_t send_trigger(struct xen_domctl *op, struct domain *d)
{
    struct vcpu *v = domain_vcpu(d, op->u.sendtrigger.vcpu);

    if (!v)
        return -XEN_ESRCH;
    switch (op->u.sendtrigger.trigger) {
    case XEN_DOMCTL_SENDTRIGGER_NMI:
        arch_send_nmi(v);
        return 0;
    case XEN_DOMCTL_SENDTRIGGER_POWER:
    case XEN_DOMCTL_SENDTRIGGER_SLEEP:
        return -XEN_EOPNOTSUPP;
    default:
        return -XEN_ENOSYS;
    }
}

static int64_t get_domain_state(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_get_domain_state *said = domain_state_of(op), state = {.state = 0};

    if (said->pad0)
        return -XEN_EINVAL;
    if (!d && op->domain != DOMID_INVALID)
        return -XEN_ESRCH;
    if (!d && (op->domain = domain_take_changed()) == DOMID_INVALID)
        return -XEN_ENOENT;
    if (!d)
        d = domain_find(op->domain);
    if (d) {
        state.state = XEN_DOMCTL_GETDOMSTATE_STATE_EXIST;
        state.state |= d->shut_down ? XEN_DOMCTL_GETDOMSTATE_STATE_SHUTDOWN : 0;
        state.state |= d->dying ? XEN_DOMCTL_GETDOMSTATE_STATE_DYING : 0;
        state.state |= d->dying == DOMAIN_DEAD ? XEN_DOMCTL_GETDOMSTATE_STATE_DEAD : 0;
        state.caps =
            d->privileged ? XEN_DOMCTL_GETDOMSTATE_CAP_CONTROL | XEN_DOMCTL_GETDOMSTATE_CAP_HARDWARE : 0;
        state.unique_id = d->unique_id;
    }
    *said = state;
    return 0;
}

/* Domains of hardware virtualization choose their own width. */
static int64_t address_size(struct xen_domctl *op, struct domain *d)
{
    (void)op, (void)d;
    return -XEN_EOPNOTSUPP;
}

/* --- the table ------------------------------------------------------------------------------------------ */

#define COPY_BACK 0x1
#define UNLOCKED  0x2
#define NOT_SELF  0x4 /* -EINVAL for the calling domain: it cannot be paused */
#define ANY_ID    0x8 /* the domain may be missing */

static const struct operation {
    domctl_fn *fn;
    uint8_t flags;
} operations[] = {
    [XEN_DOMCTL_createdomain] = {create_domain, COPY_BACK | ANY_ID},
    [XEN_DOMCTL_destroydomain] = {destroy_domain, NOT_SELF},
    [XEN_DOMCTL_pausedomain] = {pause_domain, NOT_SELF},
    [XEN_DOMCTL_unpausedomain] = {unpause_domain, 0},
    [XEN_DOMCTL_resumedomain] = {resume_domain, NOT_SELF},
    [XEN_DOMCTL_getdomaininfo] = {get_domain_info, COPY_BACK | UNLOCKED | ANY_ID},
    [XEN_DOMCTL_getvcpuinfo] = {get_vcpu_info, COPY_BACK},
    [XEN_DOMCTL_max_vcpus] = {make_vcpus, NOT_SELF},
    [XEN_DOMCTL_max_mem] = {set_max_mem, 0},
    [XEN_DOMCTL_setdomainhandle] = {set_handle, 0},
    [XEN_DOMCTL_settimeoffset] = {set_time_offset, 0},
    [XEN_DOMCTL_sendtrigger] = {send_trigger, 0},
    [XEN_DOMCTL_set_address_size] = {address_size, 0},
    [XEN_DOMCTL_get_address_size] = {address_size, 0},
    [XEN_DOMCTL_setnodeaffinity] = {domctl_set_node_affinity, 0},
    [XEN_DOMCTL_getnodeaffinity] = {domctl_get_node_affinity, 0},
    [XEN_DOMCTL_setvcpuaffinity] = {domctl_set_vcpu_affinity, 0},
    [XEN_DOMCTL_getvcpuaffinity] = {domctl_get_vcpu_affinity, 0},
    [XEN_DOMCTL_scheduler_op] = {domctl_scheduler_op, COPY_BACK},
    [XEN_DOMCTL_getvcpucontext] = {domctl_get_vcpu_context, NOT_SELF},
    [XEN_DOMCTL_setvcpucontext] = {domctl_set_vcpu_context, NOT_SELF},
    [XEN_DOMCTL_gethvmcontext] = {domctl_get_context, COPY_BACK | NOT_SELF},
    [XEN_DOMCTL_sethvmcontext] = {domctl_set_context, NOT_SELF},
    [XEN_DOMCTL_gethvmcontext_partial] = {domctl_get_context_partial, COPY_BACK | NOT_SELF},
    [XEN_DOMCTL_getpageframeinfo3] = {domctl_get_page_info, 0},
    [XEN_DOMCTL_shadow_op] = {domctl_shadow_op, COPY_BACK},
    [XEN_DOMCTL_get_paging_mempool_size] = {domctl_get_mempool_size, COPY_BACK},
    [XEN_DOMCTL_set_paging_mempool_size] = {domctl_set_mempool_size, 0},
    [XEN_DOMCTL_gettscinfo] = {domctl_get_tsc_info, COPY_BACK | NOT_SELF},
    [XEN_DOMCTL_settscinfo] = {domctl_set_tsc_info, NOT_SELF},
    [XEN_DOMCTL_irq_permission] = {domctl_irq_permission, 0},
    [XEN_DOMCTL_iomem_permission] = {domctl_iomem_permission, 0},
    [XEN_DOMCTL_get_domain_state] = {get_domain_state, COPY_BACK | UNLOCKED | ANY_ID},
    [XEN_DOMCTL_ioport_permission] = {domctl_ioport_permission, 0},
};

static int64_t run(const struct operation *operation, struct xen_domctl *op, struct domain *d)
{
    if (operation->flags & UNLOCKED)
        return operation->fn(op, d);
    if (!spin_trylock(&domctl_lock))
        return HYPERCALL_RESTART;
    int64_t result = operation->fn(op, d);
    spin_unlock(&domctl_lock);
    return result;
}

int64_t do_domctl(uint64_t arg[6])
{
    struct operation operation = {NULL, 0};
    struct xen_domctl op;

    if (copy_from_guest(&op, GVA(arg[0]), sizeof op))
        return -XEN_EFAULT;
    uint32_t version = op.cmd == XEN_DOMCTL_get_domain_state ? 0 : XEN_DOMCTL_INTERFACE_VERSION;
    if (op.interface_version != version)
        return -XEN_EACCES;
    if (op.cmd < ARRAY_SIZE(operations))
        operation = operations[op.cmd];

    struct domain *d = op.domain < DOMID_FIRST_RESERVED ? domain_find(op.domain) : NULL;
    if (!d && !(operation.flags & ANY_ID))
        return -XEN_ESRCH;
    if (!current->domain->privileged && op.cmd != XEN_DOMCTL_getdomaininfo)
        return -XEN_EPERM;
    if (!operation.fn)
        return -XEN_ENOSYS;
    if ((operation.flags & NOT_SELF) && d == current->domain)
        return -XEN_EINVAL;

    int64_t result = run(&operation, &op, d);
    if (result == 0 && (operation.flags & COPY_BACK))
        result = copy_to_guest(GVA(arg[0]), &op, sizeof op);
    return result;
}

/* --- for the other operations --------------------------------------------------------------------------- */

void control_pause_and_wait(struct domain *d)
{
    domain_pause(d);
    while (!domain_is_stopped(d))
        cpu_relax();
}

int control_get_bitmap(uint64_t *bits, const struct xenctl_bitmap *map)
{
    *bits = 0;
    if (map->nr_bits == 0)
        return 0;
    if (!map->bitmap.p)
        return -XEN_EINVAL;
    uint32_t used = MIN(map->nr_bits, 64u);
    if (copy_from_guest(bits, handle_gva(map->bitmap), DIV_ROUND_UP(used, 8)))
        return -XEN_EFAULT;
    if (used < 64)
        *bits &= (1ull << used) - 1;
    return 0;
}

int control_put_bitmap(const struct xenctl_bitmap *map, uint64_t bits)
{
    uint64_t bytes = DIV_ROUND_UP((uint64_t)map->nr_bits, 8), used = MIN(bytes, sizeof bits);
    gva_t to = handle_gva(map->bitmap);

    if (bytes > PAGE_SIZE)
        return -XEN_EINVAL;
    if (map->nr_bits < 64)
        bits &= (1ull << map->nr_bits) - 1;
    int error = copy_to_guest(to, &bits, used);
    return error ? error : clear_guest(GVA(to.v + used), bytes - used);
}
