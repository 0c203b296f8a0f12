/*
 * sysctl: what a toolstack asks about the machine and the hypervisor (xen/sysctl.h).
 *
 * The machine is shown as one NUMA node and one socket, and all CPUs as pool 0. Locking: none needed; the
 * answers are what was true a moment ago.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/console.h>
#include <hv/control.h>
#include <hv/cpu.h>
#include <hv/debugkeys.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/hypercall.h>

#define LOCAL_DISTANCE 10 /* as in ACPI's SLIT */
#define INFO_BATCH     6u /* descriptions of domains that are copied out at once */

/* --- console and keys ----------------------------------------------------------------------------------- */

static int64_t read_console(struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *r = &op->u.readconsole;
    struct console_piece piece[2];
    uint32_t index = r->index;

    console_ring_pieces(r->incremental, &index, r->count, piece);
    gva_t to = handle_gva(r->buffer);
    if (copy_to_guest(to, piece[0].text, piece[0].length) ||
        copy_to_guest(GVA(to.v + piece[0].length), piece[1].text, piece[1].length))
        return -XEN_EFAULT;
    if (r->clear)
        console_ring_clear();
    r->index = index;
    r->count = piece[0].length + piece[1].length;
    return 0;
}

static int64_t debug_keys(struct xen_sysctl *op)
{
    const struct xen_sysctl_debug_keys *k = &op->u.debug_keys;

    for (uint32_t i = 0; i < MIN(k->nr_keys, 64u); i++) {
        char key;
        if (copy_from_guest(&key, GVA(handle_gva(k->keys).v + i), 1))
            return -XEN_EFAULT;
        debugkey_press(key);
    }
    return 0;
}

/* --- the machine ---------------------------------------------------------------------------------------- */

static int64_t physinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *p = &op->u.physinfo;

    *p = (struct xen_sysctl_physinfo){
        .threads_per_core = 1,
        .cores_per_socket = cpu_count,
        .nr_cpus = cpu_count,
        .max_cpu_id = cpu_count - 1,
        .nr_nodes = 1,
        .max_node_id = 0,
        .cpu_khz = tsc_khz,
        .capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap | XEN_SYSCTL_PHYSCAP_gnttab_v1,
        .total_pages = frames_total(),
        .free_pages = frames_free(),
        .outstanding_pages = frames_claimed(),
        .max_mfn = frame_limit - 1,
    };
    arch_hw_caps(p->hw_cap);
    return 0;
}

static int64_t get_cpu_info(struct xen_sysctl *op)
{
    struct xen_sysctl_getcpuinfo *g = &op->u.getcpuinfo;
    uint32_t count = MIN(g->max_cpus, cpu_count);

    for (uint32_t i = 0; i < count; i++) {
        struct xen_sysctl_cpuinfo info = {.idletime = vcpu_cpu_time(cpus[i]->idle)};
        if (copy_element_to_guest(g->info, i, &info))
            return -XEN_EFAULT;
    }
    g->nr_cpus = count;
    return 0;
}

/* A list that is too short is filled as far as it goes; without a list, the length. */
static int64_t cpu_topology(struct xen_sysctl *op)
{
    struct xen_sysctl_cputopoinfo *t = &op->u.cputopoinfo;
    uint32_t count = t->cputopo.p ? MIN(t->num_cpus, cpu_count) : cpu_count;

    for (uint32_t i = 0; t->cputopo.p && i < count; i++) {
        struct xen_sysctl_cputopo cpu = {.core = i, .socket = 0, .node = 0};
        if (copy_element_to_guest(t->cputopo, i, &cpu))
            return -XEN_EFAULT;
    }
    t->num_cpus = count;
    return 0;
}

static int64_t numa_info(struct xen_sysctl *op)
{
    struct xen_sysctl_numainfo *n = &op->u.numainfo;
    struct xen_sysctl_meminfo memory = {.memsize = frames_total() << PAGE_SHIFT,
                                        .memfree = frames_free() << PAGE_SHIFT};
    uint32_t distance = LOCAL_DISTANCE;
    bool list = n->meminfo.p || n->distance.p;

    n->num_nodes = list ? MIN(n->num_nodes, 1u) : 1;
    if (n->num_nodes && n->meminfo.p && copy_element_to_guest(n->meminfo, 0, &memory))
        return -XEN_EFAULT;
    if (n->num_nodes && n->distance.p && copy_element_to_guest(n->distance, 0, &distance))
        return -XEN_EFAULT;
    return 0;
}

