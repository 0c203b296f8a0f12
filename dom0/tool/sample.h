/*
 * What the machine and its domains had done by a moment, and what that makes of the time between two of them.
 * No state, no locking.
 */
#ifndef TOOL_SAMPLE_H
#define TOOL_SAMPLE_H

#include "counters.h"

struct sample {
    uint64_t at;   /* time_ns() */
    uint64_t idle; /* time that CPUs idled, of all CPUs together */
    unsigned cpus;
    uint64_t total_pages, free_pages;
    unsigned domains;
    struct xen_domctl_getdomaininfo *domain; /* [domains], by rising ids */
    struct counters counters;                /* none when the hypervisor has none */
};

/* sample_free() takes back the memory; on failure there is nothing to take back. */
bool sample_take(struct sample *sample, struct why *why);
void sample_free(struct sample *sample);

/* Thousandths of one CPU's time that the index-th domain of `now` used since `before`; a new one: since it
 * began. */
unsigned sample_share(const struct sample *before, const struct sample *now, unsigned index);
/* Thousandths of the time of all CPUs that was not idle. */
unsigned sample_busy(const struct sample *before, const struct sample *now);

/* How often the index-th counter of `now` counted each second, all its values together. */
uint64_t sample_rate(const struct sample *before, const struct sample *now, unsigned index);

#endif
