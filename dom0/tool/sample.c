/* Samples of the machine and their differences (sample.h). No state, no locking. */
#include <dom0/below.h>
#include <lib/string.h>
#include <xen/errno.h>

#include "sample.h"

#define SECOND        1000000000ull
#define FIRST_DOMAINS 16 /* how many there is room for at first */

/* --- taking --------------------------------------------------------------------------------------------- */

/* True: all of them fitted into room, and sample->domains says how many they are. */
static bool list_domains(struct sample *sample, unsigned room, long *rc)
{
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    op.u.getdomaininfolist.max_domains = room;
    set_xen_guest_handle(op.u.getdomaininfolist.buffer, sample->domain);
    *rc = sysctl(XEN_SYSCTL_getdomaininfolist, &op);
    sample->domains = op.u.getdomaininfolist.num_domains;
    return *rc || sample->domains < room;
}

static bool take_domains(struct sample *sample, struct why *why)
{
    long rc = 0;
    for (unsigned room = FIRST_DOMAINS;; room *= 2) {
        sample->domain = mem_alloc(room * sizeof *sample->domain);
        if (!sample->domain)
            return fail(why, "out of memory");
        if (list_domains(sample, room, &rc))
            break;
        mem_free(sample->domain);
    }
    return !rc || fail(why, "the hypervisor does not list its domains: %s", error_text(rc));
}

static bool take_machine(struct sample *sample, struct why *why)
{
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    long rc = sysctl(XEN_SYSCTL_physinfo, &op);
    if (rc)
        return fail(why, "the hypervisor does not describe the machine: %s", error_text(rc));
    sample->total_pages = op.u.physinfo.total_pages;
    sample->free_pages = op.u.physinfo.free_pages;

    unsigned room = op.u.physinfo.max_cpu_id + 1;
    xen_sysctl_cpuinfo_t *cpu = mem_alloc(room * sizeof *cpu);
    if (!cpu)
        return fail(why, "out of memory");
    memset(&op, 0, sizeof op);
    op.u.getcpuinfo.max_cpus = room;
    set_xen_guest_handle(op.u.getcpuinfo.info, cpu);
    rc = sysctl(XEN_SYSCTL_getcpuinfo, &op);
    sample->cpus = rc ? 0 : op.u.getcpuinfo.nr_cpus;
    for (unsigned i = 0; i < sample->cpus; i++)
        sample->idle += cpu[i].idletime;
    mem_free(cpu);
    return !rc || fail(why, "the hypervisor does not tell how long its processors idled: %s", error_text(rc));
}

bool sample_take(struct sample *sample, struct why *why)
{
    struct why no_counters;
    memset(sample, 0, sizeof *sample);
    sample->at = time_ns();
    if (take_machine(sample, why) && take_domains(sample, why)) {
        counters_read(&sample->counters, &no_counters);
        return true;
    }
    sample_free(sample);
    return false;
}

void sample_free(struct sample *sample)
{
    mem_free(sample->domain);
    counters_free(&sample->counters);
    memset(sample, 0, sizeof *sample);
}

/* --- differences ---------------------------------------------------------------------------------------- */

static uint64_t elapsed(const struct sample *before, const struct sample *now)
{
    return now->at > before->at ? now->at - before->at : 1;
}

static uint64_t cpu_time_in(const struct sample *sample, domid_t domid)
{
    for (unsigned i = 0; i < sample->domains; i++)
        if (sample->domain[i].domain == domid)
            return sample->domain[i].cpu_time;
    return 0;
}

unsigned sample_share(const struct sample *before, const struct sample *now, unsigned index)
{
    uint64_t time = now->domain[index].cpu_time, was = cpu_time_in(before, now->domain[index].domain);
    /* Less than before: another domain that got the same id. */
    return (unsigned)((time < was ? time : time - was) * 1000 / elapsed(before, now));
}

unsigned sample_busy(const struct sample *before, const struct sample *now)
{
    uint64_t all = elapsed(before, now) * (now->cpus ? now->cpus : 1);
    uint64_t idle = now->idle > before->idle ? now->idle - before->idle : 0;
    return idle < all ? (unsigned)((all - idle) * 1000 / all) : 0;
}

static uint32_t counted(const struct counters *counters, unsigned index)
{
    const xen_sysctl_perfc_val_t *value = counters->value;
    uint32_t sum = 0;
    for (unsigned i = 0; i < index; i++)
        value += counters->desc[i].nr_vals;
    for (unsigned i = 0; i < counters->desc[index].nr_vals; i++)
        sum += value[i];
    return sum;
}

uint64_t sample_rate(const struct sample *before, const struct sample *now, unsigned index)
{
    if (before->counters.count != now->counters.count)
        return 0;
    uint32_t difference = counted(&now->counters, index) - counted(&before->counters, index);
    /* Set to zero in between. */
    if (difference > UINT32_MAX / 2)
        difference = counted(&now->counters, index);
    return (difference * SECOND + elapsed(before, now) / 2) / elapsed(before, now);
}