static int64_t avail_heap(struct xen_sysctl *op)
{
    struct xen_sysctl_availheap *a = &op->u.availheap;

    a->avail_bytes = a->node == -1 || a->node == 0 ? frames_free() << PAGE_SHIFT : 0;
    return 0;
}

static int64_t perfc(struct xen_sysctl *op)
{
    return perfc_control(&op->u.perfc_op);
}

/* --- domains and scheduling ----------------------------------------------------------------------------- */

static int64_t get_domain_infos(struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *g = &op->u.getdomaininfolist;
    struct xen_domctl_getdomaininfo info[INFO_BATCH];
    gva_t to = handle_gva(g->buffer);
    uint32_t count = 0, waiting = 0;

    for (uint32_t id = g->first_domain; count < g->max_domains; count++) {
        struct domain *d = domain_next((domid_t)id);
        if (!d)
            break;
        control_domain_info(d, &info[waiting++]);
        id = d->id + 1u;
        if (waiting < INFO_BATCH)
            continue;
        if (copy_to_guest(to, info, sizeof info))
            return -XEN_EFAULT;
        to = GVA(to.v + sizeof info);
        waiting = 0;
    }
    if (waiting && copy_to_guest(to, info, waiting * sizeof info[0]))
        return -XEN_EFAULT;
    g->num_domains = count;
    return 0;
}

static int64_t sched_id(struct xen_sysctl *op)
{
    op->u.sched_id.sched_id = SCHED_ID;
    return 0;
}

/* All CPUs are pool 0. */
static int64_t scheduler_op(struct xen_sysctl *op)
{
    struct xen_sysctl_scheduler_op *s = &op->u.scheduler_op;
    struct xen_sysctl_credit2_schedule *params = &s->u.sched_credit2;

    if (s->cmd != XEN_SYSCTL_SCHEDOP_putinfo && s->cmd != XEN_SYSCTL_SCHEDOP_getinfo)
        return -XEN_EINVAL;
    if (s->cpupool_id != 0)
        return -XEN_ESRCH;
    if (s->sched_id != SCHED_ID)
        return -XEN_EINVAL;
    int error = s->cmd == XEN_SYSCTL_SCHEDOP_putinfo ? sched_set_ratelimit(params->ratelimit_us * 1000ul) : 0;
    params->ratelimit_us = (uint32_t)(sched_get_ratelimit() / 1000);
    return error;
}

static uint32_t count_domains(void)
{
    uint32_t count = 0;

    for (struct domain *d = domain_next(0); d; d = domain_next((domid_t)(d->id + 1)))
        count++;
    return count;
}

/* Information is asked for with the lowest id of interest; pool 0 has all CPUs, none is free. */
static int64_t cpupool(struct xen_sysctl *op)
{
    struct xen_sysctl_cpupool_op *c = &op->u.cpupool_op;
    uint64_t all = cpu_count == 64 ? ~0ull : (1ull << cpu_count) - 1;

    switch (c->op) {
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        if (c->cpupool_id != 0)
            return -XEN_ENOENT;
        c->sched_id = SCHED_ID;
        c->n_dom = count_domains();
        return control_put_bitmap(&c->cpumap, all);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        return control_put_bitmap(&c->cpumap, 0);
    default:
        return -XEN_EOPNOTSUPP;
    }
}

int64_t do_sysctl(uint64_t arg[6])
{
    static sysctl_fn *const operation[] = {
        [XEN_SYSCTL_readconsole] = read_console,  [XEN_SYSCTL_physinfo] = physinfo,
        [XEN_SYSCTL_sched_id] = sched_id,         [XEN_SYSCTL_getdomaininfolist] = get_domain_infos,
        [XEN_SYSCTL_debug_keys] = debug_keys,     [XEN_SYSCTL_getcpuinfo] = get_cpu_info,
        [XEN_SYSCTL_availheap] = avail_heap,      [XEN_SYSCTL_cputopoinfo] = cpu_topology,
        [XEN_SYSCTL_numainfo] = numa_info,        [XEN_SYSCTL_cpupool_op] = cpupool,
        [XEN_SYSCTL_scheduler_op] = scheduler_op, [XEN_SYSCTL_perfc_op] = perfc,
    };
    struct xen_sysctl op;

    if (copy_from_guest(&op, GVA(arg[0]), sizeof op))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -XEN_EACCES;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    if (op.cmd >= ARRAY_SIZE(operation) || !operation[op.cmd])
        return -XEN_ENOSYS;
    int64_t result = operation[op.cmd](&op);
    return result ? result : copy_to_guest(GVA(arg[0]), &op, sizeof op);
}
