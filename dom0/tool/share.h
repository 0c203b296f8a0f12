/* A domain's share of the machine's CPUs as its configuration has it: cpus, cpus_soft, cpu_weight, cap. */
#ifndef TOOL_SHARE_H
#define TOOL_SHARE_H

#include <xen/xen.h>

#include "config.h"

/* False, with the reason, when the machine has no such CPUs. */
bool share_check(const struct guest_config *config, struct why *why);
/* Once the domain has its vCPUs. */
bool share_apply(domid_t domid, const struct guest_config *config, struct why *why);

#endif
