/* vcpu_op: vcpu_info, run state, timers, time area (xen/vcpu.h). */
#include "check.h"

static volatile unsigned ticks;
static volatile uint64_t last_tick;

static void on_timer(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    ticks++;
    last_tick = pvh_time_ns();
}

/* Halts until the timer came count times, at most limit nanoseconds. */
static void wait_ticks(unsigned count, uint64_t limit)
{
    uint64_t end = pvh_time_ns() + limit;
    while (ticks < count && pvh_time_ns() < end) {
        take_interrupts();
    }
}

static void test_singleshot(void)
{
    struct vcpu_set_singleshot_timer timer = {.timeout_abs_ns = pvh_time_ns() + 5 * MILLISECOND};
    ticks = 0;
    EXPECT_EQ(VCPUOP(VCPUOP_set_singleshot_timer, 0, &timer), 0);
    while (ticks == 0 && pvh_time_ns() < timer.timeout_abs_ns + SECOND)
        wait_for_interrupt(); /* asleep: the timer must wake us */
    EXPECT_EQ(ticks, 1);
    EXPECT(last_tick >= timer.timeout_abs_ns);

    timer.timeout_abs_ns = pvh_time_ns() + 5 * MILLISECOND;
    ticks = 0;
    EXPECT_EQ(VCPUOP(VCPUOP_set_singleshot_timer, 0, &timer), 0);
    EXPECT_EQ(VCPUOP(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
    wait_ticks(1, 10 * MILLISECOND);
    EXPECT_EQ(ticks, 0);

    /* One that is over is due at once; with the flag that is an error. */
    timer.timeout_abs_ns = 1;
    EXPECT_EQ(VCPUOP(VCPUOP_set_singleshot_timer, 0, &timer), 0);
    wait_ticks(1, SECOND);
    EXPECT_EQ(ticks, 1);
    timer.flags = VCPU_SSHOTTMR_future;
    EXPECT_EQ(VCPUOP(VCPUOP_set_singleshot_timer, 0, &timer), 0);
}

static void test_periodic(void)
{
    struct vcpu_set_periodic_timer timer = {.period_ns = 5 * MILLISECOND};
    ticks = 0;
    uint64_t start = pvh_time_ns();
    EXPECT_EQ(VCPUOP(VCPUOP_set_periodic_timer, 0, &timer), 0);
    wait_ticks(4, SECOND);
    EXPECT(ticks >= 4 && pvh_time_ns() - start >= 3 * timer.period_ns);
    EXPECT_EQ(VCPUOP(VCPUOP_stop_periodic_timer, 0, NULL), 0);
    wait_ticks(ticks + 1, 2 * MILLISECOND); /* what was on its way */
    ticks = 0;
    wait_ticks(1, 20 * MILLISECOND);
    EXPECT_EQ(ticks, 0);
    timer.period_ns = 10; /* too short to be meant */
    EXPECT_EQ(VCPUOP(VCPUOP_set_periodic_timer, 0, &timer), -XEN_EINVAL);
}

static void test_set_timer_op(void)
{
    ticks = 0;
    uint64_t when = pvh_time_ns() + 5 * MILLISECOND;
    EXPECT_EQ(hypercall(__HYPERVISOR_set_timer_op, when, 0, 0, 0, 0), 0);
    wait_ticks(1, SECOND);
    EXPECT_EQ(ticks, 1);
    EXPECT(last_tick >= when);
    ticks = 0;
    EXPECT_EQ(hypercall(__HYPERVISOR_set_timer_op, pvh_time_ns() + 5 * MILLISECOND, 0, 0, 0, 0), 0);
    EXPECT_EQ(hypercall(__HYPERVISOR_set_timer_op, 0, 0, 0, 0, 0), 0); /* off */
    wait_ticks(1, 10 * MILLISECOND);
    EXPECT_EQ(ticks, 0);
}

static void test_runstate(void)
{
    static volatile struct vcpu_runstate_info area;
    struct vcpu_register_runstate_memory_area where;
    where.addr.p = (uintptr_t)&area;
    EXPECT_EQ(VCPUOP(VCPUOP_register_runstate_memory_area, 0, &where), 0);
    EXPECT_EQ(area.state, RUNSTATE_running);
    EXPECT(area.state_entry_time <= pvh_time_ns());

    struct vcpu_runstate_info now;
    EXPECT_EQ(VCPUOP(VCPUOP_get_runstate_info, 0, &now), 0);
    EXPECT_EQ(now.state, RUNSTATE_running);
    EXPECT(now.time[RUNSTATE_running] > 0);

    uint64_t blocked = area.time[RUNSTATE_blocked];
    struct vcpu_set_singleshot_timer timer = {.timeout_abs_ns = pvh_time_ns() + 10 * MILLISECOND};
    ticks = 0;
    EXPECT_EQ(VCPUOP(VCPUOP_set_singleshot_timer, 0, &timer), 0);
    while (ticks == 0 && pvh_time_ns() < timer.timeout_abs_ns + SECOND)
        wait_for_interrupt();
    EXPECT(area.time[RUNSTATE_blocked] >= blocked + 5 * MILLISECOND);
    EXPECT_EQ(area.state, RUNSTATE_running);
    uint64_t sum = area.time[0] + area.time[1] + area.time[2] + area.time[3];
    EXPECT(sum <= pvh_time_ns());
    where.addr.p = 0;
    EXPECT_EQ(VCPUOP(VCPUOP_register_runstate_memory_area, 0, &where), 0);
}

/* From here on vcpu_info is in our page, with what was pending before. */
static void test_vcpu_info(void)
{
    uint8_t *page = page_alloc(1);
    memset(page, 0, PAGE_SIZE);
    struct vcpu_register_vcpu_info info = {.mfn = frame_of(page), .offset = PAGE_SIZE - 8};
    EXPECT_EQ(VCPUOP(VCPUOP_register_vcpu_info, 0, &info), -XEN_ENXIO);
    info = (struct vcpu_register_vcpu_info){.mfn = 1ull << 40};
    EXPECT_EQ(VCPUOP(VCPUOP_register_vcpu_info, 0, &info), -XEN_EINVAL);
    info = (struct vcpu_register_vcpu_info){.mfn = frame_of(page), .offset = 256};
    EXPECT_EQ(VCPUOP(VCPUOP_register_vcpu_info, 4000, &info), -XEN_ENOENT);
    EXPECT_EQ(VCPUOP(VCPUOP_register_vcpu_info, 0, &info), 0);
    volatile struct vcpu_info *moved = (volatile struct vcpu_info *)(page + 256);
    EXPECT(moved->time.tsc_to_system_mul != 0);
    EXPECT_EQ(moved->evtchn_pending_sel, ~0ul);                          /* so that no event is overlooked */
    EXPECT_EQ(VCPUOP(VCPUOP_register_vcpu_info, 0, &info), -XEN_EINVAL); /* once only */
}

static void test_rest(void)
{
    EXPECT_EQ(VCPUOP(VCPUOP_is_up, 0, NULL), 1);
    EXPECT_EQ(VCPUOP(VCPUOP_is_up, 4000, NULL), -XEN_ENOENT);
    EXPECT_EQ(VCPUOP(VCPUOP_get_runstate_info, 0, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(VCPUOP(99, 0, NULL), -XEN_ENOSYS);
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    VCPUOP(VCPUOP_stop_periodic_timer, 0, NULL);
    evtchn_port_t port = (evtchn_port_t)event_bind_virq(VIRQ_TIMER, 0);
    EXPECT((int)port > 0);
    event_handle(port, on_timer, NULL);
    test_singleshot();
    test_periodic();
    test_set_timer_op();
    test_runstate();
    test_rest();
    test_vcpu_info();
    return verdict("vcpu");
}
