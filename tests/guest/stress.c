/*
 * Many vCPUs at once, each waiting in every way there is: tokens go around among them as events; one wake-up
 * that is lost, by the hypervisor's scheduler, its events or its injection, and a token stands still. Then
 * the same with timers and inter-processor interrupts on top, and every timer has to come.
 */
#include <pvh/apic.h>
#include "check.h"

#define RINGS      4
#define HOPS       500
#define TIMER_HOPS 250
#define PATIENCE   (10 * SECOND) /* without any hop: then a token is lost */
#define IPI_VECTOR 0x71
#define MOST_CPUS  16           /* as far as the words with ports 0 .. 1023 go */
#define LATEST     (2 * SECOND) /* for a timer, on a machine that others use too */

static unsigned cpus;
static evtchn_port_t ring_port[RINGS][SMP_MAX_CPUS];
static unsigned hops[RINGS], hops_wanted;
static unsigned ticks[SMP_MAX_CPUS], ipis, alive;
static uint64_t due[SMP_MAX_CPUS], latest;
static bool with_timers, finished;
static uint32_t ids[SMP_MAX_CPUS];

static uint32_t chance(void)
{
    static uint32_t seeds[SMP_MAX_CPUS];
    uint32_t *seed = &seeds[cpu_index()];
    *seed = *seed * 1664525 + 1013904223 + cpu_index();
    return *seed >> 12;
}

static void on_token(evtchn_port_t port, void *arg)
{
    unsigned ring = (unsigned)(uintptr_t)arg;
    (void)port;
    if (__atomic_add_fetch(&hops[ring], 1, __ATOMIC_SEQ_CST) < hops_wanted)
        event_send(ring_port[ring][(cpu_index() + 1 + ring) % cpus]);
}

static void set_timer(void)
{
    unsigned cpu = cpu_index();
    /* Far enough apart for a machine of 50 MHz to do something in between. */
    due[cpu] = pvh_time_ns() + 200000 + chance() % 4000000;
    struct vcpu_set_singleshot_timer set = {.timeout_abs_ns = due[cpu]};
    VCPUOP(VCPUOP_set_singleshot_timer, cpu, &set);
}

static void on_timer(evtchn_port_t port, void *arg)
{
    unsigned cpu = cpu_index();
    uint64_t now = pvh_time_ns(), late = now - due[cpu];
    (void)port, (void)arg;
    if (now < due[cpu] || late > LATEST)
        __atomic_store_n(&latest, late, __ATOMIC_SEQ_CST); /* a negative one is very large */
    __atomic_fetch_add(&ticks[cpu], 1, __ATOMIC_SEQ_CST);
    if (with_timers)
        set_timer();
}

static void on_ipi(struct trap_frame *frame)
{
    (void)frame;
    __atomic_fetch_add(&ipis, 1, __ATOMIC_SEQ_CST);
    apic_eoi();
}

/* Interrupts stay off: the hypervisor has to look at the ports themselves. */
static void poll(void)
{
    evtchn_port_t ports[RINGS];
    for (unsigned r = 0; r < RINGS; r++)
        ports[r] = ring_port[r][cpu_index()];
    struct sched_poll op = {.nr_ports = RINGS, .timeout = pvh_time_ns() + 5 * MILLISECOND};
    set_xen_guest_handle(op.ports, ports);
    OP(sched_op, SCHEDOP_poll, &op);
}

static void wait_somehow(void)
{
    switch (chance() % 8) {
    case 0:
        OP(sched_op, SCHEDOP_yield, NULL);
        break;
    case 1:
        poll();
        break;
    case 2:
        take_interrupts();
        break;
    default:
        wait_for_interrupt();
    }
    if (with_timers && chance() % 16 == 0)
        apic_ipi(ids[chance() % cpus], IPI_VECTOR);
}

static bool stage_over(void)
{
    for (unsigned r = 0; r < RINGS; r++)
        if (__atomic_load_n(&hops[r], __ATOMIC_SEQ_CST) < hops_wanted)
            return false;
    return true;
}

static void other_cpu(void *arg)
{
    (void)arg;
    bool armed = false;
    __atomic_fetch_add(&alive, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&finished, __ATOMIC_SEQ_CST)) {
        if (__atomic_load_n(&with_timers, __ATOMIC_SEQ_CST) && !armed) {
            set_timer(); /* from now on its handler does */
            armed = true;
        }
        wait_somehow();
    }
}

static unsigned all_hops(void)
{
    unsigned sum = 0;
    for (unsigned r = 0; r < RINGS; r++)
        sum += __atomic_load_n(&hops[r], __ATOMIC_SEQ_CST);
    return sum;
}

/* The first CPU takes part without sleeping for long, so that it can tell when nothing moves any more. */
static bool run(unsigned wanted, const char *what)
{
    memset(hops, 0, sizeof(hops));
    __atomic_store_n(&hops_wanted, wanted, __ATOMIC_SEQ_CST);
    for (unsigned r = 0; r < RINGS; r++)
        event_send(ring_port[r][0]);
    uint64_t moved = pvh_time_ns();
    for (unsigned seen = 0; !stage_over() && (all_hops() != seen || pvh_time_ns() < moved + PATIENCE);) {
        if (all_hops() != seen) {
            seen = all_hops();
            moved = pvh_time_ns();
        }
        if (chance() % 2)
            poll();
        else
            take_interrupts(); /* that may take long: each return from a handler lets in the next */
    }
    for (unsigned r = 0; r < RINGS; r++)
        if (hops[r] < wanted)
            pvh_printf("%s: token %u stopped after %u of %u hops\n", what, r, hops[r], wanted);
    return EXPECT(stage_over());
}

static void start_cpus(void)
{
    for (unsigned i = 1; i < cpus; i++)
        EXPECT(smp_start(ids[i], other_cpu, NULL));
    for (uint64_t end = pvh_time_ns() + 5 * SECOND; alive < cpus - 1 && pvh_time_ns() < end;)
        cpu_relax();
    EXPECT_EQ(alive, cpus - 1);
}

/*
 * A vCPU looks at all ports of the words that are selected for it, whoever's they are. So each gets a word of
 * its own: only then does it depend on its own wake-ups. Ports in between stay unused.
 */
static void bind_all(void)
{
    for (unsigned i = 0; i < cpus; i++) {
        for (unsigned r = 0; r < RINGS; r++) {
            long port = event_bind_ipi(i);
            EXPECT(port > 0);
            ring_port[r][i] = (evtchn_port_t)port;
            event_handle(ring_port[r][i], on_token, (void *)(uintptr_t)r);
        }
        long timer = event_bind_virq(VIRQ_TIMER, i);
        EXPECT(timer > 0);
        event_handle((evtchn_port_t)timer, on_timer, NULL);
        while (event_bind_ipi(i) % 64 < 63)
            ;
    }
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    apic_init();
    interrupt_set(IPI_VECTOR, on_ipi);
    cpus = cpu_apic_ids(ids, ARRAY_SIZE(ids));
    if (!EXPECT(cpus >= 1 && cpus < MOST_CPUS))
        return verdict("stress");
    bind_all();
    start_cpus();

    if (run(HOPS, "events")) {
        with_timers = true;
        run(TIMER_HOPS, "events, timers, interrupts");
        for (unsigned i = 1; i < cpus; i++)
            EXPECT(ticks[i] > 0);
        EXPECT_EQ(latest, 0);
    }
    finished = true;
    pvh_printf("%u vCPUs, %u interrupts\n", cpus, ipis);
    return verdict("stress");
}
