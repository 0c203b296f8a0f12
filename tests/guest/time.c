/* Time: the clock in vcpu_info runs forward, agrees with the TSC and the wall clock is sane (xen/xen.h). */
#include "check.h"

/* 20 ms by the clock, in ticks of the TSC, is what the clock's own factor makes of them. */
static bool clock_agrees(const volatile struct vcpu_time_info *time)
{
    uint64_t start = pvh_time_ns(), tsc = rdtsc_ordered();
    while (pvh_time_ns() < start + 20 * MILLISECOND)
        cpu_relax();
    uint64_t elapsed = pvh_time_ns() - start, ticks = rdtsc_ordered() - tsc;
    uint64_t scaled = time->tsc_shift < 0 ? ticks >> -time->tsc_shift : ticks << time->tsc_shift;
    uint64_t by_tsc = (uint64_t)(((__uint128_t)scaled * time->tsc_to_system_mul) >> 32);
    uint64_t apart = by_tsc > elapsed ? by_tsc - elapsed : elapsed - by_tsc;
    return apart < elapsed / 50 + MILLISECOND;
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    const volatile struct vcpu_time_info *time = &event_vcpu_info()->time;
    EXPECT_EQ(time->version & 1, 0);
    EXPECT(time->tsc_to_system_mul != 0);

    uint64_t last = pvh_time_ns();
    bool forward = true;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t now = pvh_time_ns();
        forward &= now >= last;
        last = now;
    }
    EXPECT(forward);

    /* The host may take the processor away between two readings, so the best of ten counts. */
    bool agrees = false;
    for (unsigned i = 0; i < 10 && !agrees; i++)
        agrees = clock_agrees(time);
    EXPECT(agrees);

    /* CPUID says how fast the TSC is; the clock's factor must agree to a thousandth. */
    uint32_t base = hypercall_cpuid_base();
    struct cpuid leaf = cpuid(base + 3, 0);
    uint64_t khz = leaf.ecx;
    uint64_t per_second = (uint64_t)((((__uint128_t)1 << 32) * SECOND) / time->tsc_to_system_mul);
    per_second = time->tsc_shift < 0 ? per_second << -time->tsc_shift : per_second >> time->tsc_shift;
    uint64_t off = per_second > khz * 1000 ? per_second - khz * 1000 : khz * 1000 - per_second;
    EXPECT(khz != 0 && off < per_second / 1000);

    uint64_t wall = pvh_wall_time_s();
    EXPECT(wall > 1600000000ull && wall < 4000000000ull);
    pvh_printf("tsc %lu kHz, wall clock %lu\n", khz, wall);
    return verdict("time");
}
