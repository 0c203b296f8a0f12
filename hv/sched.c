/*
 * The scheduler.
 *
 * Fairness: vcpu->vtime is the time that a vCPU ran, divided by its domain's weight. The least vtime runs;
 * running raises it, waiting does not, so each vCPU that waits is served sooner or later whatever the others
 * do. One that slept comes back at most BOOST behind the queue: enough to preempt one that computes, too
 * little to starve it.
 *
 * Placement: a vCPU returns to where it ran, unless another CPU idles. idle_cpus and waiting_cpus, a bit per
 * CPU, are changed under that CPU's lock. Queueing publishes the waiting bit and then reads the idle bits;
 * going idle publishes the idle bit and then reads the waiting bits: one of the two sees the other, so none
 * idles while work waits.
 *
 * Waking: whoever changes vcpu->stopped takes the lock of v->cpu's queue afterwards and looks again;
 * sched_softirq() clears v->running only when v's registers are in memory and looks again too. No wake-up is
 * lost between them.
 *
 * Locking: LOCK_SCHED, one queue at a time. v->cpu changes under the lock of the queue that it leaves, and
 * only while v is neither queued nor running.
 */
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/printk.h>
#include <hv/sched.h>
#include <hv/vcpu_time.h>
#include <xen/errno.h>

#define SLICE (10 * MILLISECOND)
#define BOOST (SLICE / 2)
/*
 * How far behind one must be to displace another that could go on. More than changing over takes, which is
 * charged too: otherwise two of nearly the same vtime take turns at changing over, and neither runs.
 */
#define LEAD (MILLISECOND)

_Static_assert(MAX_CPUS == 64, "sets of CPUs are 64-bit masks");

static uint64_t idle_cpus, waiting_cpus;

static uint64_t cpu_bit(const struct cpu *cpu)
{
    return 1ull << cpu->id;
}

static uint64_t all_cpus(void)
{
    return ~0ull >> (MAX_CPUS - cpu_count);
}

static uint64_t allowed_cpus(const struct vcpu *v)
{
    return v->pin ? v->pin : v->affinity;
}

/* vtimes of different queues drift, and all of them may wrap: only differences mean something. */
static bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

