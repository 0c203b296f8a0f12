/*
 * The clock: nanoseconds from the TSC by multiplication and shift (hv/arch/time.h), and the one-shot timer.
 *
 * The TSC's rate is measured once, on the boot CPU, against HPET, PM timer or PIT, and never changes
 * afterwards: guests are shown the same numbers. Both ends of the measurement are taken at a tick of the
 * reference clock; in between the CPU sleeps. The wall clock is the only state that changes later; it is one
 * atomic word.
 */
#include <hv/arch/time.h>
#include <hv/cpu.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <x86/apic.h>
#include <x86/asm.h>
#include <x86/clock.h>
#include <x86/features.h>
#include <x86/irq.h>

/* Length of the measurement against the reference clock. Emulated clocks are read without delay, so little
 * will do. */
#define WINDOW_US          (cpu_features.hypervisor ? 5000u : 50000u)
#define SLEEP_COUNT        500000u /* APIC timer ticks between looks at the reference clock */
#define APIC_WINDOW_CYCLES 200000u
/* Rates this close to whole MHz are taken for them: that is what the clock was made for. */
#define NOMINAL_PPM 20u

struct time_scale time_scale;
uint32_t tsc_khz;

static uint64_t tsc_per_ns; /* 32.32 fixed point */
static uint64_t wallclock_base;

/* --- the clock ------------------------------------------------------------------------------------------ */

static inline ns_t tsc_to_ns(uint64_t tsc)
{
    uint64_t delta = tsc - time_scale.base_tsc;
    delta = time_scale.shift >= 0 ? delta << time_scale.shift : delta >> -time_scale.shift;
    return time_scale.base_ns + (ns_t)((unsigned __int128)delta * time_scale.mul >> 32);
}

ns_t time_now(void)
{
    return tsc_to_ns(rdtsc_ordered());
}

void arch_timer_program(ns_t when)
{
    if (when == NS_NEVER) {
        apic_timer_set(0);
        return;
    }
    uint64_t tsc = rdtsc_ordered();
    ns_t now = tsc_to_ns(tsc);
    uint64_t delta = when > now ? when - now : 0;
    /* Rounded up: not early. A deadline of centuries is as good as none, and must not wrap. */
    unsigned __int128 ticks = ((unsigned __int128)delta * tsc_per_ns >> 32) + 1;
    apic_timer_set(ticks > UINT64_MAX / 2 ? UINT64_MAX / 2 : tsc + (uint64_t)ticks);
}

uint64_t time_wallclock_base_ns(void)
{
    return READ_ONCE(wallclock_base);
}

void time_set_wallclock(uint64_t unix_ns, ns_t at)
{
    WRITE_ONCE(wallclock_base, unix_ns - at);
}

void delay_us(uint32_t us)
{
    uint64_t end = rdtsc() + (uint64_t)us * tsc_khz / 1000;
    while ((int64_t)(end - rdtsc()) > 0)
        cpu_relax();
}

static void timer_interrupt(uint8_t vector, void *arg)
{
    (void)vector;
    (void)arg;
    softirq_raise(SOFTIRQ_TIMER);
}

/* --- calibration ---------------------------------------------------------------------------------------- */

struct sample {
    uint64_t tsc, reference;
};

/* A moment at which the reference clock ticked: of several, the one whose TSC is known best. */
static INIT_CODE struct sample take_sample(const struct reference_clock *clock)
{
    struct sample best = {0};
    uint64_t best_width = ~0ull;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t before = clock->read(), reference, t0, t1;
        do {
            t0 = rdtsc_ordered();
            reference = clock->read();
            t1 = rdtsc_ordered();
        } while (reference == before);
        if (t1 - t0 < best_width) {
            best_width = t1 - t0;
            best = (struct sample){.tsc = t0 + (t1 - t0) / 2, .reference = reference};
        }
    }
    return best;
}

static volatile bool woken INIT_DATA;

static INIT_CODE void wake(uint8_t vector, void *arg)
{
    (void)vector;
    (void)arg;
    woken = true;
}

/* Sleeps in steps of the APIC timer, whose rate is not known yet, until the window is over. */
static INIT_CODE void sleep_window(const struct reference_clock *clock, uint64_t start)
{
    irq_set_handler(VECTOR_TIMER, wake, NULL);
    while (((clock->read() - start) & clock->mask) < clock->hz * WINDOW_US / 1000000) {
        woken = false;
        apic_timer_start_count(SLEEP_COUNT);
        while (!woken)
            wait_for_interrupt();
    }
}

static INIT_CODE uint64_t measure_tsc_hz(const struct reference_clock *clock)
{
    struct sample start = take_sample(clock);
    sleep_window(clock, start.reference);
    struct sample end = take_sample(clock);
    uint64_t ticks = (end.reference - start.reference) & clock->mask;
    uint64_t hz = mul_div(end.tsc - start.tsc, clock->hz, ticks);
    uint64_t nominal = (hz + 500000) / 1000000 * 1000000;
    uint64_t difference = hz > nominal ? hz - nominal : nominal - hz;
    return difference * 1000000 <= nominal * NOMINAL_PPM ? nominal : hz;
}

/* Reads the APIC timer's count at a known TSC. */
static INIT_CODE struct sample take_apic_sample(void)
{
    struct sample best = {0};
    uint64_t best_width = ~0ull;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t t0 = rdtsc_ordered();
        uint32_t count = apic_timer_count();
        uint64_t t1 = rdtsc_ordered();
        if (t1 - t0 < best_width) {
            best_width = t1 - t0;
            best = (struct sample){.tsc = t0 + (t1 - t0) / 2, .reference = count};
        }
    }
    return best;
}

static INIT_CODE void calibrate_apic_timer(void)
{
    apic_timer_start_count(UINT32_MAX);
    struct sample start = take_apic_sample();
    while (rdtsc() - start.tsc < APIC_WINDOW_CYCLES)
        cpu_relax();
    struct sample end = take_apic_sample();
    apic_timer_use(start.reference - end.reference, end.tsc - start.tsc);
}

/* mul and shift for pvclock: mul uses all of its 32 bits. */
static INIT_CODE void set_scale(uint64_t hz)
{
    int shift = 0;
    uint64_t divisor = hz;
    for (; divisor > 2 * SECOND; divisor >>= 1)
        shift--;
    for (; divisor <= SECOND; divisor <<= 1)
        shift++;
    time_scale.shift = (int8_t)shift;
    time_scale.mul = (uint32_t)((SECOND << 32) / divisor);
    time_scale.base_ns = 0;
    time_scale.base_tsc = rdtsc_ordered();
    tsc_per_ns = mul_div(hz, 1ull << 32, SECOND);
    tsc_khz = (uint32_t)((hz + 500) / 1000);
}

INIT_CODE void time_init(void)
{
    const struct reference_clock *clock = hpet_clock();
    if (!clock)
        clock = pm_timer_clock();
    if (!clock)
        clock = pit_clock();
    set_scale(measure_tsc_hz(clock));
    calibrate_apic_timer();
    irq_set_handler(VECTOR_TIMER, timer_interrupt, NULL);
    wallclock_base = cmos_time() * SECOND;
    printk(LOG_INFO "Clock: TSC at %u.%03u MHz, by %s\n", tsc_khz / 1000, tsc_khz % 1000, clock->name);
    if (!cpu_features.invariant_tsc && !cpu_features.hypervisor)
        printk(LOG_WARNING
               "The TSC of this CPU is not invariant: switch power saving states off in the firmware\n");
}

void time_cpu_init(void)
{
    apic_timer_cpu_init();
}
