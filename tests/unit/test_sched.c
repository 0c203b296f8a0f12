/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c */
/* cflags: -pthread */
/* The scheduler: shares, latency, placement, run states; and with a thread per CPU: no wake-up is ever lost.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include "fake/fake.h"

#define CPUS 4

static uint64_t frames_before;
static struct domain *first; /* dom0 lives through all tests, asleep */

static int setup(void **state)
{
    (void)state;
    fake_settle();
    frames_before = frames_free();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_settle();
    assert_int_equal(frames_free(), frames_before);
    for (unsigned i = 0; i < CPUS; i++)
        assert_ptr_equal(cpus[i]->current_vcpu, cpus[i]->idle);
    return 0;
}

/* A domain whose vCPUs compute without end on CPU 0. */
static struct domain *hogs(unsigned vcpus, unsigned weight)
{
    struct domain *d = fake_domain(vcpus, false);
    assert_int_equal(sched_set_weight(d, weight), 0);
    for (unsigned i = 0; i < vcpus; i++)
        assert_int_equal(sched_set_affinity(d->vcpu[i], 1), 0);
    fake_settle();
    return d;
}

static ns_t ran(struct domain *d, unsigned i)
{
    return vcpu_cpu_time(d->vcpu[i]);
}

#define assert_near(value, wanted)                                                                           \
    assert_in_range((value), (wanted)-30 * MILLISECOND, (wanted) + 30 * MILLISECOND)

static void test_equal_shares(void **state)
{
    (void)state;
    struct domain *d = hogs(3, SCHED_DEFAULT_WEIGHT);
    fake_advance(3 * SECOND);
    for (unsigned i = 0; i < 3; i++)
        assert_near(ran(d, i), SECOND);
    fake_destroy(d);
}

static void test_weights(void **state)
{
    (void)state;
    struct domain *light = hogs(1, 100), *heavy = hogs(1, 300);
    fake_advance(4 * SECOND);
    assert_near(ran(light, 0), SECOND);
    assert_near(ran(heavy, 0), 3 * SECOND);
    assert_int_equal(sched_set_weight(light, 0), -XEN_EINVAL);
    assert_int_equal(sched_set_weight(light, SCHED_MAX_WEIGHT + 1), -XEN_EINVAL);
    fake_destroy(light);
    fake_destroy(heavy);
}

/* One that sleeps a lot runs as soon as it wakes; one that has slept for long does not starve the others
 * then. */
static void test_wake_up_latency(void **state)
{
    (void)state;
    struct domain *d = hogs(2, SCHED_DEFAULT_WEIGHT);
    struct vcpu *sleeper = d->vcpu[1];
    vcpu_stop(sleeper, VCPU_BLOCKED);
    fake_settle();
    fake_advance(10 * SECOND);
    for (unsigned i = 0; i < 100; i++) {
        assert_ptr_equal(cpus[0]->current_vcpu, d->vcpu[0]);
        vcpu_wake(sleeper, VCPU_BLOCKED);
        fake_settle();
        assert_ptr_equal(cpus[0]->current_vcpu, sleeper);
        fake_advance(MILLISECOND / 10);
        vcpu_stop(sleeper, VCPU_BLOCKED);
        fake_settle();
        fake_advance(MILLISECOND);
    }
    ns_t hog = ran(d, 0), other = ran(d, 1);
    vcpu_wake(sleeper, VCPU_BLOCKED); /* now it computes, too */
    fake_settle();
    fake_advance(2 * SECOND);
    assert_near(ran(d, 0) - hog, SECOND);
    assert_near(ran(d, 1) - other, SECOND);
    fake_destroy(d);
}

/* One that comes to wait and displaces nobody makes no pass, but the slice has an end then. When nobody waits
 * any more, the timer fires once more at most. */
