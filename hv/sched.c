/*
 * The scheduler: queues, choosing, starting and stopping.
 *
 * Fairness: vcpu->vtime is the time that a vCPU ran, divided by its domain's weight. The least vtime runs;
 * running raises it, waiting does not, so each vCPU that waits is served sooner or later whatever the others
 * do. One that slept comes back at most BOOST behind the queue. If it had less than its share before, it is
 * urgent: it goes ahead of all that compute, until it has caught up with them. So it runs at once, and
 * gains nothing but that. Across CPUs, hv/sched_balance.c sees to it that vtimes mean the same.
 *
 * Placement: a vCPU returns to where it ran, unless another CPU idles. idle_cpus and waiting_cpus, a bit per
 * CPU, are changed under that CPU's lock. Queueing publishes the waiting bit and then reads the idle bits;
 * going idle publishes the idle bit and then reads the waiting bits: one of the two sees the other, so none
 * idles while work waits.
 *
 * Time slices: chosen's ends at rq->slice_due, NS_NEVER unless somebody waits or the domain has a cap
 * (hv/sched_cap.c). The timer is set by its own CPU, and only to fire sooner: it is never stopped, and when
 * it fires too soon, it is set again. So guests that take turns at sleeping leave it alone.
 *
 * A pass of sched_softirq() chooses anew. Who comes to wait asks for one only if it would change something:
 * if the CPU idles or may have to give way, or if it is another's and the slice has no end yet.
 *
 * Waking: whoever changes vcpu->stopped takes the lock of v->cpu's queue afterwards and looks again, at
 * v->running too; sched_softirq() clears v->running only when v's registers are in memory, and then looks at
 * v->stopped again. All of these are sequentially consistent, so one of the two sees the other: no wake-up is
 * lost between them.
 *
 * Locking: LOCK_SCHED, one queue at a time but for sched_balance(). v->cpu changes under the lock of the
 * queue that it leaves, and only while v is not running, and not queued unless both queues are locked.
 */
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/evtchn.h>
#include <hv/sched_internal.h>
#include <hv/vcpu_time.h>

#define BOOST (SLICE / 2)

_Static_assert(MAX_CPUS == 64, "sets of CPUs are 64-bit masks");

uint64_t idle_cpus, waiting_cpus, astray_cpus;
ns_t sched_ratelimit;

/* Inline in this file, as sched_announce_locked() is: each wake-up and each pass come here. */
inline void sched_advance_locked(struct run_queue *rq, ns_t now)
{
    struct vcpu *v = rq->chosen;
    if (vcpu_is_idle(v) || now <= v->charged)
        return;
    ns_t from = v->charged;
    v->vtime += vtime_of(v, now - from);
    v->charged = now;

    uint64_t least = v->vtime;
    if (!list_empty(&rq->ready)) {
        uint64_t first = first_ready(rq)->vtime;
        least = before(first, least) ? first : least;
    }
    if (before(rq->vtime, least))
        rq->vtime = least;
    if (v->urgent && !before(v->vtime, rq->vtime))
        v->urgent = false;
    if (unlikely(v->domain->sched_cap))
        cap_charge(v->domain, from, now);
}

/* --- queues --------------------------------------------------------------------------------------------- */

struct cpu *sched_lock_vcpu(const struct vcpu *v)
{
    for (;;) {
        struct cpu *cpu = READ_ONCE(v->cpu);
        spin_lock(&cpu->run_queue.lock);
        if (cpu == READ_ONCE(v->cpu))
            return cpu;
        spin_unlock(&cpu->run_queue.lock);
    }
}

void sched_enqueue_locked(struct cpu *cpu, struct vcpu *v)
{
    struct run_queue *rq = &cpu->run_queue;
    /* From the tail: whoever has just run belongs there. */
    struct list *after = rq->ready.prev;
    for (; after != &rq->ready; after = after->prev) {
        const struct vcpu *other = list_entry(after, struct vcpu, ready_link);
        if (v->urgent == other->urgent ? !before(v->vtime, other->vtime) : other->urgent)
            break;
    }
    list_add_head(after, &v->ready_link);
    v->queued = true;
    if (!rq->count++)
        __atomic_fetch_or(&waiting_cpus, cpu_bit(cpu), __ATOMIC_SEQ_CST);
}

