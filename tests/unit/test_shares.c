/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c */
/* How the scheduler divides two CPUs, over thousands of slices: weights, caps, latency, placement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <hv/sched.h>
#include <xen/errno.h>
#include "fake/fake.h"

#define CPUS        2
#define MICROSECOND 1000ul
#define MOST        64

static uint64_t frames_before;

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
    fake_advance(SECOND);
    for (unsigned i = 0; i < CPUS; i++) {
        assert_ptr_equal(cpus[i]->current_vcpu, cpus[i]->idle);
        assert_int_equal(fake_programmed[i], NS_NEVER);
    }
    return 0;
}

/* A domain whose vCPUs compute without end on the CPUs of mask. */
static struct domain *hogs(unsigned vcpus, uint32_t weight, uint64_t mask)
{
    struct domain *d = fake_domain(vcpus, false);
    assert_int_equal(sched_set_weight(d, weight), 0);
    for (unsigned i = 0; i < vcpus; i++)
        assert_int_equal(sched_set_affinity(d->vcpu[i], mask), 0);
    fake_settle();
    return d;
}

static ns_t ran(struct domain *d)
{
    ns_t sum = 0;
    for (uint32_t i = 0; i < d->max_vcpus; i++)
        sum += vcpu_cpu_time(d->vcpu[i]);
    return sum;
}

/* Runs the domains for that long and gives what each of them ran meanwhile. */
static void measure(struct domain **d, unsigned count, ns_t time, ns_t *got)
{
    for (unsigned i = 0; i < count; i++)
        got[i] = ran(d[i]);
    fake_advance(time);
    for (unsigned i = 0; i < count; i++)
        got[i] = ran(d[i]) - got[i];
}

#define assert_within(value, wanted, percent)                                                                \
    assert_in_range((value), (wanted) - (wanted) * (percent) / 100, (wanted) + (wanted) * (percent) / 100)

/* One single-vCPU domain for each weight, on the CPUs of mask: shares of what these give. */
static void check_shares(const uint32_t *weight, unsigned count, uint64_t mask, ns_t time, unsigned percent)
{
    struct domain *d[MOST];
    ns_t got[MOST], all = time * (unsigned)__builtin_popcountll(mask);
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++) {
        d[i] = hogs(1, weight[i], mask);
        sum += weight[i];
    }
    fake_advance(SECOND);
    measure(d, count, time, got);
    for (unsigned i = 0; i < count; i++)
        assert_within(got[i], all * weight[i] / sum, percent);
    for (unsigned i = 0; i < count; i++)
        fake_destroy(d[i]);
}

static void test_weights_on_one_cpu(void **state)
{
    (void)state;
    check_shares((uint32_t[]){128, 256, 512}, 3, 1, 10 * SECOND, 3);
    check_shares((uint32_t[]){512, 512, 128, 128, 256}, 5, 2, 10 * SECOND, 3);
}

static void test_weights_on_two_cpus(void **state)
{
    (void)state;
    check_shares((uint32_t[]){128, 256, 512, 128, 256, 512}, 6, 3, 10 * SECOND, 3);
    check_shares((uint32_t[]){512, 512, 512, 256, 128}, 5, 3, 10 * SECOND, 3);
    check_shares((uint32_t[]){256, 256, 256}, 3, 3, 10 * SECOND, 3);
    check_shares((uint32_t[]){100, 200, 300, 400, 500, 600, 700}, 7, 3, 20 * SECOND, 3);
}

/* Only what weights are to one another means anything. */
static void test_extreme_weights(void **state)
{
    (void)state;
    check_shares((uint32_t[]){65535, 65535, 65535}, 3, 3, 20 * SECOND, 3);
    check_shares((uint32_t[]){1, 1, 1, 2, 2}, 5, 3, 60 * SECOND, 3);
}

/* Who is due more than a whole CPU gets just that, gains no claim by it, and the others share the rest. */
static void test_due_more_than_a_cpu(void **state)
{
    (void)state;
    struct domain *d[6] = {hogs(1, 8192, 3)};
    ns_t got[6];
    for (unsigned i = 1; i < 5; i++)
        d[i] = hogs(1, 256, 3);
    fake_advance(SECOND);
    measure(d, 5, 20 * SECOND, got);
    assert_within(got[0], 20 * SECOND, 1);
    for (unsigned i = 1; i < 5; i++)
        assert_within(got[i], 5 * SECOND, 3);
    assert_int_equal(sched_set_weight(d[0], 256), 0);
    fake_advance(SECOND);
    measure(d, 5, 10 * SECOND, got);
    for (unsigned i = 0; i < 5; i++)
        assert_within(got[i], 4 * SECOND, 3);
    for (unsigned i = 0; i < 5; i++)
        fake_destroy(d[i]);
}

