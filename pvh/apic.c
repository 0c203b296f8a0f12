/*
 * Local APIC access (pvh/apic.h). One mode for all CPUs, chosen by the first apic_init().
 */
#include <lib/relax.h>
#include <lib/x86.h>
#include <pvh/memory.h>
#include "internal.h"

#define MSR_APIC_BASE     0x1b
#define APIC_BASE_X2APIC  (1u << 10)
#define APIC_BASE_ENABLE  (1u << 11)
#define CPUID1_ECX_X2APIC (1u << 21)
#define APIC_DEFAULT_BASE 0xfee00000ull
#define MSR_X2APIC        0x800

static bool x2apic;

static volatile uint32_t *mmio(unsigned number)
{
    return (volatile uint32_t *)(APIC_DEFAULT_BASE + 16 * number);
}

uint32_t apic_read(unsigned number)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + number) : *mmio(number);
}

void apic_write(unsigned number, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC + number, value);
    else
        *mmio(number) = value;
}

static void switch_on(bool want_x2apic)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    x2apic = want_x2apic || base & APIC_BASE_X2APIC;
    wrmsr(MSR_APIC_BASE, x2apic ? base | APIC_BASE_X2APIC : base);
    if (!x2apic)
        page_map(APIC_DEFAULT_BASE, APIC_DEFAULT_BASE, PAGE_ALL | PAGE_NOCACHE);
    apic_write(APIC_SVR, APIC_SVR_ENABLE | TRAP_SPURIOUS);
    apic_write(APIC_TPR, 0);
}

void apic_init(void)
{
    switch_on(x2apic || cpuid(1, 0).ecx & CPUID1_ECX_X2APIC);
}

void apic_init_mmio(void)
{
    switch_on(false);
}

bool apic_is_x2apic(void)
{
    return x2apic;
}

uint32_t apic_id(void)
{
    return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

void apic_timer(unsigned vector, uint32_t mode, uint32_t count)
{
    apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, mode | vector);
    apic_write(APIC_TIMER_INITIAL, count);
}

void apic_timer_stop(void)
{
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, 0);
}

void apic_icr(uint64_t command)
{
    if (x2apic) {
        wrmsr(MSR_X2APIC + APIC_ICR, command);
        return;
    }
    *mmio(APIC_ICR_HIGH) = (uint32_t)(command >> 32) << 24;
    *mmio(APIC_ICR) = (uint32_t)command;
    while (*mmio(APIC_ICR) & APIC_ICR_BUSY)
        cpu_relax();
}

void apic_ipi(uint32_t destination, unsigned vector)
{
    apic_icr((uint64_t)destination << 32 | vector);
}