void sched_dequeue_locked(struct cpu *cpu, struct vcpu *v)
{
    list_remove(&v->ready_link);
    v->queued = false;
    if (!--cpu->run_queue.count)
        __atomic_fetch_and(&waiting_cpus, ~cpu_bit(cpu), __ATOMIC_SEQ_CST);
}

void sched_move_locked(struct vcpu *v, struct cpu *to)
{
    uint64_t apart = vtime_of(v, APART), ahead = READ_ONCE(to->run_queue.vtime) - v->cpu->run_queue.vtime;
    /* CPUs of which one idled, or is due to others than v, have clocks that mean nothing to one another. */
    if (ahead + apart > 2 * apart)
        v->vtime += ahead;
    WRITE_ONCE(v->cpu, to);
}

/* v could go on, but first, who waits, takes its place. */
static bool gives_way(const struct vcpu *v, const struct vcpu *first)
{
    if (first->urgent != v->urgent)
        return first->urgent;
    return before(first->vtime + vtime_of(v, LEAD), v->vtime);
}

static void set_slice_locked(struct run_queue *rq, ns_t due)
{
    rq->slice_due = due;
    if (due < timer_expiry(&rq->slice))
        timer_set(&rq->slice, due);
}

inline bool sched_announce_locked(struct cpu *cpu, const struct vcpu *v, ns_t now)
{
    struct run_queue *rq = &cpu->run_queue;
    if (vcpu_is_idle(rq->chosen) || v->urgent || gives_way(rq->chosen, v))
        return true;
    if (rq->sliced)
        return false;
    if (cpu != this_cpu())
        return true;
    rq->sliced = true;
    set_slice_locked(rq, MIN(rq->slice_due, now + SLICE));
    return false;
}

static int stopped_state(uint32_t stopped)
{
    if (stopped & VCPU_BLOCKED)
        return RUNSTATE_blocked;
    return stopped & ~VCPU_CAPPED ? RUNSTATE_offline : RUNSTATE_runnable;
}

/* v comes to wait on rq, with as much of a claim as it may have. */
static void settle_vtime_locked(const struct run_queue *rq, struct vcpu *v)
{
    bool slept = v->runstate.state != RUNSTATE_runnable;
    if (slept)
        v->urgent = false;
    if (!before(v->vtime, rq->vtime))
        return;
    uint64_t least = rq->vtime - vtime_of(v, slept ? BOOST : APART);
    if (before(v->vtime, least))
        v->vtime = least;
    if (slept)
        v->urgent = before(v->vtime + vtime_of(v, LEAD), rq->vtime);
}

void sched_place(struct vcpu *v, bool settled)
{
    for (;; settled = true) {
        struct cpu *cpu = sched_lock_vcpu(v);
        uint32_t stopped = __atomic_load_n(&v->stopped, __ATOMIC_SEQ_CST);
        if (v->queued || v->running || stopped) {
            if (!v->queued && !v->running)
                runstate_change_locked(v, stopped_state(stopped), time_now());
            spin_unlock(&cpu->run_queue.lock);
            return;
        }
        struct cpu *to = settled && (allowed_cpus(v) & cpu_bit(cpu)) ? cpu : sched_choose_cpu_locked(v, cpu);
        if (to == cpu) {
            ns_t now = time_now();
            sched_advance_locked(&cpu->run_queue, now);
            settle_vtime_locked(&cpu->run_queue, v);
            runstate_change_locked(v, RUNSTATE_runnable, now);
            sched_enqueue_locked(cpu, v);
            bool pass = sched_announce_locked(cpu, v, now), waits = !vcpu_is_idle(cpu->run_queue.chosen);
            spin_unlock(&cpu->run_queue.lock);
            if (pass)
                softirq_raise_on(cpu, SOFTIRQ_SCHEDULE);
            if (waits && __atomic_load_n(&idle_cpus, __ATOMIC_SEQ_CST))
                sched_call_idle_cpu(v, cpu);
            return;
        }
        sched_move_locked(v, to);
        spin_unlock(&cpu->run_queue.lock);
    }
}

/* --- choosing ------------------------------------------------------------------------------------------- */

static void slice_end(struct timer *timer, void *arg)
{
    struct run_queue *rq = arg;
    if (rq->slice_due > timer->expires) {
        if (rq->slice_due != NS_NEVER)
            timer_set(timer, rq->slice_due);
        return;
    }
    rq->slice_due = NS_NEVER;
    rq->slice_ended = true;
    softirq_raise(SOFTIRQ_SCHEDULE);
}