/* One that had a CPU to itself for an hour, while others shared, owes nothing for it. */
static void test_the_past_does_not_count(void **state)
{
    (void)state;
    struct domain *d[3] = {hogs(1, 256, 1)};
    ns_t got[3];
    fake_advance(3600 * SECOND);
    d[1] = hogs(1, 256, 2);
    fake_advance(60 * SECOND);
    d[2] = hogs(1, 256, 3);
    assert_int_equal(sched_set_affinity(d[0]->vcpu[0], 3), 0);
    assert_int_equal(sched_set_affinity(d[1]->vcpu[0], 3), 0);
    fake_advance(SECOND);
    measure(d, 3, 6 * SECOND, got);
    for (unsigned i = 0; i < 3; i++)
        assert_within(got[i], 4 * SECOND, 3);
    for (unsigned i = 0; i < 3; i++)
        fake_destroy(d[i]);
}

/* Three that are tied to one CPU take nothing from one that could leave it. */
static void test_crowded_cpu_is_left(void **state)
{
    (void)state;
    struct domain *d[3] = {hogs(3, 256, 1), hogs(1, 256, 2), hogs(1, 256, 1)};
    ns_t got[3];
    assert_int_equal(sched_set_affinity(d[2]->vcpu[0], 3), 0);
    fake_advance(5 * SECOND);
    measure(d, 3, 10 * SECOND, got);
    assert_within(got[0], 10 * SECOND, 3);
    assert_within(got[1], 5 * SECOND, 3);
    assert_within(got[2], 5 * SECOND, 3);
    for (unsigned i = 0; i < 3; i++)
        fake_destroy(d[i]);
}

static void test_many_equal_domains(void **state)
{
    (void)state;
    struct domain *d[MOST];
    ns_t got[MOST], least = NS_NEVER, most = 0;
    for (unsigned i = 0; i < MOST; i++)
        d[i] = hogs(1, 256, 3);
    measure(d, MOST, 10 * SECOND, got);
    for (unsigned i = 0; i < MOST; i++) {
        least = MIN(least, got[i]);
        most = MAX(most, got[i]);
    }
    assert_true(least * 100 >= most * 90);
    for (unsigned i = 0; i < MOST; i++)
        fake_destroy(d[i]);
}

/* --- caps ----------------------------------------------------------------------------------------------- */

static void check_cap(struct domain *d, uint32_t cap, ns_t expected)
{
    ns_t got;
    assert_int_equal(sched_set_cap(d, cap), 0);
    assert_int_equal(sched_get_cap(d), cap);
    fake_settle();
    fake_advance(SECOND / 2);
    measure(&d, 1, 10 * SECOND, &got);
    assert_within(got, expected, 2);
}

static void test_caps(void **state)
{
    (void)state;
    struct domain *one = hogs(1, 256, 3), *four = hogs(4, 256, 3);
    domain_pause(four);
    check_cap(one, 25, 10 * SECOND / 4);
    check_cap(one, 1, SECOND / 10);
    check_cap(one, 99, 99 * SECOND / 10);
    check_cap(one, 100, 10 * SECOND);
    check_cap(one, 0, 10 * SECOND);
    domain_pause(one);
    domain_unpause(four);
    check_cap(four, 25, 10 * SECOND / 4);
    check_cap(four, 150, 15 * SECOND);
    check_cap(four, 400, 20 * SECOND);
    assert_int_equal(sched_set_cap(four, 401), -XEN_EINVAL);
    assert_int_equal(sched_get_cap(four), 400);
    domain_unpause(one);
    check_cap(one, 25, 10 * SECOND / 4);
    check_cap(four, 0, 70 * SECOND / 4);
    fake_destroy(one);
    fake_destroy(four);
}

/* A capped one that waits for its time does not sleep: it would run. Its end while it waits is an end. */
static void test_capped_one_waits(void **state)
{
    (void)state;
    struct domain *d = hogs(1, 256, 3);
    struct vcpu_runstate_info before, after;
    assert_int_equal(sched_set_cap(d, 10), 0);
    fake_settle();
    runstate_get(d->vcpu[0], &before);
    fake_advance(10 * SECOND);
    runstate_get(d->vcpu[0], &after);
    assert_within(after.time[RUNSTATE_running] - before.time[RUNSTATE_running], SECOND, 2);
    assert_within(after.time[RUNSTATE_runnable] - before.time[RUNSTATE_runnable], 9 * SECOND, 2);
    while (cpus[d->vcpu[0]->cpu->id]->current_vcpu == d->vcpu[0])
        fake_advance(MILLISECOND);
    fake_destroy(d);
}

