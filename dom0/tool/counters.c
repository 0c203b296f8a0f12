/* Reading the hypervisor's performance counters (counters.h). No state, no locking. */
#include <dom0/below.h>
#include <lib/string.h>
#include <xen/errno.h>

#include "counters.h"

static long ask(uint32_t command, struct counters *counters, uint32_t *values)
{
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    op.u.perfc_op.cmd = command;
    set_xen_guest_handle(op.u.perfc_op.desc, counters->desc);
    set_xen_guest_handle(op.u.perfc_op.val, counters->value);
    long rc = sysctl(XEN_SYSCTL_perfc_op, &op);
    counters->count = op.u.perfc_op.nr_counters;
    *values = op.u.perfc_op.nr_vals;
    return rc;
}

static bool refused(long rc, struct why *why)
{
    if (rc == -XEN_ENOSYS)
        return fail(why, "this hypervisor was built without performance counters");
    return fail(why, "the hypervisor does not show its counters: %s", error_text(rc));
}

bool counters_read(struct counters *counters, struct why *why)
{
    uint32_t values = 0;
    memset(counters, 0, sizeof *counters);
    long rc = ask(XEN_SYSCTL_PERFCOP_query, counters, &values); /* how many there are */
    if (rc)
        return refused(rc, why);
    counters->desc = mem_alloc(counters->count * sizeof *counters->desc);
    counters->value = mem_alloc(values * sizeof *counters->value);
    if (!counters->desc || !counters->value) {
        counters_free(counters);
        return fail(why, "out of memory");
    }
    rc = ask(XEN_SYSCTL_PERFCOP_query, counters, &values);
    if (!rc)
        return true;
    counters_free(counters);
    return refused(rc, why);
}

void counters_free(struct counters *counters)
{
    mem_free(counters->desc);
    mem_free(counters->value);
    memset(counters, 0, sizeof *counters);
}

bool counters_reset(struct why *why)
{
    struct counters none = {0};
    uint32_t values;
    long rc = ask(XEN_SYSCTL_PERFCOP_reset, &none, &values);
    return !rc || refused(rc, why);
}
