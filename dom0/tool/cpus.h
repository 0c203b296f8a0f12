/*
 * Sets of the machine's CPUs, as xl writes them: "all", or numbers and ranges between commas, of which those
 * with a ^ before them are taken out again: "0-3,^1".
 */
#ifndef TOOL_CPUS_H
#define TOOL_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#include <lib/why.h>

#define MOST_CPUS 1024

struct cpu_set {
    uint8_t map[MOST_CPUS / 8]; /* bit per CPU, as a xenctl_bitmap has them */
};

/* How many CPUs the machine has, MOST_CPUS at most. */
unsigned host_cpus(void);
/* The CPUs that text names, of the first count ones. False, with the reason: it names none, or others. */
bool cpus_parse(const char *text, unsigned count, struct cpu_set *set, struct why *why);
/* "all", "none", or ranges as "0-2,5". */
void cpus_print(const struct cpu_set *set, unsigned count);

#endif
