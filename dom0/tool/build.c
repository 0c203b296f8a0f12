/*
 * The domain builder (build.h). Steps in the order that Xen's own toolstack uses (xg_dom_x86.c,
 * libxl_create.c), so that the same hypercalls meet the same state. The memory itself is filled in load.c,
 * the CPU's state in context.c. Other threads run during the work, but nobody else knows the domain yet. No
 * locking.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <xen/errno.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>

#include "build.h"
#include "context.h"
#include "load.h"
#include "share.h"
#include "xen.h"

#define EVENT_PORTS 1023

static bool step(long rc, const char *what, struct why *why)
{
    return rc >= 0 || fail(why, "%s failed: %s", what, error_text(rc));
}

static bool create(const struct guest_config *config, domid_t *domid, struct why *why)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.createdomain = (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = config->max_vcpus,
        .max_evtchn_port = EVENT_PORTS,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(2),
        .arch = {.emulation_flags = XEN_X86_EMU_LAPIC},
    };
    memcpy(op.u.createdomain.handle, config->uuid, sizeof op.u.createdomain.handle);
    /* Domain 0 as the wanted id means: any free one. */
    if (!step(domctl(XEN_DOMCTL_createdomain, 0, &op), "creating the domain", why))
        return false;
    *domid = op.domain;
    return true;
}

/* Hypervisors that keep no pool per domain say so; nothing is missing then. */
static long set_optional_pool(domid_t domid, uint64_t bytes)
{
    long rc = set_paging_pool(domid, bytes);
    return rc == -XEN_EOPNOTSUPP || rc == -XEN_ENOSYS ? 0 : rc;
}

static long set_tsc_mode(domid_t domid)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    return domctl(XEN_DOMCTL_settscinfo, domid, &op);
}

static bool allocate_port(domid_t domid, evtchn_port_t *port, const char *what, struct why *why)
{
    long rc = alloc_unbound_port(domid);
    *port = (evtchn_port_t)rc;
    return step(rc, what, why);
}

static bool set_limits(const struct plan *plan, const struct built *built, struct why *why)
{
    const struct guest_config *config = plan->config;
    return step(set_max_vcpus(built->domid, config->max_vcpus), "giving it its CPUs", why) &&
           step(set_max_memory(built->domid, config->memory + MEMORY_SLACK), "setting its memory limit",
                why) &&
           step(set_optional_pool(built->domid, plan->paging_pool), "reserving memory for its page tables",
                why) &&
           step(set_tsc_mode(built->domid), "setting its time stamp counter", why);
}

static bool set_params(const struct built *built, struct why *why)
{
    const struct {
        uint32_t index;
        uint64_t value;
    } params[] = {
        {HVM_PARAM_TIMER_MODE, HVMPTM_no_missed_ticks_pending},
        {HVM_PARAM_STORE_PFN, STORE_GFN},
        {HVM_PARAM_STORE_EVTCHN, built->store_port},
        {HVM_PARAM_CONSOLE_PFN, CONSOLE_GFN},
        {HVM_PARAM_CONSOLE_EVTCHN, built->console_port},
        {HVM_PARAM_IDENT_PT, IDENTITY_GFN << PAGE_SHIFT},
    };
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++)
        if (!step(set_hvm_param(built->domid, params[i].index, params[i].value), "setting its parameters",
                  why))
            return false;
    return true;
}

/* Domain 0 may map the two rings through the grants that the ABI reserves for them. */
static bool grant_rings(domid_t domid, struct why *why)
{
    grant_entry_v1_t *table =
        resource_map(domid, XENMEM_resource_grant_table, XENMEM_resource_grant_table_id_shared, 0, 1);
    if (!table)
        return fail(why, "its grant table could not be mapped");
    table[GNTTAB_RESERVED_CONSOLE] = (grant_entry_v1_t){.flags = GTF_permit_access, .frame = CONSOLE_GFN};
    table[GNTTAB_RESERVED_XENSTORE] = (grant_entry_v1_t){.flags = GTF_permit_access, .frame = STORE_GFN};
    foreign_unmap(table, 1);
    return true;
}

bool build_begin(const struct plan *plan, struct built *built, struct why *why)
{
    if (!create(plan->config, &built->domid, why))
        return false;
    if (set_limits(plan, built, why) && share_apply(built->domid, plan->config, why) &&
        allocate_port(built->domid, &built->store_port, "giving it a port to the store", why) &&
        allocate_port(built->domid, &built->console_port, "giving it a port to its console", why))
        return true;
    unbuild_domain(built->domid);
    return false;
}

bool build_finish(const struct plan *plan, const struct built *built, bool (*stop)(void), struct why *why)
{
    return load_domain(plan, built->domid, stop, why) && set_params(built, why) &&
           grant_rings(built->domid, why) &&
           set_first_context(built->domid, plan->config->max_vcpus, (uint32_t)plan->image.entry,
                             (uint32_t)plan->layout.start_info, why);
}

long unbuild_domain(domid_t domid)
{
    domctl_plain(XEN_DOMCTL_pausedomain, domid);
    long rc;
    while ((rc = domctl_plain(XEN_DOMCTL_destroydomain, domid)) == -XEN_EAGAIN)
        thread_yield();
    return rc;
}
