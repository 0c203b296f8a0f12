/*
 * The scheduler: which CPU a vCPU waits on.
 *
 * A vCPU returns to where it ran, unless a CPU that it may use idles. A CPU that goes idle takes what waits
 * elsewhere. While CPUs are saturated, vtimes are what makes shares right across them: at the end of each
 * slice a CPU looks at one other, and whoever waits on the one and is further behind than those whom the
 * other would run goes there. So the vtimes of all stay within about APART_SLICES slices, which is to say
 * that each gets its share, however many of which weight there are. Only those who are due more than a whole
 * CPU, or are tied to a crowded one, stay behind; for them the clocks of the two CPUs are set anew
 * (level_locked()).
 *
 * Soft affinity: vCPUs wait on CPUs that they prefer, if they have a preference, and run on others when these
 * idle. astray_cpus are those that run one which would rather run elsewhere; a CPU that goes idle looks there
 * when nothing waits.
 *
 * Interface: hv/sched_internal.h. Locking: LOCK_SCHED, of two queues in sched_balance().
 */
#include <hv/arch/time.h>
#include <hv/sched_internal.h>

/* How many slices of its own one must be behind those on another CPU to be worth the move. */
#define APART_SLICES 2
#define FAR          (1ull << 62)

struct cpu *sched_choose_cpu_locked(const struct vcpu *v, struct cpu *cpu)
{
    uint64_t preferred = preferred_cpus(v), idle = __atomic_load_n(&idle_cpus, __ATOMIC_SEQ_CST);
    if (idle) {
        idle &= idle & preferred ? preferred : allowed_cpus(v);
        if (idle)
            return idle & cpu_bit(cpu) ? cpu : cpus[__builtin_ctzll(idle)];
    }

    bool home = preferred & cpu_bit(cpu);
    struct cpu *best = home ? cpu : cpus[__builtin_ctzll(preferred)];
    /* The length of queues says little where weights differ: it is for those who slept. */
    if (home && (cpu->run_queue.count < 2 || v->runstate.state == RUNSTATE_runnable))
        return cpu;
    for (uint64_t rest = preferred; rest; rest &= rest - 1) {
        struct cpu *other = cpus[__builtin_ctzll(rest)];
        /* A difference of one is no reason to move. */
        if (READ_ONCE(other->run_queue.count) + (best == cpu) < READ_ONCE(best->run_queue.count))
            best = other;
    }
    return best;
}

void sched_call_idle_cpu(const struct vcpu *v, const struct cpu *cpu)
{
    uint64_t idle = allowed_cpus(v) & ~cpu_bit(cpu) & __atomic_load_n(&idle_cpus, __ATOMIC_SEQ_CST);
    if (idle)
        softirq_raise_on(cpus[__builtin_ctzll(idle)], SOFTIRQ_SCHEDULE);
}

/* --- a CPU that idles ----------------------------------------------------------------------------------- */

static bool steal_from(struct cpu *from, struct cpu *cpu)
{
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
        sched_dequeue_locked(from, found);
        sched_move_locked(found, cpu);
    }
    spin_unlock(&from->run_queue.lock);
    if (found)
        sched_place(found, false);
    return found;
}

/* What runs on `from` although it would rather run on cpu, which idles, is made to choose again. */
static bool recall(struct cpu *from, const struct cpu *cpu)
{
    spin_lock(&from->run_queue.lock);
    const struct vcpu *v = from->run_queue.chosen;
    bool comes = !vcpu_is_idle(v) && from->run_queue.astray && (preferred_cpus(v) & cpu_bit(cpu));
    spin_unlock(&from->run_queue.lock);
    if (comes)
        softirq_raise_on(from, SOFTIRQ_SCHEDULE);
    return comes;
}

