/*
 * Deferred freeing. The hypervisor never preempts itself, so whatever a CPU read is forgotten once it comes
 * through cpu_loop() again: a grace period is over when every CPU did. CPUs in guest mode or idle are fetched
 * by SOFTIRQ_RCU, which has no work of its own, so that a grace period ends soon and an idle machine stays
 * idle.
 */
#ifndef HV_RCU_H
#define HV_RCU_H

#include <hv/types.h>

struct cpu;

struct rcu_head {
    struct rcu_head *next;
    void (*fn)(struct rcu_head *head);
};

/* Calls fn(head), with no lock held, after a grace period. Any lock may be held. */
void rcu_defer(struct rcu_head *head, void (*fn)(struct rcu_head *head));

/* Called by cpu_loop() on each pass, when nothing is held from before; cheap when nothing is deferred. */
void rcu_quiescent(void);

void rcu_cpu_init(struct cpu *cpu);

#endif
