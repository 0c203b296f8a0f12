/*
 * Deferred freeing. The hypervisor never preempts itself, so whatever a CPU read is forgotten once it enters a
 * guest, idles, or runs through cpu_loop(): a grace period is over when every CPU did one of them.
 */
#ifndef HV_RCU_H
#define HV_RCU_H

#include <hv/types.h>

struct rcu_head {
    struct rcu_head *next;
    void (*fn)(struct rcu_head *head);
};

/* Calls fn(head), with no lock held, after a grace period. */
void rcu_defer(struct rcu_head *head, void (*fn)(struct rcu_head *head));

/* Called by cpu_loop() on each pass; cheap when nothing is deferred. */
void rcu_quiescent(void);

/* An idle CPU or one in guest mode counts as quiescent: told by these around them. */
void rcu_softirq(void);

#endif
