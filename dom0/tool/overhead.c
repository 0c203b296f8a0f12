/* Memory of the hypervisor for domains (overhead.h). State: what it used at first. */
#include <dom0/below.h>
#include <lib/string.h>
#include <xen/grant_table.h>

#include "overhead.h"
#include "xen.h"

static uint64_t used_at_first;

static uint64_t grant_frames(domid_t domid)
{
    struct gnttab_query_size query = {.dom = domid};
    long rc = hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (uintptr_t)&query, 1, 0, 0);
    return rc || query.status != GNTST_okay ? 0 : query.nr_frames;
}

bool overhead_read(struct overhead *overhead)
{
    struct domain_list list;
    const struct xen_domctl_getdomaininfo *info;
    struct xen_sysctl op;
    uint64_t all = 0;
    *overhead = (struct overhead){0};
    memset(&op, 0, sizeof op);
    domain_list_start(&list, 0);
    while ((info = domain_list_next(&list))) {
        all += info->tot_pages;
        if (info->domain == 0)
            continue;
        overhead->domains++;
        overhead->domain_pages += info->tot_pages;
        overhead->grant_pages += grant_frames(info->domain);
    }
    if (sysctl(XEN_SYSCTL_physinfo, &op))
        return false;
    overhead->used_pages = op.u.physinfo.total_pages - op.u.physinfo.free_pages - all;
    if (overhead->used_pages > used_at_first)
        overhead->overhead_pages = overhead->used_pages - used_at_first;
    return true;
}

void overhead_init(void)
{
    struct overhead now;
    if (overhead_read(&now))
        used_at_first = now.used_pages;
}