/* prev may run on, and would if nobody else were here. */
static bool may_stay_locked(const struct cpu *cpu, struct vcpu *prev, ns_t now)
{
    if (vcpu_is_idle(prev) || __atomic_load_n(&prev->stopped, __ATOMIC_SEQ_CST) ||
        !(allowed_cpus(prev) & cpu_bit(cpu)))
        return false;
    if (cap_exhausted(prev->domain, now)) {
        cap_park_locked(prev);
        return false;
    }
    return !strays(prev, cpu) || !(preferred_cpus(prev) & __atomic_load_n(&idle_cpus, __ATOMIC_RELAXED));
}

static struct vcpu *pick_locked(struct cpu *cpu, struct vcpu *prev, ns_t now)
{
    struct run_queue *rq = &cpu->run_queue;
    bool stays = may_stay_locked(cpu, prev, now), yields = rq->yields;
    rq->yields = false;
    while (!list_empty(&rq->ready)) {
        struct vcpu *first = first_ready(rq);
        if (cap_exhausted(first->domain, now)) {
            sched_dequeue_locked(cpu, first);
            cap_park_locked(first);
            continue;
        }
        if (!stays || yields)
            return first;
        return now >= rq->began + READ_ONCE(sched_ratelimit) && gives_way(prev, first) ? first : prev;
    }
    return stays ? prev : cpu->idle;
}

/* When it has to be looked at again what runs here: NS_NEVER while one that may do so runs alone. */
static ns_t next_look_locked(const struct run_queue *rq, bool fresh, ns_t now)
{
    ns_t end = NS_NEVER;
    if (rq->sliced) {
        end = rq->slice_due;
        if (fresh || end == NS_NEVER)
            end = now + SLICE;
        /* Somebody urgent waits because others are so, too, or until the rate limit lets it go. */
        if (first_ready(rq)->urgent)
            end = MIN(end, MAX(now + LEAD, rq->began + READ_ONCE(sched_ratelimit)));
    }
    if (unlikely(rq->chosen->domain->sched_cap) && !vcpu_is_idle(rq->chosen))
        end = MIN(end, cap_check_time(rq->chosen, now));
    return end;
}

/* Notes the choice, so that other CPUs see it, and has the slice end if somebody waits for that. */
static void choose_locked(struct cpu *cpu, struct vcpu *prev, struct vcpu *next, ns_t now)
{
    struct run_queue *rq = &cpu->run_queue;
    if (next != prev) {
        rq->chosen = next;
        rq->began = now;
        runstate_change_locked(next, RUNSTATE_running, now); /* the idle one's is the CPU's idle time */
        if (vcpu_is_idle(next)) {
            __atomic_fetch_or(&idle_cpus, cpu_bit(cpu), __ATOMIC_SEQ_CST);
        } else {
            sched_dequeue_locked(cpu, next);
            next->charged = now;
            /* Full barrier: senders of events set pending bits, then look at this; we set this, then look at
             * the bits. */
            (void)__atomic_exchange_n(&next->running, true, __ATOMIC_SEQ_CST);
        }
        if (vcpu_is_idle(prev)) {
            __atomic_fetch_and(&idle_cpus, ~cpu_bit(cpu), __ATOMIC_SEQ_CST);
            runstate_change_locked(prev, RUNSTATE_runnable, now);
        } else {
            uint32_t stopped = __atomic_load_n(&prev->stopped, __ATOMIC_RELAXED);
            runstate_change_locked(prev, stopped ? stopped_state(stopped) : RUNSTATE_runnable, now);
        }
    }

    bool astray = !vcpu_is_idle(next) && strays(next, cpu);
    if (unlikely(astray != rq->astray)) {
        rq->astray = astray;
        __atomic_fetch_xor(&astray_cpus, cpu_bit(cpu), __ATOMIC_SEQ_CST);
    }
    rq->sliced = rq->count && !vcpu_is_idle(next);
    set_slice_locked(rq, next_look_locked(rq, next != prev, now));
}

