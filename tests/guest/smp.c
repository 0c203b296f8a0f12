/* Several vCPUs: started by INIT-SIPI-SIPI, they run at the same time, get IPIs and events of their own. */
#include "check.h"
#include <pvh/apic.h>

static volatile unsigned alive, ipis, events, go;
static volatile uint64_t seen_ids;

static void on_ipi(struct trap_frame *frame)
{
    (void)frame;
    __atomic_fetch_add(&ipis, 1, __ATOMIC_SEQ_CST);
    apic_eoi();
}

static void on_event(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    __atomic_fetch_add(&events, 1, __ATOMIC_SEQ_CST);
}

/* Each CPU finds itself where CPUID says, and all of them are in one package. */
static void check_topology(unsigned count)
{
    uint32_t id = apic_id();
    EXPECT_EQ(id, 2 * cpuid(hypercall_cpuid_base() + 4, 0).ebx);
    EXPECT_EQ(cpuid(1, 0).ebx >> 24, id & 255);
    EXPECT(count == 1 || (cpuid(1, 0).ebx >> 16 & 255) > 2 * (count - 1));
    struct cpuid core = cpuid(0xb, 1);
    EXPECT_EQ(core.edx, id);
    EXPECT_EQ(core.ebx, count);
    EXPECT_EQ(id >> core.eax, 0);
    EXPECT_EQ(cpuid(0xb, 0).edx, id);
}

static void other_cpu(void *arg)
{
    check_topology((unsigned)(uintptr_t)arg);
    __atomic_fetch_or(&seen_ids, 1ull << cpu_index(), __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&alive, 1, __ATOMIC_SEQ_CST);
    while (!go)
        wait_for_interrupt();
}

static bool reaches(volatile unsigned *what, unsigned value)
{
    uint64_t end = pvh_time_ns() + 5 * SECOND;
    while (*what < value && pvh_time_ns() < end)
        cpu_relax();
    return *what >= value;
}

int main(void)
{
    static uint32_t ids[SMP_MAX_CPUS];
    EXPECT_EQ(event_init(), 0);
    apic_init();
    unsigned count = cpu_apic_ids(ids, ARRAY_SIZE(ids));
    EXPECT(count >= 1 && count <= ARRAY_SIZE(ids));
    interrupt_set(0x71, on_ipi);
    check_topology(count);

    for (unsigned i = 1; i < count; i++) {
        EXPECT_EQ(VCPUOP(VCPUOP_is_up, i, NULL), 0);
        EXPECT(smp_start(ids[i], other_cpu, (void *)(uintptr_t)count));
        EXPECT_EQ(VCPUOP(VCPUOP_is_up, i, NULL), 1);
    }
    EXPECT(reaches(&alive, count - 1));
    EXPECT_EQ(seen_ids, (count < 64 ? 1ull << count : 0) - 2);
    EXPECT_EQ(VCPUOP(VCPUOP_is_up, count, NULL), -XEN_ENOENT);

    for (unsigned i = 1; i < count; i++)
        apic_ipi(ids[i], 0x71);
    EXPECT(reaches(&ipis, count - 1));
    EXPECT_EQ(ipis, count - 1);

    for (unsigned i = 1; i < count; i++) {
        evtchn_port_t port = (evtchn_port_t)event_bind_ipi(i);
        EXPECT((int)port > 0);
        event_handle(port, on_event, NULL);
        EXPECT_EQ(event_send(port), 0);
    }
    EXPECT(reaches(&events, count - 1));

    go = 1;
    for (unsigned i = 1; i < count; i++)
        apic_ipi(ids[i], 0x71);
    pvh_printf("%u vCPUs\n", count);
    return verdict("smp");
}
