/*
 * Life and death of domains (hv/domain.h).
 *
 * All domains stand in a table of two levels by id, read without a lock under RCU. Domains are made and
 * killed by one control operation at a time (LOCK_DOMCTL, or boot), so the table has no lock of its own.
 *
 * References: one for the table until domain_kill is through, one while the domain owns frames, and whatever
 * domain_get() took. The last one to go takes the domain out of the table; its memory follows a grace period
 * later.
 */
#include <hv/arch/p2m.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/gnttab.h>
#include <hv/hypercall.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/domctl.h>

struct domain *dom0;

#define TABLE_SIZE (PAGE_SIZE / sizeof(struct domain *))
static struct domain **table[DIV_ROUND_UP(DOMID_FIRST_RESERVED, TABLE_SIZE)];
static uint64_t id_seen[DIV_ROUND_UP(DOMID_FIRST_RESERVED, 64)]; /* ids that some domain had since boot */
static domid_t last_id;
static uint64_t last_unique_id;
static uint64_t changed[DIV_ROUND_UP(DOMID_FIRST_RESERVED, 64)]; /* ids, a bit each: domain_take_changed() */

/* --- finding -------------------------------------------------------------------------------------------- */

static struct domain **table_slot(domid_t id)
{
    struct domain **part = __atomic_load_n(&table[id / TABLE_SIZE], __ATOMIC_ACQUIRE);
    return part ? &part[id % TABLE_SIZE] : NULL;
}

struct domain *domain_find(domid_t id)
{
    if (id == DOMID_SELF)
        return current->domain;
    if (id >= DOMID_FIRST_RESERVED)
        return NULL;

    struct domain **slot = table_slot((domid_t)index_nospec(id, DOMID_FIRST_RESERVED));
    return slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : NULL;
}

struct domain *domain_next(domid_t first)
{
    for (uint32_t id = first; id < DOMID_FIRST_RESERVED;) {
        struct domain **slot = table_slot((domid_t)id);
        struct domain *d = slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : NULL;
        if (d)
            return d;
        id = slot ? id + 1 : (uint32_t)((id / TABLE_SIZE + 1) * TABLE_SIZE);
    }
    return NULL;
}

int domain_find_target(domid_t id, struct domain **out)
{
    *out = domain_find(id);
    if (!*out)
        return -XEN_ESRCH;
    return *out == current->domain || current->domain->privileged ? 0 : -XEN_EPERM;
}

static bool id_is_free(domid_t id)
{
    return id < DOMID_FIRST_RESERVED && !domain_find(id);
}

static domid_t choose_id(void)
{
    for (uint32_t tried = 1; tried < DOMID_FIRST_RESERVED; tried++) {
        domid_t id = (domid_t)((last_id + tried) % DOMID_FIRST_RESERVED);
        if (id != 0 && id_is_free(id))
            return last_id = id;
    }
    return DOMID_INVALID;
}

static int reserve_slot(domid_t id)
{
    struct domain ***part = &table[id / TABLE_SIZE];

    if (*part)
        return 0;
    struct domain **fresh = page_alloc(0);
    if (!fresh)
        return -XEN_ENOMEM;
    __atomic_store_n(part, fresh, __ATOMIC_RELEASE);
    return 0;
}

/* --- changes ---------------------------------------------------------------------------------------------- */

static void note_change(domid_t id)
{
    __atomic_fetch_or(&changed[id / 64], 1ull << id % 64, __ATOMIC_SEQ_CST);
}

/* dom0 finds the note when it takes the event. */
static void tell_change(domid_t id)
{
    note_change(id);
    evtchn_send_global_virq(dom0, VIRQ_DOM_EXC);
}

domid_t domain_take_changed(void)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(changed); i++) {
        uint64_t bits = __atomic_load_n(&changed[i], __ATOMIC_RELAXED), first = bits & -bits;
        if (bits && __atomic_fetch_and(&changed[i], ~first, __ATOMIC_SEQ_CST) & first)
            return (domid_t)(i * 64 + (uint32_t)__builtin_ctzll(first));
    }
    return DOMID_INVALID;
}

/* --- references ----------------------------------------------------------------------------------------- */

static void free_parts(struct domain *d)
{
    page_free_shared(d->shared_info);
    heap_free(d->memory_map);
    heap_free(d->vcpu);
    heap_free(d->config);
    heap_free(d);
}

