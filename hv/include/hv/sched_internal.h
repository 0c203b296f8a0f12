/*
 * What the scheduler's files share: hv/sched.c queues and chooses, hv/sched_balance.c places, hv/sched_cap.c
 * caps, hv/sched_control.c sets and shows. For nobody else.
 */
#ifndef HV_SCHED_INTERNAL_H
#define HV_SCHED_INTERNAL_H

#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/sched.h>

#define SLICE (10 * MILLISECOND)
/*
 * How far behind one must be to displace another that could go on. More than changing over takes, which is
 * charged too: otherwise two of nearly the same vtime take turns at changing over, and neither runs.
 */
#define LEAD (MILLISECOND)
/* vtimes of vCPUs on two CPUs that are further apart than that do not mean the same time. */
#define APART (20 * SLICE)
/* How far the time up to which a capped domain may have run is allowed to be ahead (hv/sched_cap.c). */
#define CAP_BURST (10 * MILLISECOND)

/* A bit per CPU; changed under the lock of that CPU's queue. */
extern uint64_t idle_cpus, waiting_cpus, astray_cpus;

static inline uint64_t cpu_bit(const struct cpu *cpu)
{
    return 1ull << cpu->id;
}

static inline uint64_t all_cpus(void)
{
    return ~0ull >> (MAX_CPUS - cpu_count);
}

static inline uint64_t allowed_cpus(const struct vcpu *v)
{
    return v->pin ? v->pin : v->affinity;
}

/* All that are allowed, when it has no preference. */
static inline uint64_t preferred_cpus(const struct vcpu *v)
{
    uint64_t allowed = allowed_cpus(v), preferred = allowed & v->soft_affinity;
    return preferred ? preferred : allowed;
}

/* v, which may run on cpu, would rather run elsewhere. */
static inline bool strays(const struct vcpu *v, const struct cpu *cpu)
{
    return unlikely(!(v->soft_affinity & cpu_bit(cpu))) && (allowed_cpus(v) & v->soft_affinity);
}

/* vtimes may wrap: only differences mean something. */
static inline bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

/* By how much v's vtime rises in that time. */
static inline uint64_t vtime_of(const struct vcpu *v, ns_t time)
{
    return time * SCHED_DEFAULT_WEIGHT / READ_ONCE(v->domain->sched_weight);
}

static inline struct vcpu *first_ready(const struct run_queue *rq)
{
    return list_entry(rq->ready.next, struct vcpu, ready_link);
}

/* --- hv/sched.c: the queue is locked --------------------------------------------------------------------- */
/* Charges what runs, and moves the queue's vtime up to the least of those here. */
void sched_advance_locked(struct run_queue *rq, ns_t now);
void sched_enqueue_locked(struct cpu *cpu, struct vcpu *v);
void sched_dequeue_locked(struct cpu *cpu, struct vcpu *v);
/* v was queued on cpu: has its slice end, or true: softirq_raise_on(cpu, SOFTIRQ_SCHEDULE) must follow.
 * sched_advance_locked() came before. */
bool sched_announce_locked(struct cpu *cpu, const struct vcpu *v, ns_t now);
/* v's home, whose queue is locked, becomes `to`; v is neither queued nor running. */
void sched_move_locked(struct vcpu *v, struct cpu *to);

/* Something about v changed. Queues it if it may run and does not; otherwise notes why it does not. With
 * settled, where it is rather than where it had best be, if it may run there. No queue is locked. */
void sched_place(struct vcpu *v, bool settled);
/* v must not be queued where it is, or must leave the CPU where it runs, or that CPU must look at it again.
 */
void sched_displace(struct vcpu *v);

extern ns_t sched_ratelimit;

/* --- hv/sched_balance.c ----------------------------------------------------------------------------------- */
/* Where v, at home on the locked queue of cpu, had better be queued. */
struct cpu *sched_choose_cpu_locked(const struct vcpu *v, struct cpu *cpu);
/* v came to wait on cpu's queue although some CPU that it may use idles: that one is to fetch it. */
void sched_call_idle_cpu(const struct vcpu *v, const struct cpu *cpu);
/* cpu idles: it fetches a vCPU that waits elsewhere, or that would rather run here. */
void sched_steal(struct cpu *cpu);
/* A slice ended on cpu: one other CPU is looked at, another one each time. */
void sched_balance(struct cpu *cpu);

/* --- hv/sched_cap.c --------------------------------------------------------------------------------------- */
/* d's vCPU ran from then to now. */
void cap_charge(struct domain *d, ns_t from, ns_t now);
/* d has used up its cap for now. */
static inline bool cap_exhausted(const struct domain *d, ns_t now)
{
    return unlikely(READ_ONCE(d->sched_cap)) &&
           __atomic_load_n(&d->cap_until, __ATOMIC_RELAXED) >= now + CAP_BURST;
}
/* v, which is not queued, waits until d may run again. v's queue is locked. */
void cap_park_locked(struct vcpu *v);
/* When v, which begins or goes on to run now, is to be looked at again. d has a cap. */
ns_t cap_check_time(const struct vcpu *v, ns_t now);

#endif
