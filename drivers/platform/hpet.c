/* HPET main counter as a reference clock (IA-PC HPET 1.0a, 2.3). Its timers are not used. Boot only. */
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/clock.h>
#include <x86/paging.h>

#define HPET_CAPABILITIES_HIGH 0x004 /* femtoseconds per tick */
#define HPET_CONFIGURATION     0x010
#define HPET_COUNTER           0x0f0
#define HPET_ENABLE            1u
#define FEMTOSECONDS           1000000000000000ull
#define LONGEST_PERIOD         100000000u /* allowed by the specification */

static char *registers;

static uint64_t read_counter(void)
{
    return mmio_read32(registers + HPET_COUNTER);
}

static struct reference_clock clock = {.name = "HPET", .mask = UINT32_MAX, .read = read_counter};

INIT_CODE const struct reference_clock *hpet_clock(void)
{
    registers = acpi.hpet.v ? map_device(acpi.hpet, 0x400) : NULL;
    if (!registers)
        return NULL;
    uint32_t period = mmio_read32(registers + HPET_CAPABILITIES_HIGH);
    if (period == 0 || period > LONGEST_PERIOD)
        return NULL;
    mmio_write32(registers + HPET_CONFIGURATION, mmio_read32(registers + HPET_CONFIGURATION) | HPET_ENABLE);
    clock.hz = FEMTOSECONDS / period;
    return &clock;
}
