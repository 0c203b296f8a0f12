/*
 * The machine's hardware in dom0: ACPI's tables, device memory, and interrupts through the IO-APIC. Edges
 * come from the clock (IRQ 8), levels from the keyboard controller, which can be told to have a byte: its
 * line stays up until that is read. The hypervisor was told irq_ratelimit=160, 20 for levels. The end is a
 * power-off through ACPI's ports.
 */
#include "check.h"
#include <pvh/acpi.h>
#include <pvh/apic.h>

enum { INDEX = 0x00, WINDOW = 0x10, EOI = 0x40 };
#define LOW        (1u << 13)
#define REMOTE     (1u << 14)
#define LEVEL      (1u << 15)
#define MASKED     (1u << 16)
#define LOGICAL    (1u << 11)
#define LOWEST     (1u << 8)
#define CLOCK      8
#define KEYBOARD   1
#define ENTRY(pin) (0x10 + 2 * (pin))

static volatile char *ioapic;
static uint32_t pins;
static volatile unsigned count[256], on_cpu[2];
static volatile unsigned read_at; /* which interrupt's handler lets the line down */
static volatile bool remote_seen;

static uint32_t get(uint32_t number)
{
    *(volatile uint32_t *)(ioapic + INDEX) = number;
    return *(volatile uint32_t *)(ioapic + WINDOW);
}

static void set(uint32_t number, uint32_t value)
{
    *(volatile uint32_t *)(ioapic + INDEX) = number;
    *(volatile uint32_t *)(ioapic + WINDOW) = value;
}

static void aim(uint32_t pin, uint32_t low, uint32_t destination)
{
    set(ENTRY(pin), low | MASKED);
    set(ENTRY(pin) + 1, destination << 24);
    set(ENTRY(pin), low);
}

static uint8_t cmos(uint8_t number)
{
    outb(0x70, number);
    return inb(0x71);
}

static void cmos_set(uint8_t number, uint8_t value)
{
    outb(0x70, number);
    outb(0x71, value);
}

static void on_clock(struct trap_frame *frame)
{
    count[frame->vector]++;
    on_cpu[cpu_index() & 1]++;
    cmos(0x0c);
    apic_eoi();
}

static void on_keyboard(struct trap_frame *frame)
{
    count[frame->vector]++;
    remote_seen |= (get(ENTRY(KEYBOARD)) & REMOTE) != 0;
    if (count[frame->vector] >= read_at)
        inb(0x60);
    apic_eoi();
}

static bool wait_for(unsigned vector, unsigned times, uint64_t limit)
{
    uint64_t end = pvh_time_ns() + limit;
    while (count[vector] < times && pvh_time_ns() < end)
        take_interrupts();
    return count[vector] >= times;
}

/* --- tables and memory ---------------------------------------------------------------------------------- */

static bool find_ioapic(void)
{
    const struct acpi_table *madt = acpi_find("APIC");
    if (!EXPECT(madt != NULL))
        return false;
    const uint8_t *p = (const uint8_t *)(madt + 1) + 8, *end = (const uint8_t *)madt + madt->length;
    for (; p + 2 <= end && p[1] >= 2; p += p[1]) {
        uint32_t address;
        memcpy(&address, p + 4, sizeof address);
        if (p[0] == 1 && !ioapic)
            ioapic = (volatile char *)(uintptr_t)address;
    }
    return EXPECT(ioapic != NULL);
}

static void test_tables(void)
{
    const struct acpi_table *fadt = acpi_find("FACP");
    if (!EXPECT(fadt != NULL))
        return;
    uint32_t flags, dsdt;
    memcpy(&dsdt, (const char *)fadt + 40, sizeof dsdt);
    memcpy(&flags, (const char *)fadt + 112, sizeof flags);
    EXPECT_EQ(flags & 1u << 20, 0); /* fixed hardware */
    EXPECT(!memcmp((const void *)(uintptr_t)dsdt, "DSDT", 4));
    EXPECT(acpi_find("HPET") == NULL);
    EXPECT(acpi_find("SRAT") == NULL);
}

/* The last block of RAM below 4 GiB is in use by the hypervisor: the map calls it reserved, and the bus is
 * empty there. */