/* RCU: nobody looks at d any more. */
static void domain_free(struct rcu_head *head)
{
    struct domain *d = container_of(head, struct domain, rcu);
    domid_t id = d->id;

    for (uint32_t i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_free(d->vcpu[i]);
    gnttab_free(d);
    evtchn_domain_free(d);
    arch_domain_free(d);
    free_parts(d);
    tell_change(id);
}

bool domain_get(struct domain *d)
{
    uint32_t old = __atomic_load_n(&d->refs, __ATOMIC_RELAXED);

    do {
        if (old == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&d->refs, &old, old + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return true;
}

void domain_put(struct domain *d)
{
    if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    __atomic_store_n(table_slot(d->id), NULL, __ATOMIC_RELEASE);
    rcu_defer(&d->rcu, domain_free);
}

/* --- creation ------------------------------------------------------------------------------------------- */

static int check_config(const struct xen_domctl_createdomain *config)
{
    if (config->flags & ~(uint32_t)(XEN_DOMCTL_CDF_MAX * 2 - 1))
        return -XEN_EINVAL;
    if (config->max_vcpus < 1 || config->max_vcpus > MAX_VCPUS || config->max_evtchn_port < 1)
        return -XEN_EINVAL;
    if (config->iommu_opts || config->vmtrace_size)
        return -XEN_EINVAL;
    if (config->cpupool_id != 0)
        return -XEN_ENOENT;
    return arch_domain_check(config);
}

static struct domain *alloc_parts(const struct xen_domctl_createdomain *config, domid_t id)
{
    struct domain *d = heap_alloc(sizeof *d);
    if (!d)
        return NULL;

    d->id = id;
    d->vcpu = heap_alloc(config->max_vcpus * sizeof d->vcpu[0]);
    d->config = heap_alloc(sizeof *d->config);
    d->shared_info = page_alloc_shared(d);
    if (!d->vcpu || !d->config || !d->shared_info) {
        free_parts(d);
        return NULL;
    }
    return d;
}

static int init_subsystems(struct domain *d)
{
    const struct xen_domctl_createdomain *config = d->config;

    int error = arch_domain_create(d);
    if (error)
        return error;
    error = evtchn_domain_init(d, MIN(config->max_evtchn_port, (uint32_t)INT32_MAX));
    if (error)
        goto no_evtchn;
    error = gnttab_init(d, config->max_grant_frames, config->max_maptrack_frames,
                        XEN_DOMCTL_GRANT_version(config->grant_opts));
    if (error)
        goto no_gnttab;
    return 0;

no_gnttab:
    evtchn_domain_free(d);
no_evtchn:
    arch_domain_free(d);
    return error;
}

int domain_create(domid_t id, const struct xen_domctl_createdomain *config, bool privileged,
                  struct domain **out)
{
    int error = check_config(config);
    if (error)
        return error;
    if (id == DOMID_INVALID)
        id = choose_id();
    if (id == DOMID_INVALID)
        return -XEN_ENOMEM;
    if (!id_is_free(id))
        return -XEN_EEXIST;
    error = reserve_slot(id);
    if (error)
        return error;

    struct domain *d = alloc_parts(config, id);
    if (!d)
        return -XEN_ENOMEM;
    spin_lock_init(&d->lock, LOCK_DOMAIN);
    d->privileged = privileged;
    d->unique_id = ++last_unique_id;
    d->refs = 1;
    d->max_vcpus = config->max_vcpus;
    d->pause_count = 1;
    d->control_pauses = 1;
    d->shared_info_gfn = INVALID_GFN;
    *d->config = *config;
    memcpy(d->handle, config->handle, sizeof d->handle);
    d->first_of_id = !(id_seen[id / 64] & 1ull << id % 64);

    error = init_subsystems(d);
    if (error) {
        free_parts(d);
        return error;
    }
    id_seen[id / 64] |= 1ull << id % 64;
    __atomic_store_n(table_slot(id), d, __ATOMIC_RELEASE);
    note_change(id);
    *out = d;
    return 0;
}

/* --- pausing by the toolstack --------------------------------------------------------------------------- */

#define MAX_CONTROL_PAUSES 255

int domain_control_pause(struct domain *d)
{
    if (d->control_pauses == MAX_CONTROL_PAUSES)
        return -XEN_EOVERFLOW;
    d->control_pauses++;
    domain_pause(d);
    return 0;
}

int domain_control_unpause(struct domain *d)
{
    if (!d->control_pauses)
        return -XEN_EINVAL;
    d->control_pauses--;
    domain_unpause(d);
    return 0;
}

/* --- shutdown ------------------------------------------------------------------------------------------- */

static void stop_vcpus_locked(struct domain *d)
{
    assert_locked(&d->lock);
    for (uint32_t i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_stop(d->vcpu[i], VCPU_DOMAIN);
}

static __attribute__((noreturn)) void leave_with_dom0(uint8_t code)
{
    static const char *const reason[] = {"power off", "reboot", "suspend", "crash", "watchdog", "soft reset"};

    printk(LOG_WARNING "dom0 shut down: %s\n", code < ARRAY_SIZE(reason) ? reason[code] : "unknown reason");
    if (code == SHUTDOWN_crash) {
        domain_dump();
        if (current->domain == dom0)
            arch_vcpu_dump(current);
    }
    machine_shutdown(code == SHUTDOWN_poweroff ? MACHINE_POWEROFF : MACHINE_REBOOT);
}

void domain_shutdown(struct domain *d, uint8_t code)
{
    if (d == dom0)
        leave_with_dom0(code);

    spin_lock(&d->lock);
    bool first = !d->shut_down;
    if (first) {
        d->shut_down = true;
        if (!d->shutdown_code_fixed)
            d->shutdown_code = code;
        stop_vcpus_locked(d);
    }
    spin_unlock(&d->lock);
    if (first)
        tell_change(d->id);
}

void domain_resume(struct domain *d)
{
    spin_lock(&d->lock);
    if (d->shut_down && !d->dying) {
        d->shut_down = false;
        for (uint32_t i = 0; i < d->max_vcpus && !d->pause_count; i++)
            if (d->vcpu[i])
                vcpu_wake(d->vcpu[i], VCPU_DOMAIN);
    }
    spin_unlock(&d->lock);
}

void domain_crash(struct domain *d, const char *format, ...)
{
    char why[160];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);

    const struct vcpu *v = current;
    if (d->shut_down)
        return;
    if (v->domain == d)
        printk(LOG_ERROR "d%uv%u crashed at %#lx: %s\n", d->id, v->id, arch_vcpu_rip(v), why);
    else
        printk(LOG_ERROR "d%u crashed: %s\n", d->id, why);
    domain_shutdown(d, SHUTDOWN_crash);
}

/* --- destruction ---------------------------------------------------------------------------------------- */

static int64_t stop_for_good(struct domain *d)
{
    if (!domain_is_stopped(d))
        return HYPERCALL_RESTART;
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpu[i];
        if (!v)
            continue;
        timer_kill(&v->singleshot);
        timer_kill(&v->periodic);
        timer_kill(&v->poll);
    }
    watchdogs_kill(d);
    sched_cap_kill(d);
    return 0;
}

/* RCU: nobody sends an event to d any more, so the guest's pages that hold vcpu_info can go. */
static void domain_dead(struct rcu_head *head)
{
    struct domain *d = container_of(head, struct domain, rcu);

    for (uint32_t i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_release_info(d->vcpu[i]);
    tell_change(d->id);
    domain_put(d);
}

int64_t domain_kill(struct domain *d)
{
    static int64_t (*const step[])(struct domain * d) = {stop_for_good, evtchn_domain_kill, gnttab_kill,
                                                         p2m_domain_kill};

    if (d->dying == DOMAIN_DEAD)
        return 0;
    if (d->dying == DOMAIN_ALIVE) {
        spin_lock(&d->lock);
        __atomic_store_n(&d->dying, DOMAIN_DYING, __ATOMIC_SEQ_CST);
        frames_claim(d, 0);
        stop_vcpus_locked(d);
        spin_unlock(&d->lock);
    }
    while (d->kill_step < ARRAY_SIZE(step)) {
        int64_t result = step[d->kill_step](d);
        if (result)
            return result;
        d->kill_step++;
    }
    d->dying = DOMAIN_DEAD;
    rcu_defer(&d->rcu, domain_dead);
    return 0;
}

/* --- debug ---------------------------------------------------------------------------------------------- */

static const char *state_of(const struct domain *d)
{
    return d->dying ? "dying" : d->shut_down ? "shut down" : d->pause_count ? "paused" : "alive";
}

void domain_dump(void)
{
    for (struct domain *d = domain_next(0); d; d = domain_next((domid_t)(d->id + 1))) {
        printk(LOG_ERROR "d%u: %s, refs %u, pages %u of %u, p2m tables %lu\n", d->id, state_of(d), d->refs,
               d->total_pages, d->max_pages, p2m_table_pages(d));
        for (uint32_t i = 0; i < d->max_vcpus; i++) {
            struct vcpu *v = d->vcpu[i];
            if (v)
                printk(LOG_ERROR "  v%u: cpu %u, stopped %#x%s, upcall pending %u, ran %lu ms\n", i,
                       v->cpu->id, v->stopped, v->running ? ", running" : "", v->info->evtchn_upcall_pending,
                       vcpu_cpu_time(v) / MILLISECOND);
        }
    }
}
