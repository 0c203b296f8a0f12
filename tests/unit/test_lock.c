/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c */
/* cflags: -pthread */
/* Locks: exclusion between real threads, and the panics of a debug build. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/lock.h>
#include "fake/fake.h"

#define THREADS 4
#define ROUNDS  20000

static spinlock_t low = SPINLOCK_INIT(LOCK_DOMAIN), high = SPINLOCK_INIT(LOCK_SCHED),
                  twin = SPINLOCK_INIT(LOCK_DOMAIN);
static unsigned counter;

static void *count(void *cpu)
{
    fake_cpu((unsigned)(uintptr_t)cpu);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 8 == 0 && spin_trylock(&high)) {
            counter++;
        } else {
            spin_lock(&high);
            counter++;
        }
        spin_unlock(&high);
    }
    return NULL;
}

static void test_exclusion(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, count, (void *)i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(counter, THREADS * ROUNDS);
}

static void test_order(void **state)
{
    (void)state;
    spin_lock(&low);
    spin_lock(&high);
    spin_unlock(&high);
    spin_unlock(&low);

    spin_lock(&high);
    EXPECT_PANIC(spin_lock(&low));
    EXPECT_PANIC(spin_lock(&high));
    spin_unlock(&high);
    spin_lock(&low);
    EXPECT_PANIC(spin_lock(&twin)); /* of one level only as a pair */
    spin_unlock(&low);
}

static void test_try_ignores_order(void **state)
{
    (void)state;
    spin_lock(&high);
    assert_true(spin_trylock(&low));
    assert_false(spin_trylock(&low));
    spin_unlock(&low);
    spin_unlock(&high);
    assert_int_equal(this_cpu()->locks_held, 0);
}

static void test_holder(void **state)
{
    (void)state;
    EXPECT_PANIC(spin_unlock(&low));
    EXPECT_PANIC(assert_locked(&low));
    spin_lock(&low);
    assert_locked(&low);
    fake_cpu(1);
    EXPECT_PANIC(spin_unlock(&low));
    fake_cpu(0);
    spin_unlock(&low);
}

static void test_pair(void **state)
{
    (void)state;
    spin_lock_pair(&twin, &low);
    assert_locked(&twin);
    assert_locked(&low);
    spin_unlock_pair(&low, &twin);
    spin_lock_pair(&low, &low);
    assert_locked(&low);
    spin_unlock_pair(&low, &low);
    assert_int_equal(this_cpu()->locks_held, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exclusion),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_try_ignores_order),
        cmocka_unit_test(test_holder),
        cmocka_unit_test(test_pair),
    };
    fake_boot(THREADS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
