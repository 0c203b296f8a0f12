/*
 * The scheduler: which vCPU runs on which CPU.
 *
 * Per-CPU run queues ordered by the time that each vCPU ran, scaled by its domain's weight; a time slice
 * while others wait; idle CPUs take work from busy ones, and busy ones even out among themselves. A vCPU runs
 * when it is not blocked, not down, neither it nor its domain is paused, and its domain has not used up its
 * cap. Nothing here waits: a vCPU that is to stop is kicked, and vcpu_is_running() says whether it has.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <hv/list.h>
#include <hv/lock.h>
#include <hv/timer.h>
#include <hv/types.h>

struct cpu;
struct vcpu;
struct domain;
struct vcpu_runstate_info;

struct run_queue {
    spinlock_t lock;     /* LOCK_SCHED: all of this and the run state of the vCPUs whose cpu this is */
    struct list ready;   /* vCPUs that could run and do not: urgent ones, then the others, by rising vtime */
    uint32_t count;      /* of ready */
    struct vcpu *chosen; /* what runs here, or is about to */
    uint64_t vtime;      /* about where the vCPUs here are; never falls */
    ns_t compared;       /* when sched_balance() last compared vtime with another queue's */
    ns_t began;          /* when chosen came to run */
    struct timer slice;  /* fires at slice_due or before; own CPU only */
    ns_t slice_due;      /* when it has to be looked at again what runs here, or NS_NEVER; own CPU only */
    bool sliced;         /* somebody waits for chosen's slice to end */
    bool slice_ended;    /* slice_due has come */
    bool yields;         /* chosen gives way to the next one, whatever their vtimes */
    bool astray;         /* chosen would rather run elsewhere */
    uint32_t neighbour;  /* the CPU that sched_balance() looked at last; own CPU only */
};

/* Why a vCPU does not run: bits of vcpu->stopped, changed atomically. Zero: it may. */
#define VCPU_BLOCKED 0x1u  /* SCHEDOP_block or poll, until an event */
#define VCPU_DOWN    0x2u  /* not yet started, or VCPUOP_down */
#define VCPU_PAUSED  0x4u  /* vcpu->pause_count > 0 */
#define VCPU_DOMAIN  0x8u  /* domain->pause_count > 0, or the domain is shut down or dying */
#define VCPU_CAPPED  0x10u /* its domain ran as much as its cap allows, for now */

void sched_cpu_init(struct cpu *cpu);
/* 0 or -ENOMEM. The vCPU starts VCPU_DOWN, and VCPU_DOMAIN if its domain is paused; LOCK_DOMAIN is held or
 * not needed. */
int sched_vcpu_init(struct vcpu *v);
/* The vCPU is not running and never will again. */
void sched_vcpu_destroy(struct vcpu *v);

/* Locks the run queue that v is at home on; unlock it as ->run_queue.lock of the CPU that is returned. */
struct cpu *sched_lock_vcpu(const struct vcpu *v);

/* SOFTIRQ_SCHEDULE. */
void sched_softirq(void);

/* Clears or sets bits of v->stopped and does what follows (queue it, preempt, kick). */
void vcpu_wake(struct vcpu *v, uint32_t bits);
void vcpu_stop(struct vcpu *v, uint32_t bits);
/* Ends v's block or poll. */
void vcpu_unblock(struct vcpu *v);
/* An event came for v: ends its block or poll, or makes it leave the guest so that the event is injected. */
void vcpu_kick(struct vcpu *v);
/* True while some CPU has it current: its registers are not in memory yet, or just about to be used. */
bool vcpu_is_running(const struct vcpu *v);

void vcpu_yield_current(void);
/* The same for a vCPU that spins: all of its domain that wait on this CPU run before it does again, for one
 * of them may be what it waits for. The domain's share stays what it was. */
void vcpu_yield_to_siblings(void);
/* Blocks the current vCPU unless an event is pending already; it stops at the next pass of cpu_loop(). */
void vcpu_block_current(void);

/* Nested pauses. They do not wait: see vcpu_is_running(). They take LOCK_DOMAIN. */
void vcpu_pause(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);
/* True when no vCPU of d is running (d != current domain). */
bool domain_is_stopped(const struct domain *d);

/* --- what control operations set (hv/sched_control.c, hv/sched_cap.c) ------------------------------------ */
/* DOMCTL_scheduler_op shows it as credit2, whose weight, cap and rate limit mean the same. */
#define SCHED_ID             6 /* XEN_SCHEDULER_CREDIT2 */
#define SCHED_DEFAULT_WEIGHT 256
#define SCHED_MAX_WEIGHT     65535
/* weight 1 .. SCHED_MAX_WEIGHT: -EINVAL. */
int sched_set_weight(struct domain *d, uint32_t weight);
uint32_t sched_get_weight(const struct domain *d);
/* Percent of one CPU that all of d's vCPUs may use together; 0: no cap. -EINVAL: more than 100 for each vCPU,
 * -ENOMEM. LOCK_DOMCTL, or d is not known yet. */
int sched_set_cap(struct domain *d, uint32_t cap);
uint32_t sched_get_cap(const struct domain *d);
/* d's vCPUs are stopped for good. */
void sched_cap_kill(struct domain *d);
/* How long a vCPU runs at least before another may take its CPU: 0, or from 100 us to 500 ms: -EINVAL. */
int sched_set_ratelimit(ns_t limit);
ns_t sched_get_ratelimit(void);
/* Where v may run. -EINVAL: no CPU of mask is there, -EBUSY: it is pinned. mask is cut to the CPUs that are.
 */
int sched_set_affinity(struct vcpu *v, uint64_t mask);
/* Where v would rather run, of the CPUs where it may; none or all of those: it has no preference. -EBUSY. */
int sched_set_soft_affinity(struct vcpu *v, uint64_t mask);
/* SCHEDOP_pin_override: -EINVAL as above, -EBUSY when pinned already. */
int sched_pin(struct vcpu *v, uint32_t cpu);
int sched_unpin(struct vcpu *v);

/* --- run state (hv/runstate.c) -------------------------------------------------------------------------- */
/* v's times up to this moment. */
void runstate_get(struct vcpu *v, struct vcpu_runstate_info *out);
/* Accounts the time since the last change and enters state. v's run queue is locked. */
void runstate_change_locked(struct vcpu *v, int state, ns_t now);
/* Writes the current vCPU's run state where the guest asked for it. */
void runstate_publish(void);
/* Time that v ran so far. */
ns_t vcpu_cpu_time(struct vcpu *v);

/* SCHEDOP_watchdog's timers; d's vCPUs are stopped for good (hv/sched_op.c). */
void watchdogs_kill(struct domain *d);

/* Debug key 'r'. */
void sched_dump(void);

#endif
