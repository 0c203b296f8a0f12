/*
 * One-shot timers, kept per CPU and run from SOFTIRQ_TIMER with no lock held.
 *
 * The object is the caller's; it must not go away while armed (timer_kill first). A timer fires on the CPU
 * that it was last set for. Precision: never early, and late only by the latency of the interrupt.
 */
#ifndef HV_TIMER_H
#define HV_TIMER_H

#include <hv/lock.h>
#include <hv/types.h>

struct timer;
struct cpu;
typedef void timer_fn(struct timer *timer, void *arg);

struct timer {
    ns_t expires;
    timer_fn *fn;
    void *arg;
    struct cpu *cpu;   /* on whose queue; NULL when not armed. Changed under that queue's lock */
    uint32_t position; /* in the heap, 1-based; 0: not armed */
    bool killed;       /* timer_kill() is at work: timer_set() does nothing */
};

/* A binary heap that grows; each CPU's own lock protects it. */
struct timer_queue {
    spinlock_t lock;
    struct timer **heap; /* heap[1] expires first */
    uint32_t count, capacity;
    ns_t programmed;      /* the hardware fires no later than this; NS_NEVER: it may be off. Own CPU only */
    struct timer *firing; /* whose fn runs now */
};

/* Of two CPUs that set one timer at the same time, either may win. */
void timer_init(struct timer *timer, timer_fn *fn, void *arg);

/* Makes room so that one more timer can be armed on any CPU without failing. -ENOMEM. Pairs with
 * timer_release. */
int timer_reserve(void);
void timer_release(void);

/*
 * Arms (or moves) the timer on this CPU. expires in the past fires at once, from the next softirq run. The
 * hardware is touched only when the timer becomes the earliest; stopping never does, at worst an interrupt
 * finds nothing to do.
 */
void timer_set(struct timer *timer, ns_t expires);
void timer_stop(struct timer *timer);
/* Stops it, and fn runs on no CPU afterwards, even if it arms itself again. The caller holds no lock that fn
 * takes. */
void timer_kill(struct timer *timer);

/* When the timer will fire, NS_NEVER when not armed. */
static inline ns_t timer_expiry(const struct timer *timer)
{
    return timer->position ? timer->expires : NS_NEVER;
}

void timer_cpu_init(struct cpu *cpu);
/* SOFTIRQ_TIMER. */
void timer_softirq(void);

#endif
