/*
 * The local APIC (x86/apic.h; SDM vol. 3, chapter 11). x2APIC mode where the CPU has it, else the registers
 * in memory; all CPUs use the same mode. Each CPU touches its own APIC only, with interrupts off: no locking.
 */
#include <hv/cpu.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/apic.h>
#include <x86/acpi.h>
#include <x86/apic.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/irq.h>
#include <x86/paging.h>

static bool x2apic;
static char *registers; /* in memory, xAPIC mode */
static bool use_deadline;
/* Timer ticks per TSC tick, 32.32 fixed point; not used with the deadline timer. */
static uint64_t timer_per_tsc;

static uint32_t read(enum apic_register r)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC_BASE + r) : mmio_read32(registers + r * 16);
}

static void write(enum apic_register r, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC_BASE + r, value);
    else
        mmio_write32(registers + r * 16, value);
}

static void write_icr(uint32_t destination, uint32_t command)
{
    if (x2apic) {
        /* The MSR write does not order earlier stores (11.12.3). */
        asm volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC_BASE + APIC_ICR, (uint64_t)destination << 32 | command);
        return;
    }
    while (read(APIC_ICR) & APIC_ICR_BUSY)
        cpu_relax();
    write(APIC_ICR_HIGH, destination << 24);
    write(APIC_ICR, command);
}

uint32_t apic_id(void)
{
    uint32_t id = read(APIC_ID);
    return x2apic ? id : id >> 24;
}

void apic_eoi(void)
{
    write(APIC_EOI, 0);
}

void apic_send_ipi(const struct cpu *to, uint8_t vector)
{
    perfc_incr(ipis);
    write_icr(to->arch->apic_id, APIC_ICR_ASSERT | vector);
}

void apic_send_nmi(const struct cpu *to)
{
    write_icr(to->arch->apic_id, APIC_ICR_ASSERT | APIC_ICR_NMI);
}

void apic_send_init(uint32_t id)
{
    write_icr(id, APIC_ICR_ASSERT | APIC_ICR_INIT);
}

void apic_send_startup(uint32_t id, uint8_t page)
{
    write_icr(id, APIC_ICR_ASSERT | APIC_ICR_STARTUP | page);
}

/* --- the one-shot timer --------------------------------------------------------------------------------- */

void apic_timer_set(uint64_t tsc)
{
    if (use_deadline) {
        wrmsr(MSR_TSC_DEADLINE, tsc);
        return;
    }
    uint32_t count = 0;
    if (tsc) {
        uint64_t now = rdtsc();
        uint64_t delta = tsc > now ? tsc - now : 0;
        unsigned __int128 ticks = ((unsigned __int128)delta * timer_per_tsc >> 32) + 1;
        count = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
    }
    write(APIC_TIMER_INITIAL, count);
}

void apic_timer_start_count(uint32_t count)
{
    write(APIC_LVT_TIMER, VECTOR_TIMER);
    write(APIC_TIMER_INITIAL, count);
}

uint32_t apic_timer_count(void)
{
    return read(APIC_TIMER_CURRENT);
}

void apic_timer_use(uint64_t ticks, uint64_t tsc_ticks)
{
    timer_per_tsc = mul_div(ticks, 1ull << 32, tsc_ticks);
    use_deadline = cpu_features.tsc_deadline;
    apic_timer_cpu_init();
}

void apic_timer_cpu_init(void)
{
    write(APIC_TIMER_INITIAL, 0);
    write(APIC_LVT_TIMER, VECTOR_TIMER | (use_deadline ? APIC_LVT_TSC_DEADLINE : 0));
    if (use_deadline)
        asm volatile("mfence" : : : "memory"); /* before the first write of the deadline (11.5.4.1) */
}

/* --- setting up ----------------------------------------------------------------------------------------- */

static void error_interrupt(uint8_t vector, void *arg)
{
    (void)vector;
    (void)arg;
    write(APIC_ESR, 0);
    printk(LOG_WARNING "CPU %u: local APIC error 0x%x\n", this_cpu()->id, read(APIC_ESR));
}

INIT_CODE void apic_init(void)
{
    x2apic = cpu_features.x2apic;
    if (!x2apic) {
        registers = map_device(acpi.lapic, PAGE_SIZE);
        if (!registers)
            boot_fail("too little memory to map the local APIC");
    }
    irq_set_handler(VECTOR_APIC_ERROR, error_interrupt, NULL);
    apic_cpu_init();
    printk(LOG_DEBUG "Local APIC: %s mode, id %u\n", x2apic ? "x2APIC" : "xAPIC", apic_id());
}

void apic_cpu_init(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    wrmsr(MSR_APIC_BASE, base);
    if (x2apic)
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
    write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
    write(APIC_TPR, 0);
    write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    write(APIC_LVT_LINT0, APIC_LVT_MASKED);
    write(APIC_LVT_LINT1, APIC_LVT_NMI);
    write(APIC_LVT_ERROR, VECTOR_APIC_ERROR);
    write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    apic_eoi(); /* what the firmware left in service */
    this_arch_cpu()->apic_id = apic_id();
}