/* Charges what runs, and moves the queue's vtime up to the least of those here. */
static void advance_locked(struct run_queue *rq, ns_t now)
{
    struct vcpu *v = rq->chosen;
    if (vcpu_is_idle(v) || now <= v->charged)
        return;
    v->vtime += (now - v->charged) * SCHED_DEFAULT_WEIGHT / READ_ONCE(v->domain->sched_weight);
    v->charged = now;

    uint64_t least = v->vtime;
    if (!list_empty(&rq->ready)) {
        uint64_t first = list_entry(rq->ready.next, struct vcpu, ready_link)->vtime;
        least = before(first, least) ? first : least;
    }
    if (before(rq->vtime, least))
        rq->vtime = least;
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

static void enqueue_locked(struct cpu *cpu, struct vcpu *v)
{
    struct run_queue *rq = &cpu->run_queue;
    /* From the tail: whoever has just run belongs there. */
    struct list *after = rq->ready.prev;
    while (after != &rq->ready && before(v->vtime, list_entry(after, struct vcpu, ready_link)->vtime))
        after = after->prev;
    list_add_head(after, &v->ready_link);
    v->queued = true;
    if (!rq->count++)
        __atomic_fetch_or(&waiting_cpus, cpu_bit(cpu), __ATOMIC_SEQ_CST);
}

static void dequeue_locked(struct cpu *cpu, struct vcpu *v)
{
    list_remove(&v->ready_link);
    v->queued = false;
    if (!--cpu->run_queue.count)
        __atomic_fetch_and(&waiting_cpus, ~cpu_bit(cpu), __ATOMIC_SEQ_CST);
}

/* v, neither queued nor running, moves from the locked queue of `from` to that of `to`, keeping its lead or
 * lag. */
static void move_locked(struct vcpu *v, struct cpu *from, struct cpu *to)
{
    v->vtime += READ_ONCE(to->run_queue.vtime) - from->run_queue.vtime;
    WRITE_ONCE(v->cpu, to);
}

/* Where v, at home on the locked queue of cpu, had better be queued. */
static struct cpu *choose_cpu_locked(const struct vcpu *v, struct cpu *cpu)
{
    uint64_t allowed = allowed_cpus(v), idle = allowed & __atomic_load_n(&idle_cpus, __ATOMIC_SEQ_CST);
    if (idle & cpu_bit(cpu))
        return cpu;
    if (idle)
        return cpus[__builtin_ctzll(idle)];

    bool home = allowed & cpu_bit(cpu);
    struct cpu *best = home ? cpu : cpus[__builtin_ctzll(allowed)];
    if (home && cpu->run_queue.count < 2)
        return cpu;
    for (uint64_t rest = allowed; rest; rest &= rest - 1) {
        struct cpu *other = cpus[__builtin_ctzll(rest)];
        /* A difference of one is no reason to move. */
        if (READ_ONCE(other->run_queue.count) + (best == cpu) < READ_ONCE(best->run_queue.count))
            best = other;
    }
    return best;
}

/* What was chosen gives way to v, or has to learn that someone waits. advance_locked() came before. */
static bool needs_pass_locked(const struct run_queue *rq, const struct vcpu *v)
{
    return vcpu_is_idle(rq->chosen) || !rq->sliced || before(v->vtime + LEAD, rq->chosen->vtime);
}

/* A vCPU came to wait on cpu's queue although some CPU that it may use idles: that one is to fetch it. */
static void call_idle_cpu(const struct vcpu *v, const struct cpu *cpu)
{
    uint64_t idle = allowed_cpus(v) & ~cpu_bit(cpu) & __atomic_load_n(&idle_cpus, __ATOMIC_SEQ_CST);
    if (idle)
        softirq_raise_on(cpus[__builtin_ctzll(idle)], SOFTIRQ_SCHEDULE);
}

static int stopped_state(uint32_t stopped)
{
    return stopped & VCPU_BLOCKED ? RUNSTATE_blocked : RUNSTATE_offline;
}

/* Something about v changed. Queues it if it may run and does not; otherwise notes why it does not. */
static void place(struct vcpu *v)
{
    for (bool moved = false;; moved = true) {
        struct cpu *cpu = sched_lock_vcpu(v);
        uint32_t stopped = __atomic_load_n(&v->stopped, __ATOMIC_SEQ_CST);
        if (v->queued || v->running || stopped) {
            if (!v->queued && !v->running)
                runstate_change_locked(v, stopped_state(stopped), time_now());
            spin_unlock(&cpu->run_queue.lock);
            return;
        }
        struct cpu *to = moved && (allowed_cpus(v) & cpu_bit(cpu)) ? cpu : choose_cpu_locked(v, cpu);
        if (to == cpu) {
            ns_t now = time_now();
            advance_locked(&cpu->run_queue, now);
            if (before(v->vtime, cpu->run_queue.vtime - BOOST))
                v->vtime = cpu->run_queue.vtime - BOOST;
            runstate_change_locked(v, RUNSTATE_runnable, now);
            enqueue_locked(cpu, v);
            bool pass = needs_pass_locked(&cpu->run_queue, v), waits = !vcpu_is_idle(cpu->run_queue.chosen);
            spin_unlock(&cpu->run_queue.lock);
            if (pass)
                softirq_raise_on(cpu, SOFTIRQ_SCHEDULE);
            if (waits)
                call_idle_cpu(v, cpu);
            return;
        }
        move_locked(v, cpu, to);
        spin_unlock(&cpu->run_queue.lock);
    }
}

/* An idle CPU fetches a vCPU that waits elsewhere, if there is one that may run here. */
static void steal(struct cpu *cpu)
{
    uint64_t others = __atomic_load_n(&waiting_cpus, __ATOMIC_SEQ_CST) & ~cpu_bit(cpu);
    for (; others; others &= others - 1) {
        struct cpu *from = cpus[__builtin_ctzll(others)];
        struct vcpu *found = NULL;
        spin_lock(&from->run_queue.lock);
        list_for_each (item, &from->run_queue.ready) {
            struct vcpu *v = list_entry(item, struct vcpu, ready_link);
            if (allowed_cpus(v) & cpu_bit(cpu)) {
                found = v;
                break;
            }
        }
        /* A CPU that idles, or is about to give way, serves its own. */
        if (found && from->run_queue.count == 1 && vcpu_is_idle(from->run_queue.chosen))
            found = NULL;
        if (found) {
            dequeue_locked(from, found);
            move_locked(found, from, cpu);
        }
        spin_unlock(&from->run_queue.lock);
        if (found) {
            place(found);
            return;
        }
    }
}

/* --- choosing ------------------------------------------------------------------------------------------- */

static void slice_end(struct timer *timer, void *arg)
{
    (void)timer, (void)arg;
    softirq_raise(SOFTIRQ_SCHEDULE);
}

static struct vcpu *pick_locked(struct cpu *cpu, struct vcpu *prev)
{
    struct run_queue *rq = &cpu->run_queue;
    bool stays = !vcpu_is_idle(prev) && !__atomic_load_n(&prev->stopped, __ATOMIC_SEQ_CST) &&
                 (allowed_cpus(prev) & cpu_bit(cpu));
    bool yields = rq->yields;
    rq->yields = false;
    if (list_empty(&rq->ready))
        return stays ? prev : cpu->idle;
    struct vcpu *first = list_entry(rq->ready.next, struct vcpu, ready_link);
    return stays && !yields && !before(first->vtime + LEAD, prev->vtime) ? prev : first;
}

/* Notes the choice, so that other CPUs see it, and has the slice end if somebody waits for that. */
static void choose_locked(struct cpu *cpu, struct vcpu *prev, struct vcpu *next, ns_t now)
{
    struct run_queue *rq = &cpu->run_queue;
    if (next != prev) {
        rq->chosen = next;
        runstate_change_locked(next, RUNSTATE_running, now); /* the idle one's is the CPU's idle time */
        if (vcpu_is_idle(next)) {
            __atomic_fetch_or(&idle_cpus, cpu_bit(cpu), __ATOMIC_SEQ_CST);
        } else {
            dequeue_locked(cpu, next);
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

    rq->sliced = rq->count && !vcpu_is_idle(next);
    if (!rq->sliced)
        timer_stop(&rq->slice);
    else if (next != prev || timer_expiry(&rq->slice) == NS_NEVER)
        timer_set(&rq->slice, now + SLICE);
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
    struct vcpu *prev = cpu->current_vcpu;
    ns_t now = time_now();

    spin_lock(&cpu->run_queue.lock);
    advance_locked(&cpu->run_queue, now);
    struct vcpu *next = pick_locked(cpu, prev);
    choose_locked(cpu, prev, next, now);
    spin_unlock(&cpu->run_queue.lock);

    if (next != prev) {
        switch_to(cpu, prev, next);
        if (!vcpu_is_idle(prev)) {
            __atomic_store_n(&prev->running, false, __ATOMIC_SEQ_CST);
            place(prev);
        }
    }
    if (vcpu_is_idle(next))
        steal(cpu);
}

void vcpu_yield_current(void)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = &cpu->run_queue;
    struct vcpu *v = cpu->current_vcpu;

    spin_lock(&rq->lock);
    if (!list_empty(&rq->ready)) {
        uint64_t first = list_entry(rq->ready.next, struct vcpu, ready_link)->vtime;
        advance_locked(rq, time_now());
        if (before(v->vtime, first))
            v->vtime = first;
        rq->yields = true;
        softirq_raise(SOFTIRQ_SCHEDULE);
    }
    spin_unlock(&rq->lock);
}

/* --- starting and stopping ------------------------------------------------------------------------------ */

void vcpu_wake(struct vcpu *v, uint32_t bits)
{
    if (__atomic_fetch_and(&v->stopped, ~bits, __ATOMIC_SEQ_CST) & bits)
        place(v);
}

/* v must not be queued where it is, or must leave the CPU where it runs: because it is stopped, or may not
 * use that CPU. */
static void displace(struct vcpu *v)
{
    struct cpu *cpu = sched_lock_vcpu(v);
    bool running = v->running;
    if (v->queued)
        dequeue_locked(cpu, v);
    spin_unlock(&cpu->run_queue.lock);
    if (running)
        softirq_raise_on(cpu, SOFTIRQ_SCHEDULE);
    else
        place(v);
}

void vcpu_stop(struct vcpu *v, uint32_t bits)
{
    if (!(~__atomic_fetch_or(&v->stopped, bits, __ATOMIC_SEQ_CST) & bits))
        return;
    displace(v);
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

/* --- control -------------------------------------------------------------------------------------------- */

int sched_set_weight(struct domain *d, uint32_t weight)
{
    if (!weight || weight > SCHED_MAX_WEIGHT)
        return -XEN_EINVAL;
    WRITE_ONCE(d->sched_weight, weight);
    return 0;
}

uint32_t sched_get_weight(const struct domain *d)
{
    return d->sched_weight ? d->sched_weight : SCHED_DEFAULT_WEIGHT;
}

int sched_set_affinity(struct vcpu *v, uint64_t mask)
{
    mask &= all_cpus();
    if (!mask)
        return -XEN_EINVAL;
    WRITE_ONCE(v->affinity, mask);
    displace(v);
    return 0;
}

int sched_pin(struct vcpu *v, uint32_t cpu)
{
    if (cpu >= cpu_count)
        return -XEN_EINVAL;
    if (v->pin)
        return -XEN_EBUSY;
    WRITE_ONCE(v->pin, 1ull << cpu);
    displace(v);
    return 0;
}

int sched_unpin(struct vcpu *v)
{
    if (!v->pin)
        return -XEN_EINVAL;
    WRITE_ONCE(v->pin, 0);
    displace(v);
    return 0;
}

/* --- beginning and end ---------------------------------------------------------------------------------- */

void sched_cpu_init(struct cpu *cpu)
{
    struct run_queue *rq = &cpu->run_queue;
    spin_lock_init(&rq->lock, LOCK_SCHED);
    list_init(&rq->ready);
    rq->chosen = cpu->idle;
    timer_init(&rq->slice, slice_end, NULL);
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
    v->affinity = all_cpus();
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

/* --- debug key ------------------------------------------------------------------------------------------ */

static void dump_vcpu(struct vcpu *v)
{
    static const char *const states[] = {"running", "runnable", "blocked", "offline"};
    struct vcpu_runstate_info r;
    runstate_get(v, &r);
    printk(LOG_INFO "  d%uv%u CPU %u %s stopped %#x pending %u vtime %lu ran %lu ms\n", v->domain->id, v->id,
           v->cpu->id, states[r.state], v->stopped, vcpu_upcall_pending(v), v->vtime,
           r.time[RUNSTATE_running] / MILLISECOND);
}

void sched_dump(void)
{
    printk(LOG_INFO "  idle CPUs %#lx, with vCPUs waiting %#lx\n", idle_cpus, waiting_cpus);
    for (unsigned i = 0; i < cpu_count; i++) {
        struct run_queue *rq = &cpus[i]->run_queue;
        printk(LOG_INFO "  CPU %u: %u wait, vtime %lu, %s\n", i, rq->count, rq->vtime,
               rq->sliced ? "sliced" : "not sliced");
    }
    for (struct domain *d = domain_next(0); d; d = domain_next(d->id + 1))
        for (uint32_t i = 0; i < d->max_vcpus; i++)
            if (domain_vcpu(d, i))
                dump_vcpu(d->vcpu[i]);
}
