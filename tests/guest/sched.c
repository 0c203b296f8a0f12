/* sched_op: yield, block, poll, watchdog; what is refused (xen/sched.h). */
#include "check.h"

#define SCHED(command, argument) OP(sched_op, command, argument)

static volatile unsigned ticks;

static void on_timer(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    ticks++;
}

static void set_timer(uint64_t after)
{
    hypercall(__HYPERVISOR_set_timer_op, pvh_time_ns() + after, 0, 0, 0, 0);
}

static void test_block(evtchn_port_t timer)
{
    /* block opens event delivery in vcpu_info, not the processor's flag: the wake-up is what counts. */
    event_mask(timer);
    event_unmask(timer);
    ticks = 0;
    /* Long enough that it does not fire before the block even where the host is busy: with the flag off an
     * event that is pending already wakes nobody, on Xen too. */
    set_timer(100 * MILLISECOND);
    uint64_t start = pvh_time_ns();
    EXPECT_EQ(SCHED(SCHEDOP_block, NULL), 0);
    EXPECT(pvh_time_ns() - start < SECOND);
    while (ticks == 0 && pvh_time_ns() - start < SECOND)
        take_interrupts();
    EXPECT_EQ(ticks, 1);
}

static long poll(evtchn_port_t *ports, unsigned count, uint64_t timeout)
{
    struct sched_poll poll = {.nr_ports = count, .timeout = timeout};
    set_xen_guest_handle(poll.ports, ports);
    return SCHED(SCHEDOP_poll, &poll);
}

static void test_poll(evtchn_port_t timer)
{
    evtchn_port_t quiet = (evtchn_port_t)event_alloc_unbound(DOMID_SELF, DOMID_SELF);
    evtchn_port_t ports[2] = {quiet, timer};
    event_mask(timer);
    event_clear(timer);

    /* By a masked port. */
    set_timer(5 * MILLISECOND);
    uint64_t start = pvh_time_ns();
    EXPECT_EQ(poll(ports, 2, start + 5 * SECOND), 0);
    EXPECT(event_pending(timer));
    EXPECT(pvh_time_ns() - start < 2 * SECOND);
    EXPECT_EQ(poll(ports, 2, 0), 0); /* is pending already: at once */

    /* By the time-out. */
    start = pvh_time_ns();
    EXPECT_EQ(poll(&quiet, 1, start + 5 * MILLISECOND), 0);
    uint64_t waited = pvh_time_ns() - start;
    EXPECT(waited >= 5 * MILLISECOND && waited < 2 * SECOND);

    EXPECT_EQ(poll(ports, 129, start), -XEN_EINVAL);
    EXPECT_EQ(poll(BAD_POINTER, 1, start), -XEN_EFAULT);
    ports[0] = ~0u;
    EXPECT_EQ(poll(ports, 1, start), -XEN_EINVAL);
    event_close(quiet);
    event_clear(timer);
}

static void test_watchdog(void)
{
    struct sched_watchdog dog = {.id = 0, .timeout = 60};
    long id = SCHED(SCHEDOP_watchdog, &dog);
    EXPECT(id == 1);
    dog.id = (uint32_t)id;
    EXPECT_EQ(SCHED(SCHEDOP_watchdog, &dog), 0);
    long second = hypercall(__HYPERVISOR_sched_op, SCHEDOP_watchdog,
                            (uintptr_t) & (struct sched_watchdog){.id = 0, .timeout = 60}, 0, 0, 0);
    EXPECT_EQ(second, 2);
    /* Xen 4.17 returns this one as a 32-bit number. */
    EXPECT_EQ((int)SCHED(SCHEDOP_watchdog, (&(struct sched_watchdog){.id = 0, .timeout = 60})), -XEN_ENOSPC);
    for (uint32_t which = 1; which <= 2; which++)
        EXPECT_EQ(SCHED(SCHEDOP_watchdog, (&(struct sched_watchdog){.id = which, .timeout = 0})), 0);
    EXPECT_EQ(SCHED(SCHEDOP_watchdog, (&(struct sched_watchdog){.id = 1, .timeout = 0})), -XEN_EINVAL);
    EXPECT_EQ(SCHED(SCHEDOP_watchdog, (&(struct sched_watchdog){.id = 99, .timeout = 60})), -XEN_EINVAL);
}

static void test_refusals(void)
{
    EXPECT_EQ(SCHED(SCHEDOP_yield, NULL), 0);
    EXPECT_EQ(SCHED(SCHEDOP_poll, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(SCHED(SCHEDOP_shutdown, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(SCHED(99, NULL), -XEN_ENOSYS);
    struct sched_remote_shutdown remote = {.domain_id = 0x7000, .reason = SHUTDOWN_poweroff};
    EXPECT(SCHED(SCHEDOP_remote_shutdown, &remote) < 0);
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    VCPUOP(VCPUOP_stop_periodic_timer, 0, NULL);
    evtchn_port_t timer = (evtchn_port_t)event_bind_virq(VIRQ_TIMER, 0);
    event_handle(timer, on_timer, NULL);
    test_block(timer);
    test_poll(timer);
    test_watchdog();
    test_refusals();
    return verdict("sched");
}
