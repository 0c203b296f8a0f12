/* The counters that the TSC is measured against, and what time.c offers to arch/x86_64 only. */
#ifndef X86_CLOCK_H
#define X86_CLOCK_H

#include <hv/types.h>

/* A counter of known rate; modulo mask + 1. */
struct reference_clock {
    const char *name;
    uint64_t hz;
    uint64_t mask;
    uint64_t (*read)(void);
};

/* NULL where the machine has none. */
const struct reference_clock *hpet_clock(void);     /* drivers/platform/hpet.c */
const struct reference_clock *pm_timer_clock(void); /* drivers/platform/pm_timer.c */
const struct reference_clock *pit_clock(void);      /* drivers/platform/pit.c */

/* Seconds since 1970 as the CMOS clock has them (drivers/platform/cmos.c). */
uint64_t cmos_time(void);

void time_init(void);     /* calibrates; the APIC timer and time_now() work from here on */
void time_cpu_init(void); /* on each other CPU */
/* At most this long, spinning; only for waiting on hardware during start and stop. */
void delay_us(uint32_t us);

#endif
