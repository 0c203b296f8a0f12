/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c */
/* cflags: -pthread */
/* Timers: order, moving, stopping, hardware left alone, room, and killing one that is firing. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/timer.h>
#include "fake/fake.h"

#define MANY 1000

static struct timer timers[MANY];
static ns_t fired[MANY];
static unsigned fire_count;

static void note(struct timer *timer, void *arg)
{
    ns_t *when = arg;
    assert_ptr_equal(timer, &timers[when - fired]);
    assert_true(timer->expires <= fake_now);
    *when = fake_now;
    fire_count++;
}

static int setup(void **state)
{
    (void)state;
    fire_count = 0;
    for (unsigned i = 0; i < MANY; i++) {
        fired[i] = 0;
        timer_init(&timers[i], note, &fired[i]);
        assert_int_equal(timer_reserve(), 0);
    }
    fake_cpu(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        timer_kill(&timers[i]);
        timer_release();
    }
    return 0;
}

/* Set in any order on any CPU, some moved and some stopped: each of the rest fires once, at its time. */
static void test_random(void **state)
{
    (void)state;
    ns_t start = fake_now, when[MANY];
    srand(1);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < MANY; i++) {
            fake_cpu((unsigned)rand() % cpu_count);
            when[i] = start + 1 + (ns_t)(rand() % 5000);
            timer_set(&timers[i], when[i]);
            if (rand() % 4 == 0) {
                timer_stop(&timers[i]);
                assert_int_equal(timer_expiry(&timers[i]), NS_NEVER);
                when[i] = 0;
            } else {
                assert_int_equal(timer_expiry(&timers[i]), when[i]);
            }
        }
    fake_advance(6000);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(fired[i], when[i]);
    for (unsigned i = 0; i < cpu_count; i++)
        assert_int_equal(cpus[i]->timers.count, 0);
}

static void test_past_fires_at_once(void **state)
{
    (void)state;
    timer_set(&timers[0], fake_now - 5);
    fake_advance(0);
    assert_int_equal(fired[0], fake_now);
}

static void test_hardware_is_programmed_lazily(void **state)
{
    (void)state;
    fake_advance(SECOND); /* whatever was left programmed has fired */
    unsigned before = fake_programs;
    timer_set(&timers[0], fake_now + 100);
    assert_int_equal(fake_programs, before + 1);
    timer_set(&timers[1], fake_now + 200);
    timer_set(&timers[0], fake_now + 300);
    timer_stop(&timers[0]);
    timer_stop(&timers[1]);
    assert_int_equal(fake_programs, before + 1);
    fake_advance(1000); /* one interrupt that finds nothing, and then silence */
    assert_int_equal(fake_programmed[0], NS_NEVER);
    assert_int_equal(fire_count, 0);
}

/* An interrupt that comes too early must not leave the timer without another one. */
static void test_early_interrupt(void **state)
{
    (void)state;
    timer_set(&timers[0], fake_now + 100);
    fake_programmed[0] = NS_NEVER;
    fake_now += 99;
    softirq_raise(SOFTIRQ_TIMER);
    fake_settle();
    assert_int_equal(fire_count, 0);
    fake_advance(1);
    assert_int_equal(fire_count, 1);
}

static void again(struct timer *timer, void *arg)
{
    (void)arg;
    fire_count++;
    timer_set(timer, fake_now); /* for ever in the past */
}

static void test_endless_rearming_is_bounded(void **state)
{
    (void)state;
    timer_init(&timers[0], again, NULL);
    timer_set(&timers[0], fake_now);
    softirq_raise(SOFTIRQ_TIMER);
    fake_pass(0);
    assert_true(fire_count <= 2);
    timer_kill(&timers[0]);
}

/* --- killing a timer while it fires, with real threads -------------------------------------------------- */

#define KILLS 300

static unsigned turn; /* odd: CPU 1 arms the timer and lets it fire; even: CPU 0 kills it */
static bool alive;
static unsigned after_death;

static void fight_back(struct timer *timer, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 50; i++)
        if (!__atomic_load_n(&alive, __ATOMIC_SEQ_CST))
            after_death++;
    if (after_death == 0)
        timer_set(timer, fake_now);
}

static void *fire_endlessly(void *arg)
{
    (void)arg;
    fake_cpu(1);
    for (unsigned seen = 0; seen < 2 * KILLS;) {
        unsigned now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST);
        if (now != seen && now % 2)
            timer_set(&timers[0], fake_now);
        seen = now;
        timer_softirq();
    }
    return NULL;
}

static void test_kill_waits(void **state)
{
    (void)state;
    pthread_t thread;
    timer_init(&timers[0], fight_back, NULL);
    pthread_create(&thread, NULL, fire_endlessly, NULL);
    for (unsigned i = 0; i < KILLS; i++) {
        alive = true;
        __atomic_fetch_add(&turn, 1, __ATOMIC_SEQ_CST);
        while (!READ_ONCE(timers[0].cpu))
            cpu_relax();
        timer_kill(&timers[0]);
        __atomic_store_n(&alive, false, __ATOMIC_SEQ_CST);
        cpu_relax();
        __atomic_fetch_add(&turn, 1, __ATOMIC_SEQ_CST);
    }
    pthread_join(thread, NULL);
    assert_int_equal(after_death, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_past_fires_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hardware_is_programmed_lazily, setup, teardown),
        cmocka_unit_test_setup_teardown(test_early_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endless_rearming_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_waits, setup, teardown),
    };
    fake_boot(4);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
