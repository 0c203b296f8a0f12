/*
 * The scheduler: which vCPU runs on which CPU.
 *
 * Per-CPU run queues, round robin with a time slice, weights, and idle CPUs that take work from busy ones.
 * A vCPU runs when it is not blocked, not down and neither it nor its domain is paused. Nothing here waits: a
 * vCPU that is to stop is kicked, and vcpu_is_running() says whether it has.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <hv/list.h>
#include <hv/lock.h>
#include <hv/types.h>

struct cpu;
struct vcpu;
struct domain;

struct run_queue {
    spinlock_t lock;
    struct list ready; /* vCPUs that could run and do not, next first */
    uint32_t count;
    ns_t slice_end;
};

/* Why a vCPU does not run: bits of vcpu->stopped, changed atomically. Zero: it may. */
#define VCPU_BLOCKED 0x1u /* SCHEDOP_block or poll, until an event */
#define VCPU_DOWN    0x2u /* not yet started, or VCPUOP_down */
#define VCPU_PAUSED  0x4u /* vcpu->pause_count > 0 */
#define VCPU_DOMAIN  0x8u /* domain->pause_count > 0, or the domain is shut down or dying */

void sched_cpu_init(struct cpu *cpu);
/* 0 or -ENOMEM. The vCPU starts VCPU_DOWN. */
int sched_vcpu_init(struct vcpu *v);
/* The vCPU is not running and never will again. */
void sched_vcpu_destroy(struct vcpu *v);

/* SOFTIRQ_SCHEDULE. */
void sched_softirq(void);

/* Clears or sets bits of v->stopped and does what follows (queue it, preempt, kick). */
void vcpu_wake(struct vcpu *v, uint32_t bits);
void vcpu_stop(struct vcpu *v, uint32_t bits);
/* An event came for v: ends its block or poll, or makes it leave the guest so that the event is injected. */
void vcpu_kick(struct vcpu *v);
/* True while some CPU has it current: its registers are not in memory yet, or just about to be used. */
bool vcpu_is_running(const struct vcpu *v);

void sched_yield(void);
/* Blocks the current vCPU unless an event is pending already; it stops at the next pass of cpu_loop(). */
void vcpu_block_current(void);

/* Nested pauses. They do not wait: see vcpu_is_running(). */
void vcpu_pause(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);
/* True when no vCPU of d is running (d != current domain). */
bool domain_is_stopped(const struct domain *d);

/* Time that v ran so far. */
ns_t vcpu_cpu_time(const struct vcpu *v);

#endif
