/*
 * Grace periods. One is under way at a time: its number goes up, every CPU is asked to come through
 * cpu_loop(), and the last one to do so runs what was deferred before it began. What is deferred meanwhile
 * waits for the next.
 *
 * No locks: `incoming` is a stack pushed by compare-and-swap, `underway` makes one CPU the starter, and only
 * the CPU that brings `remaining` to zero touches `batch`.
 */
#include <hv/cpu.h>
#include <hv/rcu.h>

static struct rcu_head *incoming; /* waits for the next grace period */
static struct rcu_head *batch;    /* waits for the one under way */
static bool underway;
static uint64_t grace_period;
static unsigned remaining; /* CPUs that have not yet passed through it */

/* Starts a grace period if something waits for one and none is under way. */
static void start(void)
{
    while (__atomic_load_n(&incoming, __ATOMIC_SEQ_CST) &&
           !__atomic_exchange_n(&underway, true, __ATOMIC_SEQ_CST)) {
        batch = __atomic_exchange_n(&incoming, NULL, __ATOMIC_ACQ_REL);
        if (batch) {
            remaining = cpu_count;
            __atomic_fetch_add(&grace_period, 1, __ATOMIC_SEQ_CST);
            for (unsigned i = 0; i < cpu_count; i++)
                softirq_raise_on(cpus[i], SOFTIRQ_RCU);
            return;
        }
        __atomic_store_n(&underway, false, __ATOMIC_SEQ_CST);
    }
}

void rcu_defer(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
    head->fn = fn;
    head->next = __atomic_load_n(&incoming, __ATOMIC_RELAXED);
    while (
        !__atomic_compare_exchange_n(&incoming, &head->next, head, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
    start();
}

void rcu_quiescent(void)
{
    struct cpu *cpu = this_cpu();
    uint64_t now = __atomic_load_n(&grace_period, __ATOMIC_ACQUIRE);
    if (likely(cpu->rcu_seen == now))
        return;
    cpu->rcu_seen = now;
    if (__atomic_sub_fetch(&remaining, 1, __ATOMIC_ACQ_REL))
        return;

    struct rcu_head *head = batch;
    __atomic_store_n(&underway, false, __ATOMIC_SEQ_CST);
    start();
    while (head) {
        struct rcu_head *next = head->next; /* fn frees it */
        head->fn(head);
        head = next;
    }
}

void rcu_cpu_init(struct cpu *cpu)
{
    cpu->rcu_seen = grace_period;
}
