/* Time: one clock for all CPUs, derived from the invariant TSC (SDM vol. 3, 18.17). */
#ifndef HV_ARCH_TIME_H
#define HV_ARCH_TIME_H

#include <hv/types.h>

/* Nanoseconds since the hypervisor started, the same on all CPUs. */
ns_t time_now(void);

/* The relation that guests are shown: ns = base_ns + ((tsc - base_tsc) << shift >> 32) * mul (xen.h,
 * vcpu_time_info). */
struct time_scale {
    uint64_t base_tsc;
    ns_t base_ns;
    uint32_t mul;
    int8_t shift;
};
extern struct time_scale time_scale;
extern uint32_t tsc_khz;

/* Wall clock of the moment time_now() was 0, from the CMOS clock or XENPF_settime. */
uint64_t time_wallclock_base_ns(void);
void time_set_wallclock(uint64_t unix_ns, ns_t at);

/* Programs this CPU's one-shot timer; NS_NEVER switches it off. Raises SOFTIRQ_TIMER when it fires. */
void arch_timer_program(ns_t when);

#endif
