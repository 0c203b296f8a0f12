/*
 * Progress, for tests of the scheduler: says how far it got by each quarter of a second of the hypervisor's
 * clock, which all domains share, and ends.
 *
 * Words: for=SECONDS after its start (5). storm: progress is hypercalls; otherwise it is computing, without
 * any exit of its own, and with closed: with interrupts off. sleep: it sleeps for some milliseconds and works
 * a little, over and over, and says how late it woke.
 */
#include "check.h"

#define STEP (SECOND / 4)
#define MOST 400
#define NAPS 2000

static uint64_t marks[MOST];
static uint32_t late[NAPS]; /* in microseconds */

/* Some 10,000 instructions. */
static void compute(void)
{
    for (unsigned i = 0; i < 5000; i++)
        asm volatile("" : : "r"(i));
}

static void storm(void)
{
    for (unsigned i = 0; i < 10; i++)
        hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

static void progress(void (*work)(void), uint64_t end)
{
    uint64_t now = pvh_time_ns(), first = now / STEP + 1, next = first * STEP, done = 0;
    unsigned count = 0;
    while (now < end && count < MOST) {
        work();
        done++;
        for (now = pvh_time_ns(); now >= next && count < MOST; next += STEP)
            marks[count++] = done;
    }
    pvh_printf("progress from %lu:", first);
    for (unsigned i = 0; i < count; i++)
        pvh_printf(" %lu", marks[i]);
    pvh_printf(" end\n");
}

/* The element that this percentage of all are not above; the list is sorted on the way. */
static uint32_t percentile(unsigned count, unsigned percent)
{
    for (unsigned i = 1; i < count; i++) {
        uint32_t value = late[i];
        unsigned at = i;
        for (; at && late[at - 1] > value; at--)
            late[at] = late[at - 1];
        late[at] = value;
    }
    return late[(count - 1) * percent / 100];
}

static void nap(uint64_t end)
{
    uint64_t seed = 88172645463325252ull, now;
    unsigned count = 0;
    while ((now = pvh_time_ns()) < end && count < NAPS) {
        uint64_t until = now + MILLISECOND + random_next(&seed) % (9 * MILLISECOND);
        struct sched_poll poll = {.nr_ports = 0, .timeout = until};
        OP(sched_op, SCHEDOP_poll, &poll);
        now = pvh_time_ns();
        if (now >= until) /* not by an event of the console's */
            late[count++] = (uint32_t)((now - until) / 1000);
        while (pvh_time_ns() < now + random_next(&seed) % (MILLISECOND / 4))
            compute();
    }
    uint32_t most = percentile(count, 99);
    pvh_printf("late %u us of %u naps, at most %u end\n", most, count, percentile(count, 100));
}

int main(void)
{
    char word[8];
    EXPECT_EQ(event_init(), 0);
    uint64_t end = pvh_time_ns() + option_number("for", 5) * SECOND;
    if (!pvh_option("closed", word, sizeof word))
        interrupts_on();
    if (pvh_option("sleep", word, sizeof word))
        nap(end);
    else
        progress(pvh_option("storm", word, sizeof word) ? storm : compute, end);
    return verdict("spin");
}