static void test_quiet_wake_up(void **state)
{
    (void)state;
    struct domain *d = hogs(2, SCHED_DEFAULT_WEIGHT);
    struct run_queue *rq = &cpus[0]->run_queue;
    fake_advance(SECOND);
    struct vcpu *v = cpus[0]->current_vcpu, *other = d->vcpu[v == d->vcpu[0]];
    while (cpus[0]->current_vcpu == v)
        fake_advance(MILLISECOND); /* v has had its slice now */

    vcpu_stop(v, VCPU_PAUSED);
    softirq_raise_on(cpus[0], SOFTIRQ_SCHEDULE);
    fake_settle();
    assert_true(rq->slice_due == NS_NEVER);
    vcpu_wake(v, VCPU_PAUSED);
    assert_int_equal(cpus[0]->pending, 0);
    assert_true(rq->slice_due == fake_now + 10 * MILLISECOND);
    fake_settle();
    assert_ptr_equal(cpus[0]->current_vcpu, other);
    fake_advance(20 * MILLISECOND);
    assert_ptr_equal(cpus[0]->current_vcpu, v);

    vcpu_stop(other, VCPU_PAUSED);
    fake_settle();
    fake_advance(20 * MILLISECOND);
    assert_true(timer_expiry(&rq->slice) == NS_NEVER);
    fake_destroy(d);
}

static void assert_in_order(const struct run_queue *rq)
{
    uint32_t count = 0;
    for (const struct list *item = rq->ready.next; item != &rq->ready; item = item->next, count++) {
        const struct vcpu *v = list_entry(item, struct vcpu, ready_link);
        const struct vcpu *next = list_entry(item->next, struct vcpu, ready_link);
        assert_ptr_equal(item->next->prev, item);
        if (item->next != &rq->ready)
            assert_true(v->urgent > next->urgent || (int64_t)(v->vtime - next->vtime) <= 0);
    }
    assert_int_equal(count, rq->count);
}

/* A vCPU that spins, again and again, lets the one run that it waits for, though that has had much more of
 * the CPU. */
static void test_spinning(void **state)
{
    (void)state;
    struct domain *d = hogs(4, SCHED_DEFAULT_WEIGHT), *other = hogs(1, SCHED_DEFAULT_WEIGHT);
    struct vcpu *holder = d->vcpu[3];
    fake_advance(SECOND);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 3; i++)
            vcpu_stop(d->vcpu[i], VCPU_PAUSED);
        vcpu_stop(other->vcpu[0], VCPU_PAUSED);
        fake_settle();
        fake_advance(4 * MILLISECOND); /* of the holder's alone */
        for (unsigned i = 0; i < 3; i++)
            vcpu_wake(d->vcpu[i], VCPU_PAUSED);
        vcpu_wake(other->vcpu[0], VCPU_PAUSED);
        for (unsigned i = 0; i < 3; i++)
            d->vcpu[i]->urgent = false;
        fake_settle();
        unsigned spins = 0;
        if (cpus[0]->current_vcpu == holder)
            vcpu_yield_current();
        fake_settle();
        for (; cpus[0]->current_vcpu != holder && spins < 100; spins++) {
            struct vcpu *v = cpus[0]->current_vcpu;
            uint64_t before = 0, after = 0;
            for (unsigned i = 0; i < 4; i++)
                before += d->vcpu[i]->vtime;
            fake_cpu(0);
            vcpu_yield_to_siblings();
            assert_in_order(&cpus[0]->run_queue);
            for (unsigned i = 0; i < 4; i++)
                after += d->vcpu[i]->vtime;
            assert_in_range(after - before, 0, 2000); /* what it is charged for */
            fake_settle();
            assert_ptr_not_equal(cpus[0]->current_vcpu, v);
            fake_advance(2000);
        }
        assert_in_range(spins, 0, 8); /* three siblings, and the other domain in between */
    }
    fake_destroy(d);
    fake_destroy(other);
}

/* Nobody waits while a CPU idles, wherever the vCPUs came from. */
static void test_idle_cpus_take_work(void **state)
{
    (void)state;
    struct domain *d = hogs(CPUS, SCHED_DEFAULT_WEIGHT);
    assert_ptr_equal(cpus[1]->current_vcpu, cpus[1]->idle);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(sched_set_affinity(d->vcpu[i], ~0ull), 0);
    /* They learn of it when they are placed anew: one at its slice's end, the others when CPUs come to steal.
     */
    fake_advance(100 * MILLISECOND);
    for (unsigned i = 0; i < CPUS; i++)
        assert_ptr_not_equal(cpus[i]->current_vcpu, cpus[i]->idle);
    fake_destroy(d);
}

