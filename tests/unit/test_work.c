/* sources: drivers/io/work.c */
/* Work takes turns: everything that is due once a round, others between rounds, and nothing before its time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dom0/below.h>
#include <dom0/thread.h>
#include <drivers/work.h>

static void (*serve)(void *arg);
static jmp_buf sleeps;
static uint64_t now, until;
static unsigned yields, runs[3];
static struct work work[3];

struct thread *thread_create(void (*fn)(void *arg), void *arg)
{
    (void)arg;
    serve = fn;
    return (struct thread *)&serve;
}

uint64_t time_ns(void)
{
    return now;
}

/* Others run, and time goes by. */
void thread_yield(void)
{
    yields++;
    now += 10;
}

void signal_set(struct signal *signal)
{
    signal->set = true;
}

bool signal_wait(struct signal *signal, uint64_t deadline)
{
    if (signal->set) {
        signal->set = false;
        return true;
    }
    until = deadline;
    longjmp(sleeps, 1);
}

/* Lets the thread run until it sleeps. */
static void turn(void)
{
    if (!setjmp(sleeps))
        serve(NULL);
}

static void count(struct work *w)
{
    runs[w - work]++;
}

/* Has something left over four times. */
static void again(struct work *w)
{
    count(w);
    if (runs[w - work] < 5)
        work_later(w);
}

static int fresh(void **state)
{
    (void)state;
    now = 1000;
    yields = 0;
    for (unsigned i = 0; i < 3; i++) {
        work_cancel(&work[i]);
        work[i] = (struct work){.run = count};
        runs[i] = 0;
    }
    return 0;
}

static void work_waits_for_its_time(void **state)
{
    (void)state;
    work_at(&work[0], 5000);
    work_at(&work[1], 3000);
    turn();
    assert_int_equal(runs[0] + runs[1], 0);
    assert_int_equal(until, 3000);
    now = 3000;
    turn();
    assert_int_equal(runs[0], 0);
    assert_int_equal(runs[1], 1);
    assert_int_equal(until, 5000);
    /* Earlier is possible, later is not. */
    work_at(&work[0], 6000);
    work_at(&work[0], 4000);
    now = 4000;
    turn();
    assert_int_equal(runs[0], 1);
    assert_true(until == FOREVER);
}

static void others_have_their_turn(void **state)
{
    (void)state;
    work[0].run = again;
    work[1].run = again;
    work_later(&work[0]);
    work_later(&work[1]);
    now += 10;
    turn();
    assert_int_equal(runs[0], 5);
    assert_int_equal(runs[1], 5);
    assert_int_equal(yields, 5);
}

static void cancelled_work_is_not_done(void **state)
{
    (void)state;
    work_later(&work[0]);
    work_later(&work[2]);
    work_cancel(&work[0]);
    work_cancel(&work[1]);
    now += 10;
    turn();
    assert_int_equal(runs[0], 0);
    assert_int_equal(runs[2], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(work_waits_for_its_time, fresh),
        cmocka_unit_test_setup(others_have_their_turn, fresh),
        cmocka_unit_test_setup(cancelled_work_is_not_done, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
