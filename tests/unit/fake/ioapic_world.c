/* The machine of ioapic_world.h. The driver is part of this file: its accesses go to the model of the chip.
 */
#include <stdlib.h>
#include <string.h>
#include <hv/arch/time.h>
#include <hv/debugkeys.h>
#include <hv/panic.h>
#include <x86/apic.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/irq.h>

static uint32_t chip_read(const volatile void *address);
static void chip_write(volatile void *address, uint32_t value);
#define mmio_read32  chip_read
#define mmio_write32 chip_write
#include "../../../drivers/platform/ioapic.c"
#undef mmio_read32
#undef mmio_write32
#undef ENTRY_LEVEL
#undef ENTRY_MASKED
#include "../../../arch/x86_64/guest/hwirq.h"
#include "../../../arch/x86_64/guest/vioapic.h"
#include "../../../arch/x86_64/guest/vlapic.h"
#include "ioapic_world.h"

/* --- the chip (82093AA) --------------------------------------------------------------------------------- */

struct chip chip = {.in_service = -1};

void chip_dispatch(uint8_t vector)
{
    chip.in_service = vector;
    irq_dispatch(vector);
    ASSERT(chip.in_service == -1); /* was acknowledged */
}

static void deliver(unsigned pin)
{
    chip.remote[pin] = chip.entry[pin] & ENTRY_LEVEL;
    chip.interrupts++;
    chip_dispatch((uint8_t)chip.entry[pin]);
}

static bool interrupts_now(unsigned pin)
{
    return chip.line[pin] && (chip.entry[pin] & (ENTRY_LEVEL | ENTRY_MASKED)) == ENTRY_LEVEL &&
           !chip.remote[pin];
}

unsigned chip_settle(unsigned most)
{
    unsigned done = 0;
    for (unsigned pin = 0; pin < PINS; pin++)
        for (; done < most && interrupts_now(pin); done++)
            deliver(pin);
    return done;
}

void chip_edge(unsigned pin)
{
    if (!(chip.entry[pin] & (ENTRY_MASKED | ENTRY_LEVEL)))
        deliver(pin);
}

void apic_eoi(void)
{
    for (unsigned pin = 0; pin < PINS; pin++)
        if ((uint8_t)chip.entry[pin] == chip.in_service)
            chip.remote[pin] = false;
    chip.in_service = -1;
}

static uint32_t chip_read(const volatile void *address)
{
    if (address == chip.registers)
        return chip.index;
    if (chip.index == 1)
        return (PINS - 1) << 16 | 0x20;
    return (uint32_t)(chip.entry[(chip.index - 0x10) / 2] >> 32 * (chip.index & 1));
}

static void chip_write(volatile void *address, uint32_t value)
{
    if (address == chip.registers) {
        chip.index = value;
        return;
    }
    ASSERT(chip.index >= 0x10 && chip.index < 0x10 + 2 * PINS);
    uint32_t half[2];
    memcpy(half, &chip.entry[(chip.index - 0x10) / 2], sizeof(half));
    half[chip.index & 1] = value;
    memcpy(&chip.entry[(chip.index - 0x10) / 2], half, sizeof(half));
}

/* --- the world around it -------------------------------------------------------------------------------- */

struct acpi_info acpi = {.ioapics = 1, .ioapic = {{.id = 2, .address = {BASE}}}};
__thread struct cpu *fake_this_cpu;
struct cpu *cpus[MAX_CPUS];
unsigned cpu_count = 2;
struct arch_cpu world_cpus[2];
struct domain world_domain = {.privileged = true, .max_vcpus = VCPUS};
struct vcpu world_vcpus[VCPUS];
static struct vcpu *vcpu_table[VCPUS];
unsigned got[VCPUS][256], got_levels;
ns_t world_now;
struct timer *world_armed;
unsigned world_told;
static char *pages[4];
static unsigned page_count;

void vlapic_set_irq(struct vcpu *target, uint8_t vector)
{
    got[target->id][vector]++;
}
void vlapic_set_irq_level(struct vcpu *target, uint8_t vector)
{
    got[target->id][vector]++;
    got_levels++;
}
bool vlapic_addressed(const struct vcpu *target, bool logical, uint32_t destination, uint32_t broadcast)
{
    return destination == broadcast ||
           (logical ? destination >> target->id & 1 : destination == 2 * target->id);
}
ns_t time_now(void)
{
    return world_now;
}
void timer_init(struct timer *timer, timer_fn *fn, void *arg)
{
    *timer = (struct timer){.fn = fn, .arg = arg};
}
void timer_set(struct timer *timer, ns_t expires)
{
    timer->expires = expires;
    world_armed = timer;
}
void (*world_dump)(void);
void debugkey_register(char key, void (*fn)(void), const char *what)
{
    ASSERT(key == 'i' && what);
    world_dump = fn;
}
void printk(const char *format, ...)
{
    (void)format;
    world_told++;
}
void guest_printk(struct domain *d, const char *format, ...)
{
    (void)d, (void)format;
    world_told++;
}
void boot_fail(const char *format, ...)
{
    (void)format;
    abort();
}
void panic(const char *format, ...)
{
    (void)format;
    abort();
}
void cpu_relax(void)
{
}
void *map_device(maddr_t start, uint64_t size)
{
    (void)start, (void)size;
    return chip.registers;
}
void *heap_alloc(size_t size)
{
    return page_count < ARRAY_SIZE(pages) ? pages[page_count++] = calloc(1, size) : NULL;
}
void *page_alloc(unsigned order)
{
    return heap_alloc(PAGE_SIZE << order);
}

void world_expire(void)
{
    struct timer *timer = world_armed;
    world_armed = NULL;
    world_now = timer->expires;
    timer->fn(timer, timer->arg);
}

int world_boot(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        world_cpus[i] = (struct arch_cpu){.apic_id = 8 * i + 1};
        world_cpus[i].cpu.id = i;
        world_cpus[i].cpu.arch = &world_cpus[i];
        cpus[i] = &world_cpus[i].cpu;
    }
    fake_this_cpu = cpus[0];
    world_domain.vcpu = vcpu_table;
    for (unsigned i = 0; i < VCPUS; i++) {
        world_vcpus[i] = (struct vcpu){.id = i, .domain = &world_domain};
        vcpu_table[i] = &world_vcpus[i];
    }
    hwirq_init();
    ioapic_init();
    struct ioapic_route own = {.vector = irq_alloc_vector(NULL, NULL), .apic_id = 1};
    ASSERT(ioapic_route(KEPT, &own));
    return vioapic_create(&world_domain);
}

int world_halt(void **state)
{
    (void)state;
    while (page_count)
        free(pages[--page_count]);
    return 0;
}