static void test_memory(void)
{
    EXPECT_EQ(*(volatile uint8_t *)0xfffffff0, 0xea); /* where firmware starts: a far jump */
    EXPECT(*(volatile uint32_t *)0xb8000 != ~0u);
    EXPECT_EQ(*(volatile uint32_t *)0xfed00000, ~0u); /* HPET */
    *(volatile uint32_t *)0xfee01000 = 0x41;          /* an interrupt message, were it let through */
    struct hvm_memmap_table_entry entry;
    uint64_t ram_end = 0;
    for (unsigned i = 0; memory_map_entry(i, &entry); i++)
        if (entry.type == XEN_HVM_MEMMAP_TYPE_RAM)
            ram_end = entry.addr + entry.size;
    EXPECT_EQ(*(volatile uint64_t *)ram_end, ~0ull);
    *(volatile uint64_t *)ram_end = 0;
    EXPECT_EQ(*(volatile uint64_t *)ram_end, ~0ull);
}

/* --- registers ------------------------------------------------------------------------------------------ */

static void test_registers(void)
{
    pins = (get(1) >> 16 & 0xff) + 1;
    EXPECT(pins >= 16 && pins <= 240);
    EXPECT(get(1) & 0xff);
    set(ENTRY(CLOCK), ~0u);
    EXPECT_EQ(get(ENTRY(CLOCK)), MASKED | LEVEL | LOW | 0xfff);
    set(ENTRY(CLOCK) + 1, ~0u);
    EXPECT_EQ(get(ENTRY(CLOCK) + 1), 0xff000000u);
    set(ENTRY(pins), 0); /* past the last */
    EXPECT_EQ(get(ENTRY(pins)), 0);
    set(0xff, ~0u);
    EXPECT_EQ(get(0xff), 0);
    for (unsigned offset = 0x14; offset < 0x1000; offset += 0x1c) { /* no registers */
        *(volatile uint32_t *)(ioapic + offset) = ~0u;
        (void)*(volatile uint32_t *)(ioapic + offset);
    }
    (void)*(volatile uint8_t *)(ioapic + 1);
    *(volatile uint16_t *)(ioapic + WINDOW + 2) = 0xffff;
    (void)*(volatile uint64_t *)(ioapic + 0xff8);
}

/* Settings that no interrupt can come by are remembered and nothing else. */
static void test_hostile(void)
{
    static const uint32_t bad[] = {0x00, 0x0f, 0x241, 0x341, 0x441, 0x541, 0x641, 0x741, 0x20f | LEVEL};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        for (uint32_t pin = 0; pin < pins; pin++) {
            aim(pin, bad[i], 0);
            EXPECT_EQ(get(ENTRY(pin)), bad[i]);
        }
    count[0x41] = 0;
    cmos_set(0x0b, cmos(0x0b) | 0x40);
    EXPECT(!wait_for(0x41, 1, 20 * MILLISECOND));
    for (uint32_t pin = 0; pin < pins; pin++)
        set(ENTRY(pin), MASKED);
    aim(4, 0x42, 0); /* the hypervisor's console: takes settings, never interrupts */
    EXPECT_EQ(get(ENTRY(4)), 0x42);
    EXPECT(!wait_for(0x42, 1, 5 * MILLISECOND));
    set(ENTRY(4), MASKED);
}

/* --- edges ---------------------------------------------------------------------------------------------- */

static void test_edge(void)
{
    cmos_set(0x0a, (cmos(0x0a) & 0xf0) | 6); /* 1024 Hz */
    cmos_set(0x0b, cmos(0x0b) | 0x40);
    cmos(0x0c);
    aim(CLOCK, 0x51, 0);
    EXPECT(wait_for(0x51, 10, 5 * SECOND));
    EXPECT_EQ(get(ENTRY(CLOCK)), 0x51);

    set(ENTRY(CLOCK), 0x51 | MASKED);
    take_interrupts();
    unsigned before = count[0x51];
    EXPECT(!wait_for(0x51, before + 1, 20 * MILLISECOND));
    set(ENTRY(CLOCK), 0x52); /* unmasked, with another vector */
    cmos(0x0c);
    EXPECT(wait_for(0x52, 3, 5 * SECOND));
    EXPECT_EQ(count[0x51], before);

    aim(CLOCK, 0x53 | LOWEST, 0xff); /* everybody: any one */
    cmos(0x0c);
    EXPECT(wait_for(0x53, 3, 5 * SECOND));
    aim(CLOCK, 0x54, 0x7e); /* nobody */
    cmos(0x0c);
    EXPECT(!wait_for(0x54, 1, 5 * MILLISECOND));
}

static volatile bool other_runs, stop;

static void other_cpu(void *arg)
{
    (void)arg;
    other_runs = true;
    while (!stop)
        take_interrupts();
}