/* A cap that is lifted is lifted at once; a new one does not ask for what was before it. */
static void test_cap_changes(void **state)
{
    (void)state;
    struct domain *d = hogs(1, 256, 3);
    ns_t got;
    fake_advance(100 * SECOND);
    assert_int_equal(sched_set_cap(d, 1), 0);
    fake_settle();
    measure(&d, 1, 10 * SECOND, &got);
    assert_within(got, SECOND / 10, 5);
    assert_int_equal(sched_set_cap(d, 0), 0);
    fake_settle();
    assert_ptr_equal(d->vcpu[0]->cpu->current_vcpu, d->vcpu[0]);
    unsigned before = fake_programs;
    fake_advance(100 * SECOND);
    assert_int_equal(fake_programs, before);
    fake_destroy(d);
}

/* --- latency -------------------------------------------------------------------------------------------- */

static uint32_t chance(void)
{
    static uint32_t seed = 1;
    seed = seed * 1103515245 + 12345;
    return seed >> 16;
}

static bool runs(const struct vcpu *v)
{
    return v->cpu->current_vcpu == v;
}

#define ROUNDS 2000

static int by_value(const void *a, const void *b)
{
    ns_t x = *(const ns_t *)a, y = *(const ns_t *)b;
    return x < y ? -1 : x > y;
}

/* Sleeps for up to 20 ms and works for up to 0.4 ms, over and over, beside those that compute: the 99th
 * percentile of the time from waking to running. */
static ns_t latency(struct vcpu *v)
{
    static ns_t took[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        vcpu_stop(v, VCPU_BLOCKED);
        fake_settle();
        fake_advance(chance() % 20000 * MICROSECOND);
        vcpu_wake(v, VCPU_BLOCKED);
        fake_settle();
        for (took[i] = 0; !runs(v); took[i] += 20 * MICROSECOND)
            fake_advance(20 * MICROSECOND);
        fake_advance(chance() % 400 * MICROSECOND);
    }
    qsort(took, ROUNDS, sizeof(took[0]), by_value);
    return took[ROUNDS * 99 / 100];
}

static void test_wake_up_latency(void **state)
{
    (void)state;
    struct domain *sleeper = hogs(1, 256, 3), *d[16];
    for (unsigned count = 2; count < 16; count += 3) {
        for (unsigned i = 0; i < count; i++)
            d[i] = hogs(1, i % 3 ? 256 : 512, 3);
        fake_advance(SECOND);
        assert_true(latency(sleeper->vcpu[0]) <= MILLISECOND);
        for (unsigned i = 0; i < count; i++)
            fake_destroy(d[i]);
    }
    fake_destroy(sleeper);
}

/* One that wakes whenever it can gets its share, and no more. */
static void test_waking_is_no_profit(void **state)
{
    (void)state;
    struct domain *d[2] = {hogs(1, 256, 1), hogs(1, 256, 1)};
    ns_t got[2];
    fake_advance(SECOND);
    for (unsigned i = 0; i < 2; i++)
        got[i] = ran(d[i]);
    for (unsigned i = 0; i < 50000; i++) {
        fake_advance(80 * MICROSECOND);
        if (runs(d[0]->vcpu[0])) {
            vcpu_stop(d[0]->vcpu[0], VCPU_BLOCKED);
            fake_settle();
            fake_advance(5 * MICROSECOND);
            vcpu_wake(d[0]->vcpu[0], VCPU_BLOCKED);
            fake_settle();
        }
    }
    for (unsigned i = 0; i < 2; i++)
        got[i] = ran(d[i]) - got[i];
    assert_true(got[0] <= (got[0] + got[1]) * 51 / 100);
    fake_destroy(d[0]);
    fake_destroy(d[1]);
}