static void switch_to(struct cpu *cpu, struct vcpu *prev, struct vcpu *next)
{
    perfc_incr(switches);
    if (!vcpu_is_idle(prev)) {
        runstate_publish();
        arch_switch_out(prev);
    }
    cpu->current_vcpu = next;
    if (!vcpu_is_idle(next)) {
        arch_switch_in(next);
        runstate_publish();
        vcpu_time_switch_in(next);
    }
}

void sched_softirq(void)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = &cpu->run_queue;
    struct vcpu *prev = cpu->current_vcpu;
    if (rq->slice_ended) {
        rq->slice_ended = false;
        sched_balance(cpu);
    }

    ns_t now = time_now();
    spin_lock(&rq->lock);
    sched_advance_locked(rq, now);
    struct vcpu *next = pick_locked(cpu, prev, now);
    choose_locked(cpu, prev, next, now);
    spin_unlock(&rq->lock);

    if (next != prev) {
        switch_to(cpu, prev, next);
        if (!vcpu_is_idle(prev)) {
            __atomic_store_n(&prev->running, false, __ATOMIC_SEQ_CST);
            /* Only v itself blocks v: choose_locked() has seen it and noted it. */
            if (__atomic_load_n(&prev->stopped, __ATOMIC_SEQ_CST) != VCPU_BLOCKED)
                sched_place(prev, false);
        }
    }
    if (vcpu_is_idle(next) &&
        (__atomic_load_n(&waiting_cpus, __ATOMIC_SEQ_CST) | __atomic_load_n(&astray_cpus, __ATOMIC_SEQ_CST)))
        sched_steal(cpu);
}

/* s, which is not urgent, belongs ahead of one that is queued. */
static bool goes_before(const struct vcpu *s, const struct vcpu *queued)
{
    return !queued->urgent && before(s->vtime, queued->vtime);
}

/* Those of v's domain that wait here each get the vtime of the one before them, the first one v's, and v the
 * last one's: v is behind all of them, and the domain as a whole where it was. */
static void rotate_siblings_locked(struct run_queue *rq, struct vcpu *v)
{
    struct list siblings;
    list_init(&siblings);
    for (struct list *item = rq->ready.next, *next; item != &rq->ready; item = next) {
        struct vcpu *s = list_entry(item, struct vcpu, ready_link);
        next = item->next;
        if (s->domain != v->domain || s->urgent || !before(v->vtime, s->vtime))
            continue;
        uint64_t vtime = s->vtime;
        s->vtime = v->vtime;
        v->vtime = vtime;
        list_remove(item);
        list_add_tail(&siblings, item);
    }
    /* Both lists rise, so that one walk finds all places. */
    for (struct list *at = rq->ready.next; !list_empty(&siblings);) {
        struct vcpu *s = list_entry(siblings.next, struct vcpu, ready_link);
        while (at != &rq->ready && !goes_before(s, list_entry(at, struct vcpu, ready_link)))
            at = at->next;
        list_remove(&s->ready_link);
        list_add_tail(at, &s->ready_link);
    }
}

static void yield(bool to_siblings)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = &cpu->run_queue;
    struct vcpu *v = cpu->current_vcpu;

    spin_lock(&rq->lock);
    if (!list_empty(&rq->ready)) {
        sched_advance_locked(rq, time_now());
        if (to_siblings)
            rotate_siblings_locked(rq, v);
        if (before(v->vtime, first_ready(rq)->vtime))
            v->vtime = first_ready(rq)->vtime;
        v->urgent = false;
        rq->yields = true;
        softirq_raise(SOFTIRQ_SCHEDULE);
    }
    spin_unlock(&rq->lock);
}

void vcpu_yield_current(void)
{
    yield(false);
}

void vcpu_yield_to_siblings(void)
{
    yield(true);
}

/* --- starting and stopping ------------------------------------------------------------------------------ */

void vcpu_wake(struct vcpu *v, uint32_t bits)
{
    if (__atomic_fetch_and(&v->stopped, ~bits, __ATOMIC_SEQ_CST) & bits)
        sched_place(v, false);
}

void sched_displace(struct vcpu *v)
{
    struct cpu *cpu = sched_lock_vcpu(v);
    bool running = v->running;
    if (v->queued)
        sched_dequeue_locked(cpu, v);
    spin_unlock(&cpu->run_queue.lock);
    if (running)
        softirq_raise_on(cpu, SOFTIRQ_SCHEDULE);
    else
        sched_place(v, false);
}