static void test_destination(void)
{
    static uint32_t ids[SMP_MAX_CPUS];
    if (cpu_apic_ids(ids, ARRAY_SIZE(ids)) < 2)
        return;
    EXPECT(smp_start(ids[1], other_cpu, NULL));
    on_cpu[1] = 0;
    aim(CLOCK, 0x55, ids[1]);
    cmos(0x0c);
    uint64_t end = pvh_time_ns() + 5 * SECOND;
    while (on_cpu[1] < 5 && pvh_time_ns() < end)
        cpu_relax();
    EXPECT(on_cpu[1] >= 5);
    unsigned here = on_cpu[0];
    EXPECT(!wait_for(0x55, ~0u, 5 * MILLISECOND));
    EXPECT_EQ(on_cpu[0], here);
    set(ENTRY(CLOCK), MASKED);
    stop = true;
}

/* --- levels --------------------------------------------------------------------------------------------- */

static void controller(uint16_t port, uint8_t value)
{
    for (unsigned i = 0; i < 100000 && inb(0x64) & 2; i++)
        cpu_relax();
    outb(port, value);
}

/* The controller has a byte from now on, and its line is up. */
static void raise_line(void)
{
    while (inb(0x64) & 1)
        inb(0x60);
    controller(0x64, 0xd2);
    controller(0x60, 0x1c);
}

static void keyboard_init(void)
{
    controller(0x64, 0x60);
    controller(0x60, 0x61); /* interrupt for the keyboard's bytes */
    while (inb(0x64) & 1)
        inb(0x60);
}

static void test_level(void)
{
    keyboard_init();
    read_at = 1;
    aim(KEYBOARD, 0x61 | LEVEL, 0);
    raise_line();
    EXPECT(wait_for(0x61, 1, 5 * SECOND));
    EXPECT(remote_seen);
    EXPECT_EQ(get(ENTRY(KEYBOARD)), 0x61 | LEVEL);
    EXPECT(!wait_for(0x61, 2, 5 * MILLISECOND));

    read_at = 5; /* still up after the EOI: comes again, until the line falls */
    count[0x61] = 0;
    raise_line();
    EXPECT(wait_for(0x61, 5, 5 * SECOND));
    EXPECT(!wait_for(0x61, 6, 5 * MILLISECOND));

    set(ENTRY(KEYBOARD),
        0x62 | LEVEL | MASKED); /* what waits while it is masked comes when it no longer is */
    raise_line();
    EXPECT(!wait_for(0x62, 1, 5 * MILLISECOND));
    read_at = 1;
    set(ENTRY(KEYBOARD), 0x62 | LEVEL);
    EXPECT(wait_for(0x62, 1, 5 * SECOND));

    read_at = ~0u;
    aim(KEYBOARD, 0x63, 0); /* as an edge it comes once */
    raise_line();
    EXPECT(wait_for(0x63, 1, 5 * SECOND));
    EXPECT(!wait_for(0x63, 2, 5 * MILLISECOND));
    inb(0x60);
    set(ENTRY(KEYBOARD), MASKED);
}

static void test_storm(void)
{
    read_at = ~0u;
    count[0x61] = 0;
    aim(KEYBOARD, 0x61 | LEVEL, 0);
    raise_line();
    EXPECT(!wait_for(0x61, ~0u, 200 * MILLISECOND));
    EXPECT(count[0x61] > 20 &&
           count[0x61] <= 20 * 21); /* windows of 10 ms, as many of silence between them */
    inb(0x60);
    EXPECT(!wait_for(0x61, ~0u, 30 * MILLISECOND));
    count[0x61] = 0;
    raise_line();
    EXPECT(wait_for(0x61, 1, 5 * SECOND)); /* it works again */
    set(ENTRY(KEYBOARD), MASKED);
    inb(0x60);
}

/* Machines have different numbers for power-off; a sleep of another kind is refused and leaves us awake. */
static _Noreturn void power_off(void)
{
    const struct acpi_table *fadt = acpi_find("FACP");
    uint32_t control;
    memcpy(&control, (const char *)fadt + 64, sizeof control);
    for (uint16_t type = 7; type < 8; type--)
        outw((uint16_t)control, (uint16_t)((inw((uint16_t)control) & ~0x1c00u) | type << 10 | 1u << 13));
    pvh_panic("still awake");
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    VCPUOP(VCPUOP_stop_periodic_timer, 0, NULL);
    apic_init();
    for (unsigned vector = 0x41; vector < 0x60; vector++)
        interrupt_set(vector, on_clock);
    for (unsigned vector = 0x60; vector < 0x70; vector++)
        interrupt_set(vector, on_keyboard);
    if (find_ioapic()) {
        test_tables();
        test_memory();
        test_registers();
        test_hostile();
        test_edge();
        test_destination();
        test_level();
        test_storm();
    }
    verdict("ioapic");
    power_off();
}
