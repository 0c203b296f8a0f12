/*
 * The hypervisor's performance counters (XEN_SYSCTL_perfc_op, xen/sysctl.h). No state, no locking.
 */
#ifndef TOOL_COUNTERS_H
#define TOOL_COUNTERS_H

#include <lib/why.h>

#include "xen.h"

struct counters {
    unsigned count;
    xen_sysctl_perfc_desc_t *desc; /* [count] */
    xen_sysctl_perfc_val_t *value; /* the nr_vals of the first one, then those of the second … */
};

/* Reads all of them, or says why not. counters_free() takes back the memory. */
bool counters_read(struct counters *counters, struct why *why);
void counters_free(struct counters *counters);
/* Sets all to zero. */
bool counters_reset(struct why *why);

#endif
