/* The local APIC: timer, interrupts to ourselves, priorities; with "mmio" on the command line through its
 * page. */
#include "check.h"
#include <pvh/apic.h>

static volatile unsigned count[256];

static void on_interrupt(struct trap_frame *frame)
{
    count[frame->vector]++;
    apic_eoi();
}

static bool wait_for(unsigned vector, unsigned times, uint64_t limit)
{
    uint64_t end = pvh_time_ns() + limit;
    while (count[vector] < times && pvh_time_ns() < end) {
        take_interrupts();
    }
    return count[vector] >= times;
}

static void test_self(void)
{
    apic_ipi(apic_id(), 0x41);
    EXPECT(wait_for(0x41, 1, SECOND));
    EXPECT_EQ(count[0x41], 1);

    /* Held back by the task priority, seen in the request register, delivered when the priority falls. */
    apic_write(APIC_TPR, 0x50);
    apic_ipi(apic_id(), 0x42);
    EXPECT(!wait_for(0x42, 1, 2 * MILLISECOND));
    EXPECT((apic_read(APIC_IRR + 2) >> 2) & 1);
    apic_write(APIC_TPR, 0);
    EXPECT(wait_for(0x42, 1, SECOND));
    EXPECT_EQ(apic_read(APIC_IRR + 2) >> 2 & 1, 0);

    /* Two at once: both come, whichever the order they were sent in. */
    apic_ipi(apic_id(), 0x43);
    apic_ipi(apic_id(), 0x63);
    EXPECT(wait_for(0x43, 1, SECOND) && wait_for(0x63, 1, SECOND));
}

static void test_timer(void)
{
    apic_timer(0x44, APIC_LVT_ONE_SHOT, 0x10000);
    EXPECT(wait_for(0x44, 1, SECOND));
    EXPECT(!wait_for(0x44, 2, 5 * MILLISECOND));
    EXPECT_EQ(apic_read(APIC_TIMER_CURRENT), 0);

    apic_timer(0x44, APIC_LVT_ONE_SHOT, 0x10000000);
    uint32_t left = apic_read(APIC_TIMER_CURRENT);
    EXPECT(left > 0 && left <= 0x10000000);
    apic_timer_stop();

    count[0x44] = 0;
    apic_timer(0x44, APIC_LVT_PERIODIC, 0x40000);
    EXPECT(wait_for(0x44, 5, 5 * SECOND));
    apic_timer_stop();
    wait_for(0x44, ~0u, MILLISECOND);
    unsigned stopped = count[0x44];
    EXPECT(!wait_for(0x44, stopped + 1, 5 * MILLISECOND));

    /* It wakes a halted processor. */
    count[0x45] = 0;
    apic_timer(0x45, APIC_LVT_ONE_SHOT, 0x100000);
    for (unsigned i = 0; i < 100 && count[0x45] == 0; i++)
        wait_for_interrupt();
    EXPECT_EQ(count[0x45], 1);
}

static void bad_write(void *arg)
{
    (void)arg;
    wrmsr(0x800 + (APIC_VERSION >> 4), 0);
}

int main(void)
{
    char value[2];
    bool mmio = pvh_option("mmio", value, sizeof(value));
    EXPECT_EQ(event_init(), 0);
    VCPUOP(VCPUOP_stop_periodic_timer, 0, NULL);
    if (mmio)
        apic_init_mmio();
    else
        apic_init();
    EXPECT_EQ(apic_is_x2apic(), !mmio);
    EXPECT((apic_read(APIC_VERSION) & 0xff) >= 0x10);
    EXPECT_EQ(apic_id(), 0);
    for (unsigned vector = 0x41; vector <= 0x63; vector++)
        interrupt_set(vector, on_interrupt);
    test_self();
    test_timer();
    if (!mmio)
        EXPECT(!pvh_try(bad_write, NULL, NULL)); /* the version cannot be written */
    return verdict(mmio ? "xapic" : "apic");
}