void vcpu_stop(struct vcpu *v, uint32_t bits)
{
    if (!(~__atomic_fetch_or(&v->stopped, bits, __ATOMIC_SEQ_CST) & bits))
        return;
    sched_displace(v);
}

void vcpu_unblock(struct vcpu *v)
{
    evtchn_poll_end(v);
    vcpu_wake(v, VCPU_BLOCKED);
}

void vcpu_kick(struct vcpu *v)
{
    if (__atomic_load_n(&v->stopped, __ATOMIC_SEQ_CST) & VCPU_BLOCKED)
        vcpu_unblock(v);
    else if (v != current && __atomic_load_n(&v->running, __ATOMIC_SEQ_CST))
        arch_cpu_kick(READ_ONCE(v->cpu));
}

bool vcpu_is_running(const struct vcpu *v)
{
    return __atomic_load_n(&v->running, __ATOMIC_SEQ_CST);
}

void vcpu_block_current(void)
{
    struct vcpu *v = current;
    __atomic_fetch_or(&v->stopped, VCPU_BLOCKED, __ATOMIC_SEQ_CST);
    /* An event's sender sets the pending bit first and then looks for VCPU_BLOCKED. */
    if (arch_event_pending(v))
        __atomic_fetch_and(&v->stopped, ~VCPU_BLOCKED, __ATOMIC_SEQ_CST);
    else
        softirq_raise(SOFTIRQ_SCHEDULE);
}

void vcpu_pause(struct vcpu *v)
{
    spin_lock(&v->domain->lock);
    if (!v->pause_count++)
        vcpu_stop(v, VCPU_PAUSED);
    spin_unlock(&v->domain->lock);
}

void vcpu_unpause(struct vcpu *v)
{
    spin_lock(&v->domain->lock);
    if (!--v->pause_count)
        vcpu_wake(v, VCPU_PAUSED);
    spin_unlock(&v->domain->lock);
}

void domain_pause(struct domain *d)
{
    spin_lock(&d->lock);
    if (!d->pause_count++)
        for (uint32_t i = 0; i < d->max_vcpus; i++)
            if (d->vcpu[i])
                vcpu_stop(d->vcpu[i], VCPU_DOMAIN);
    spin_unlock(&d->lock);
}

void domain_unpause(struct domain *d)
{
    spin_lock(&d->lock);
    if (!--d->pause_count && !d->shut_down && d->dying == DOMAIN_ALIVE)
        for (uint32_t i = 0; i < d->max_vcpus; i++)
            if (d->vcpu[i])
                vcpu_wake(d->vcpu[i], VCPU_DOMAIN);
    spin_unlock(&d->lock);
}

bool domain_is_stopped(const struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = domain_vcpu(d, i);
        if (v && vcpu_is_running(v))
            return false;
    }
    return true;
}

/* --- beginning and end ---------------------------------------------------------------------------------- */

void sched_cpu_init(struct cpu *cpu)
{
    struct run_queue *rq = &cpu->run_queue;
    spin_lock_init(&rq->lock, LOCK_SCHED);
    list_init(&rq->ready);
    rq->chosen = cpu->idle;
    rq->slice_due = NS_NEVER;
    timer_init(&rq->slice, slice_end, rq);
    __atomic_fetch_or(&idle_cpus, cpu_bit(cpu), __ATOMIC_SEQ_CST);
}

int sched_vcpu_init(struct vcpu *v)
{
    static unsigned next_cpu; /* spreads new vCPUs; a lost update does no harm */
    struct domain *d = v->domain;
    int error = vcpu_time_init(v);
    if (error)
        return error;
    if (!d->sched_weight)
        d->sched_weight = SCHED_DEFAULT_WEIGHT;
    v->cpu = cpus[__atomic_fetch_add(&next_cpu, 1, __ATOMIC_RELAXED) % cpu_count];
    v->vtime = READ_ONCE(v->cpu->run_queue.vtime);
    v->affinity = v->soft_affinity = all_cpus();
    v->stopped = VCPU_DOWN | (d->pause_count || d->shut_down || d->dying ? VCPU_DOMAIN : 0);
    v->runstate.state = RUNSTATE_offline;
    v->runstate.state_entry_time = time_now();
    list_init(&v->ready_link);
    return 0;
}

void sched_vcpu_destroy(struct vcpu *v)
{
    vcpu_time_destroy(v);
}