static void test_ratelimit(void **state)
{
    (void)state;
    struct domain *hog = hogs(1, 256, 1), *sleeper = hogs(1, 256, 1);
    struct vcpu *v = sleeper->vcpu[0];
    assert_int_equal(sched_set_ratelimit(99 * MICROSECOND), -XEN_EINVAL);
    assert_int_equal(sched_set_ratelimit(500001 * MICROSECOND), -XEN_EINVAL);
    assert_int_equal(sched_set_ratelimit(3 * MILLISECOND), 0);
    assert_int_equal(sched_get_ratelimit(), 3 * MILLISECOND);
    vcpu_stop(v, VCPU_BLOCKED);
    fake_settle();
    fake_advance(SECOND);
    for (unsigned i = 0; i < 20; i++) {
        vcpu_wake(v, VCPU_BLOCKED);
        fake_settle();
        assert_true(runs(v)); /* the other has run for long */
        fake_advance(100 * MICROSECOND);
        vcpu_stop(v, VCPU_BLOCKED);
        fake_settle();
        fake_advance(MILLISECOND);
        vcpu_wake(v, VCPU_BLOCKED);
        fake_settle();
        assert_true(runs(hog->vcpu[0]));
        fake_advance(2 * MILLISECOND + 1);
        assert_true(runs(v));
        vcpu_stop(v, VCPU_BLOCKED);
        fake_settle();
        fake_advance(20 * MILLISECOND);
    }
    assert_int_equal(sched_set_ratelimit(0), 0);
    fake_destroy(hog);
    fake_destroy(sleeper);
}

/* --- placement ------------------------------------------------------------------------------------------ */

static void test_pinned_stay(void **state)
{
    (void)state;
    struct domain *d[5] = {hogs(2, 256, 3), hogs(1, 512, 1), hogs(2, 256, 2), hogs(1, 256, 3),
                           hogs(1, 64, 2)};
    for (unsigned i = 0; i < 5000; i++) {
        struct vcpu *v = d[chance() % 5]->vcpu[0];
        vcpu_stop(v, VCPU_BLOCKED);
        fake_settle();
        fake_advance(chance() % 5000 * MICROSECOND);
        vcpu_wake(v, VCPU_BLOCKED);
        fake_settle();
        for (unsigned c = 0; c < CPUS; c++)
            if (!vcpu_is_idle(cpus[c]->current_vcpu))
                assert_true(cpus[c]->current_vcpu->affinity & 1u << c);
    }
    for (unsigned i = 0; i < 5; i++)
        fake_destroy(d[i]);
}

static void test_soft_affinity(void **state)
{
    (void)state;
    struct domain *a = hogs(1, 256, 3), *b = hogs(1, 256, 3);
    assert_int_equal(sched_set_soft_affinity(a->vcpu[0], 2), 0);
    assert_int_equal(sched_set_soft_affinity(b->vcpu[0], 2), 0);
    fake_settle();
    fake_advance(100 * MILLISECOND);
    /* Both would like CPU 1, but none waits while the other CPU idles. */
    assert_true(runs(a->vcpu[0]) && runs(b->vcpu[0]));
    struct vcpu *home = cpus[1]->current_vcpu, *away = cpus[0]->current_vcpu;
    vcpu_stop(home, VCPU_BLOCKED);
    fake_settle();
    assert_ptr_equal(cpus[1]->current_vcpu, away); /* what it prefers is free again */
    vcpu_wake(home, VCPU_BLOCKED);
    fake_settle();
    assert_true(runs(home) && runs(away));
    /* A preference for CPUs that it may not use, or for none, is none. */
    assert_int_equal(sched_set_affinity(home, 1), 0);
    assert_int_equal(sched_set_affinity(away, 1), 0);
    assert_int_equal(sched_set_soft_affinity(away, 0), 0);
    fake_settle();
    fake_advance(50 * MILLISECOND);
    assert_int_equal(home->cpu->id, 0);
    assert_int_equal(away->cpu->id, 0);
    assert_ptr_equal(cpus[1]->current_vcpu, cpus[1]->idle);
    fake_destroy(a);
    fake_destroy(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_weights_on_one_cpu),
        TEST(test_weights_on_two_cpus),
        TEST(test_extreme_weights),
        TEST(test_due_more_than_a_cpu),
        TEST(test_the_past_does_not_count),
        TEST(test_crowded_cpu_is_left),
        TEST(test_many_equal_domains),
        TEST(test_caps),
        TEST(test_capped_one_waits),
        TEST(test_cap_changes),
        TEST(test_wake_up_latency),
        TEST(test_waking_is_no_profit),
        TEST(test_ratelimit),
        TEST(test_pinned_stay),
        TEST(test_soft_affinity),
    };
    fake_boot(CPUS);
    vcpu_stop(fake_domain(1, true)->vcpu[0], VCPU_BLOCKED);
    fake_destroy(fake_domain(MAX_VCPUS, false)); /* timers and heap have what they need from now on */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