static void test_affinity(void **state)
{
    (void)state;
    struct domain *d = fake_domain(1, false);
    struct vcpu *v = d->vcpu[0];
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(sched_set_affinity(v, 1ull << i), 0);
        fake_settle();
        assert_ptr_equal(cpus[i]->current_vcpu, v);
    }
    assert_int_equal(sched_set_affinity(v, 1ull << 40), -XEN_EINVAL);
    assert_int_equal(sched_pin(v, 1), 0);
    fake_settle();
    assert_ptr_equal(cpus[1]->current_vcpu, v);
    assert_int_equal(sched_pin(v, 2), -XEN_EBUSY);
    assert_int_equal(sched_unpin(v), 0);
    assert_int_equal(sched_unpin(v), -XEN_EINVAL);
    fake_settle();
    assert_ptr_equal(cpus[CPUS - 1]->current_vcpu, v);
    fake_destroy(d);
}

static void test_runstates_add_up(void **state)
{
    (void)state;
    struct domain *d = hogs(2, SCHED_DEFAULT_WEIGHT);
    struct vcpu_runstate_info before, after;
    runstate_get(d->vcpu[0], &before);
    ns_t start = fake_now;
    fake_advance(SECOND);
    vcpu_stop(d->vcpu[0], VCPU_BLOCKED);
    fake_settle();
    fake_advance(SECOND);
    domain_pause(d);
    vcpu_wake(d->vcpu[0], VCPU_BLOCKED);
    fake_settle();
    fake_advance(SECOND);
    runstate_get(d->vcpu[0], &after);
    ns_t sum = 0;
    for (unsigned i = 0; i < 4; i++)
        sum += after.time[i] - before.time[i];
    assert_int_equal(sum, fake_now - start);
    assert_near(after.time[RUNSTATE_running] - before.time[RUNSTATE_running], SECOND / 2);
    assert_near(after.time[RUNSTATE_runnable] - before.time[RUNSTATE_runnable], SECOND / 2);
    assert_near(after.time[RUNSTATE_blocked] - before.time[RUNSTATE_blocked], SECOND);
    assert_near(after.time[RUNSTATE_offline] - before.time[RUNSTATE_offline], SECOND);
    domain_unpause(d);
    fake_destroy(d);
}

static void test_idle_time_is_counted(void **state)
{
    (void)state;
    struct vcpu *idle = cpus[0]->idle;
    ns_t before = vcpu_cpu_time(idle);
    fake_advance(SECOND);
    assert_near(vcpu_cpu_time(idle) - before, SECOND);

    struct domain *d = hogs(1, SCHED_DEFAULT_WEIGHT);
    before = vcpu_cpu_time(idle);
    fake_advance(SECOND);
    assert_true(vcpu_cpu_time(idle) - before < 30 * MILLISECOND);
    fake_destroy(d);
}

static void test_idle_machine_is_silent(void **state)
{
    (void)state;
    struct domain *d = hogs(1, SCHED_DEFAULT_WEIGHT);
    fake_advance(SECOND);
    unsigned before = fake_programs;
    fake_advance(100 * SECOND); /* one that computes alone needs no slices */
    assert_int_equal(fake_programs, before);
    fake_destroy(d);
    fake_advance(SECOND);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(fake_programmed[i], NS_NEVER);
}

/* --- a thread per CPU ----------------------------------------------------------------------------------- */

#define RINGS 3
#define VCPUS 5
#define HOPS  100000

static struct domain *ring_domain;
static evtchn_port_t ring_port[RINGS][VCPUS];
static unsigned hops[RINGS];
static unsigned on_cpu[VCPUS]; /* who runs it: CPU + 1 */
static bool all_done;

static uint32_t chance(void)
{
    static __thread uint32_t seed;
    seed = seed * 1103515245 + 12345 + this_cpu()->id;
    return seed >> 16;
}

