/*
 * What the hypervisor spends on domains, beside their own memory: reckoned from how much it used when dom0
 * started and uses now (XEN_SYSCTL_physinfo, XEN_SYSCTL_getdomaininfolist), for Xen's ABI tells of no single
 * domain.
 */
#ifndef TOOL_OVERHEAD_H
#define TOOL_OVERHEAD_H

#include <stdbool.h>
#include <stdint.h>

struct overhead {
    unsigned domains;        /* without dom0 */
    uint64_t domain_pages;   /* theirs */
    uint64_t used_pages;     /* by the hypervisor, for whatever */
    uint64_t overhead_pages; /* of these, what has come since dom0 started: page tables, vCPUs, grant tables,
                                events */
    uint64_t grant_pages;    /* of these, the frames of the domains' grant tables */
};

/* Once, before the first domain. */
void overhead_init(void);
/* False: the hypervisor does not describe the machine. */
bool overhead_read(struct overhead *overhead);

#endif
