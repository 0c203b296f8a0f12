/*
 * More vCPUs than processors, and ticket locks among them, where whoever is next must run before anybody else
 * can go on. First as Linux does it on Xen: who has spun for a while waits with SCHEDOP_poll for a masked
 * event channel of its own, and who unlocks sends to the next. Then by spinning alone.
 */
#include "check.h"
#include <pvh/apic.h>

#define SPINS       1000 /* before one waits */
#define ROUNDS      400  /* of each vCPU */
#define SPIN_ROUNDS 6    /* each may take as long as the time slices of all others */
#define NOTHING     0ull

struct lock {
    volatile uint64_t next, serving;
};
static struct lock lock = {.next = 1, .serving = 1};
static volatile uint64_t wanted[SMP_MAX_CPUS]; /* the ticket that a vCPU waits for */
static evtchn_port_t port[SMP_MAX_CPUS];
static unsigned cpus;

static volatile unsigned arrived[2], finished[2], inside, passed;
static unsigned polls[SMP_MAX_CPUS];

static uint64_t take(bool may_wait)
{
    unsigned self = cpu_index();
    uint64_t ticket = __atomic_fetch_add(&lock.next, 1, __ATOMIC_SEQ_CST);
    while (lock.serving != ticket) {
        for (unsigned i = 0; i < SPINS && lock.serving != ticket; i++)
            cpu_relax();
        if (!may_wait || lock.serving == ticket)
            continue;
        event_clear(port[self]);
        __atomic_store_n(&wanted[self], ticket, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&lock.serving, __ATOMIC_SEQ_CST) != ticket) {
            struct sched_poll poll = {.nr_ports = 1};
            set_xen_guest_handle(poll.ports, &port[self]);
            EXPECT_EQ(OP(sched_op, SCHEDOP_poll, &poll), 0); /* without end: a lost event shows */
            polls[self]++;
        }
        __atomic_store_n(&wanted[self], NOTHING, __ATOMIC_SEQ_CST);
    }
    return ticket;
}

static void give(uint64_t ticket)
{
    __atomic_store_n(&lock.serving, ticket + 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < cpus; i++)
        if (__atomic_load_n(&wanted[i], __ATOMIC_SEQ_CST) == ticket + 1)
            EXPECT_EQ(event_send(port[i]), 0);
}

static void work(unsigned phase, unsigned rounds)
{
    __atomic_fetch_add(&arrived[phase], 1, __ATOMIC_SEQ_CST);
    while (arrived[phase] < cpus)
        cpu_relax();
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t ticket = take(phase == 0);
        EXPECT_EQ(inside++, 0);
        passed++;
        OP(sched_op, SCHEDOP_yield, NULL); /* the others come, and find it taken */
        inside--;
        give(ticket);
    }
    __atomic_fetch_add(&finished[phase], 1, __ATOMIC_SEQ_CST);
    while (finished[phase] < cpus)
        cpu_relax();
}

static void both(void *arg)
{
    (void)arg;
    work(0, ROUNDS);
    work(1, SPIN_ROUNDS);
}

int main(void)
{
    static uint32_t ids[SMP_MAX_CPUS];
    unsigned waits = 0;
    EXPECT_EQ(event_init(), 0);
    apic_init();
    cpus = cpu_apic_ids(ids, ARRAY_SIZE(ids));
    for (unsigned i = 0; i < cpus; i++) {
        port[i] = (evtchn_port_t)event_bind_ipi(i);
        EXPECT((int)port[i] > 0);
        event_mask(port[i]);
    }
    for (unsigned i = 1; i < cpus; i++)
        EXPECT(smp_start(ids[i], both, NULL));
    both(NULL);
    EXPECT_EQ(passed, cpus * (ROUNDS + SPIN_ROUNDS));
    for (unsigned i = 0; i < cpus; i++) {
        EXPECT(cpus < 3 || polls[i] > 0);
        waits += polls[i];
    }
    pvh_printf("%u vCPUs, %u of %u turns waited for\n", cpus, waits, cpus * ROUNDS);
    return verdict("lock");
}
