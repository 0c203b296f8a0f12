/* ACPI's power management timer as a reference clock (ACPI 4.8.3.3). Boot only. */
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/clock.h>

static uint64_t read_timer(void)
{
    return inl(acpi.pm_timer);
}

static uint64_t read_timer_24bit(void)
{
    return inl(acpi.pm_timer) & 0xffffff;
}

INIT_CODE const struct reference_clock *pm_timer_clock(void)
{
    static const struct reference_clock narrow = {"PM timer", 3579545, 0xffffff, read_timer_24bit};
    static const struct reference_clock wide = {"PM timer", 3579545, UINT32_MAX, read_timer};
    if (!acpi.pm_timer || inl(acpi.pm_timer) == UINT32_MAX)
        return NULL;
    return acpi.pm_timer_32bit ? &wide : &narrow;
}