void sched_steal(struct cpu *cpu)
{
    uint64_t others = __atomic_load_n(&waiting_cpus, __ATOMIC_SEQ_CST) & ~cpu_bit(cpu);
    for (; others; others &= others - 1)
        if (steal_from(cpus[__builtin_ctzll(others)], cpu))
            return;
    others = __atomic_load_n(&astray_cpus, __ATOMIC_SEQ_CST) & ~cpu_bit(cpu);
    for (; others; others &= others - 1)
        if (recall(cpus[__builtin_ctzll(others)], cpu))
            return;
}

/* --- CPUs that are saturated ---------------------------------------------------------------------------- */

/* Nobody has looked at rq for longer than busy CPUs take to go round: it was not compared. */
static bool stale(const struct run_queue *rq, ns_t now)
{
    return now - rq->compared > 4 * cpu_count * SLICE;
}

static void raise(struct vcpu *v, uint64_t by, uint64_t most)
{
    if (before(v->vtime + by, most))
        v->vtime += by;
    else if (before(v->vtime, most))
        v->vtime = most;
}

/*
 * Puts the clock of one queue forward, with those who are on it, so that the time it lags does not become a
 * claim against the other's: all of that when the two were not compared before, and a lag that could not be
 * made up although whoever might have left the queue was free to.
 */
static void level_locked(const struct run_queue *ahead, struct run_queue *behind, bool at_first)
{
    uint64_t by = ahead->vtime - behind->vtime, apart = at_first ? 0 : vtime_of(ahead->chosen, APART);
    if (!before(behind->vtime + apart, ahead->vtime))
        return;
    /* Later only those who lag themselves are put forward. */
    uint64_t most = at_first ? ahead->vtime + FAR : ahead->vtime;
    by -= apart / 2;
    behind->vtime += by;
    raise(behind->chosen, by, most);
    list_for_each (item, &behind->ready)
        raise(list_entry(item, struct vcpu, ready_link), by, most);
}

/* The first who waits on `from`, would go to `to`, and is further behind than limit. */
static struct vcpu *find_move_locked(const struct cpu *from, const struct cpu *to, uint64_t limit)
{
    list_for_each (item, &from->run_queue.ready) {
        struct vcpu *v = list_entry(item, struct vcpu, ready_link);
        uint64_t margin = vtime_of(v, APART_SLICES * SLICE), preferred = preferred_cpus(v);
        if (v->urgent || !(preferred & cpu_bit(to)))
            continue;
        if (preferred & cpu_bit(from) ? before(v->vtime + margin, limit) : before(v->vtime, limit + margin))
            return v;
    }
    return NULL;
}

void sched_balance(struct cpu *cpu)
{
    struct run_queue *rq = &cpu->run_queue;
    if (cpu_count == 1)
        return;
    do
        rq->neighbour = (rq->neighbour + 1) % cpu_count;
    while (rq->neighbour == cpu->id);

    struct cpu *other = cpus[rq->neighbour], *from = other, *to = cpu;
    struct run_queue *their = &other->run_queue;
    struct vcpu *v = NULL;
    bool pass = false;
    ns_t now = time_now();
    spin_lock_pair(&rq->lock, &their->lock);
    sched_advance_locked(rq, now);
    sched_advance_locked(their, now);
    /* Those that idle, or are about to choose, are served otherwise. */
    if (!list_empty(&rq->ready) && !vcpu_is_idle(rq->chosen) && !vcpu_is_idle(their->chosen)) {
        bool at_first = stale(rq, now) || stale(their, now);
        level_locked(rq, their, at_first);
        level_locked(their, rq, at_first);
        rq->compared = their->compared = now;
        if (list_empty(&their->ready)) {
            from = cpu, to = other;
            v = find_move_locked(cpu, other, their->chosen->vtime);
        } else {
            v = find_move_locked(other, cpu, first_ready(rq)->vtime);
        }
    }
    if (v) {
        sched_dequeue_locked(from, v);
        WRITE_ONCE(v->cpu, to);
        sched_enqueue_locked(to, v);
        pass = sched_announce_locked(to, v, now);
    }
    spin_unlock_pair(&rq->lock, &their->lock);
    if (pass)
        softirq_raise_on(to, SOFTIRQ_SCHEDULE);
}