/* What the guest's kernel does: takes its events and hands each token on. True: there was one. */
static bool take_events(struct vcpu *v)
{
    bool any = false;
    if (!__atomic_exchange_n(&v->info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return false;
    __atomic_exchange_n(&v->info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (unsigned r = 0; r < RINGS; r++) {
        uint64_t bit = 1ull << ring_port[r][v->id];
        if (!(__atomic_fetch_and(&ring_domain->shared_info->evtchn_pending[0], ~bit, __ATOMIC_SEQ_CST) & bit))
            continue;
        any = true;
        if (__atomic_add_fetch(&hops[r], 1, __ATOMIC_SEQ_CST) < HOPS)
            assert_int_equal(evtchn_send(ring_domain, ring_port[r][(v->id + 1 + r) % VCPUS]), 0);
    }
    return any;
}

/* Idle CPUs play toolstack. Nothing here may wake a vCPU that waits for an event. */
static void disturb(void)
{
    struct vcpu *v = ring_domain->vcpu[chance() % VCPUS];
    switch (chance() % 64) {
    case 0:
        domain_pause(ring_domain);
        domain_unpause(ring_domain);
        break;
    case 1:
        vcpu_pause(v);
        vcpu_unpause(v);
        break;
    case 2:
        sched_set_affinity(v, chance());
        break;
    default:
        cpu_relax();
    }
}

static bool run_for_a_while(struct vcpu *v)
{
    ns_t now = __atomic_add_fetch(&fake_now, 20000, __ATOMIC_SEQ_CST);
    if (fake_programmed[this_cpu()->id] <= now) {
        fake_programmed[this_cpu()->id] = NS_NEVER;
        softirq_raise(SOFTIRQ_TIMER);
    }
    if (__atomic_load_n(&all_done, __ATOMIC_SEQ_CST))
        return false;
    if (vcpu_is_idle(v)) {
        disturb();
        return true;
    }
    /* On one CPU at a time, whatever happens around it. */
    unsigned nobody = 0;
    assert_true(__atomic_compare_exchange_n(&on_cpu[v->id], &nobody, this_cpu()->id + 1, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    if (!take_events(v) && chance() % 4) {
        if (chance() % 8)
            vcpu_block_current();
        else if (chance() % 2)
            vcpu_yield_current();
        else
            vcpu_yield_to_siblings();
    }
    __atomic_store_n(&on_cpu[v->id], 0, __ATOMIC_SEQ_CST);
    return true;
}

static void *one_cpu(void *id)
{
    fake_pass((unsigned)(uintptr_t)id);
    return NULL;
}

static bool rings_done(void)
{
    for (unsigned r = 0; r < RINGS; r++)
        if (__atomic_load_n(&hops[r], __ATOMIC_SEQ_CST) < HOPS)
            return false;
    return true;
}

/* A token goes around in each ring: one lost wake-up and it stands still for ever. */
static void test_no_wake_up_is_lost(void **state)
{
    (void)state;
    pthread_t thread[CPUS];
    ring_domain = fake_domain(VCPUS, false);
    for (unsigned r = 0; r < RINGS; r++)
        for (unsigned i = 0; i < VCPUS; i++)
            ring_port[r][i] = (evtchn_port_t)evtchn_bind_ipi(ring_domain, i);
    for (unsigned r = 0; r < RINGS; r++)
        evtchn_send(ring_domain, ring_port[r][0]);

    fake_run = run_for_a_while;
    for (uintptr_t i = 0; i < CPUS; i++)
        pthread_create(&thread[i], NULL, one_cpu, (void *)i);
    for (time_t end = time(NULL) + 60; !rings_done() && time(NULL) < end;)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    bool done = rings_done();
    __atomic_store_n(&all_done, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    fake_run = NULL;
    fake_cpu(0);
    if (!done)
        fail_msg("tokens stopped after %u, %u, %u hops", hops[0], hops[1], hops[2]);
    fake_settle();
    fake_destroy(ring_domain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equal_shares, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wake_up_latency, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quiet_wake_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spinning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_cpus_take_work, setup, teardown),
        cmocka_unit_test_setup_teardown(test_affinity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runstates_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_time_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_machine_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_wake_up_is_lost, setup, teardown),
    };
    fake_boot(CPUS);
    first = fake_domain(1, true);
    vcpu_stop(first->vcpu[0], VCPU_BLOCKED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
