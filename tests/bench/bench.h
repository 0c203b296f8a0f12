/* What the guests of `make bench` share: they run as first domain, and measure it and others. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How often guests have stopped, all domains and CPUs together, by the hypervisor's performance counters
 * (XEN_SYSCTL_perfc_op, xen/sysctl.h); false where it has none. One call is EXITS_OF_READING exits.
 */
bool exits_read(uint32_t *exits);
#define EXITS_OF_READING 1u

#endif
