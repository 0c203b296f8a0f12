/* What the guests of `make bench` share: they run as first domain, and measure it and others. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>

/* --- measuring: with interrupts off, by one CPU --------------------------------------------------------- */

struct operation {
    const char *name;
    /* What has to be got ready and undone is done outside of the measured time; both may be NULL. */
    void (*operation)(void), (*before)(void), (*after)(void);
    unsigned rounds; /* 0: 200 */
};

/* For operations: a negative result means that they did not do what is measured; report() then says so. */
void must(long result);
/* For what all depends on: panics. */
void expect(const char *what, long result);
/* Ticks of the quickest round, with what the measuring takes. */
uint64_t measure(const struct operation *o);
extern const struct operation measure_nothing;
/* Prints the line for a figure; exits: -1 when they are not known. */
void report(const char *name, uint64_t ticks, long exits);
/* Measures and reports each, less what measuring takes, and with its exits. */
void measure_all(const struct operation *operations, unsigned count);

/*
 * How often guests have stopped, all domains and CPUs together, by the hypervisor's performance counters
 * (XEN_SYSCTL_perfc_op, xen/sysctl.h); false where it has none. One call is EXITS_OF_READING exits.
 */
bool exits_read(uint32_t *exits);
#define EXITS_OF_READING 1u

/* --- other domains -------------------------------------------------------------------------------------- */

/* DOMCTL command of a domain: 0 or negative errno. */
long control(struct xen_domctl *op, unsigned command, domid_t domid);
/* A paused domain with one vCPU and so many pieces of 2 MiB, 32 at most, from address 0 on: its number or
 * negative errno. */
long domain_create(unsigned pieces);
long domain_destroy(domid_t domid);
/* Starts a domain that answers each event that we send it. Its number or negative errno. */
long partner_start(void);
/* Sends it one and polls for the answer. An operation, as above. */
void partner_call(void);
/* vCPU runs on that CPU only from now on. 0 or negative errno. */
long pin(domid_t domid, unsigned vcpu, unsigned cpu);

#endif
