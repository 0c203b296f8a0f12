/* What the guests of `make bench` share: they run as first domain, and measure it and others. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>

/*
 * How often guests have stopped, all domains and CPUs together, by the hypervisor's performance counters
 * (XEN_SYSCTL_perfc_op, xen/sysctl.h); false where it has none. One call is EXITS_OF_READING exits.
 */
bool exits_read(uint32_t *exits);
#define EXITS_OF_READING 1u

/* DOMCTL command of a domain: 0 or negative errno. */
long control(struct xen_domctl *op, unsigned command, domid_t domid);
/* A paused domain with one vCPU and so many pieces of 2 MiB, 32 at most, from address 0 on: its number or
 * negative errno. */
long domain_create(unsigned pieces);
long domain_destroy(domid_t domid);
/* Starts a domain that answers each event on a port, which is returned, with one on the same; or negative
 * errno. */
long partner_start(void);

#endif
