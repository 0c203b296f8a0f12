/* sources: tests/unit/fake/ioapic_world.c arch/x86_64/guest/hwirq.c arch/x86_64/guest/vioapic.c arch/x86_64/irq.c hv/lock.c */
/* cflags: -Iarch/x86_64/include */
/* Interrupts of the machine for a domain: how a domain sees its IO-APICs, and what reaches it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <x86/cpu.h>
#include <x86/irq.h>
#include <xen/errno.h>

#include "../../arch/x86_64/guest/hwirq.h"
#include "../../arch/x86_64/guest/vioapic.h"
#include "fake/ioapic_world.h"

#define LEVEL ENTRY_LEVEL

static struct vcpu *v = &world_vcpus[0];

static void guest_write(uint32_t number, uint32_t value)
{
    vioapic_write(v, (gpa_t){BASE}, 4, number);
    vioapic_write(v, (gpa_t){BASE + 0x10}, 4, value);
}

static uint32_t guest_read(uint32_t number)
{
    vioapic_write(v, (gpa_t){BASE}, 4, number);
    return (uint32_t)vioapic_read(v, (gpa_t){BASE + 0x10}, 4);
}

static void aim(unsigned pin, uint32_t low, uint32_t destination)
{
    guest_write(0x10 + 2 * pin + 1, destination << 24);
    guest_write(0x10 + 2 * pin, low);
}

/* All pins masked, the APICs empty. Pins stay bound from one test to the next, as they do. */
static int fresh(void **state)
{
    (void)state;
    for (unsigned pin = 0; pin < PINS; pin++) {
        chip.line[pin] = false;
        aim(pin, ENTRY_MASKED, 0);
    }
    for (unsigned i = 0; i < VCPUS; i++)
        world_vcpus[i].cpu = cpus[i & 1];
    world_now += SECOND;
    if (world_armed)
        world_expire();
    memset(got, 0, sizeof(got));
    chip.interrupts = world_told = got_levels = 0;
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void test_registers(void **state)
{
    (void)state;
    assert_true(vioapic_covers(v, (gpa_t){BASE + 0xfff}));
    assert_false(vioapic_covers(v, (gpa_t){BASE + 0x1000}));
    assert_int_equal(guest_read(0), 2u << 24);
    assert_int_equal(guest_read(1), (PINS - 1) << 16 | 0x20);
    guest_write(0, ~0u);
    assert_int_equal(guest_read(0), 0xfu << 24);
    guest_write(0x10 + 2 * 3, ~0u);
    assert_int_equal(guest_read(0x10 + 2 * 3), 0x1afff);
    guest_write(0x10 + 2 * PINS, ~0u);
    assert_int_equal(guest_read(0x10 + 2 * PINS), 0);
    guest_write(0xff, ~0u);
    for (unsigned offset = 0; offset < PAGE_SIZE; offset++)
        for (unsigned size = 1; size <= 8; size *= 2) {
            vioapic_write(v, (gpa_t){BASE + offset}, size, ~0ull);
            vioapic_read(v, (gpa_t){BASE + offset}, size);
        }
    assert_int_equal(chip.interrupts, 0);
}

static void test_edge(void **state)
{
    (void)state;
    chip_edge(8);
    assert_int_equal(chip.interrupts, 0); /* masked at boot */
    aim(8, 0x51, 2);
    chip_edge(8);
    chip_edge(8);
    assert_int_equal(got[1][0x51], 2);
    assert_int_equal(chip.entry[8] >> 56, world_cpus[1].apic_id);
    aim(8, 0x51 | ENTRY_MASKED, 2);
    chip_edge(8);
    assert_int_equal(got[1][0x51], 2);
    aim(8, 0x52, 0xff); /* all */
    chip_edge(8);
    assert_int_equal(got[0][0x52] + got[1][0x52] + got[2][0x52], 3);
    aim(8, 0x53 | 0x100, 0xff); /* any */
    chip_edge(8);
    assert_int_equal(got[0][0x53] + got[1][0x53] + got[2][0x53], 1);
    aim(8, 0x54 | 0x800, 6); /* logical */
    chip_edge(8);
    assert_true(!got[0][0x54] && got[1][0x54] && got[2][0x54]);
    aim(8, 0x55, 0x80); /* nobody */
    chip_edge(8);
    assert_int_equal(world_told, 0);
    world_dump();
    assert_int_equal(world_told, 1);
    assert_int_equal(got_levels, 0);
}

static void test_level(void **state)
{
    (void)state;
    aim(9, 0x61 | LEVEL, 0);
    chip.line[9] = true;
    chip_settle(10);
    assert_int_equal(got[0][0x61], 1); /* once, however long the line is up */
    assert_int_equal(got_levels, 1);
    assert_int_equal(chip.interrupts, 1);
    assert_true(chip.entry[9] & ENTRY_MASKED);
    assert_int_equal(guest_read(0x10 + 2 * 9), 0x61 | LEVEL | 1u << 14);
    vioapic_eoi(&world_domain, 0x60);
    chip_settle(10);
    assert_int_equal(got[0][0x61], 1);
    vioapic_eoi(&world_domain, 0x61); /* still up */
    chip_settle(10);
    assert_int_equal(got[0][0x61], 2);
    vioapic_write(v, (gpa_t){BASE + 0x40}, 4, 0x61);
    chip_settle(10);
    assert_int_equal(got[0][0x61], 3);
    chip.line[9] = false;
    vioapic_eoi(&world_domain, 0x61);
    chip_settle(10);
    assert_int_equal(got[0][0x61], 3);
    assert_int_equal(guest_read(0x10 + 2 * 9), 0x61 | LEVEL);
}

static void test_level_masked(void **state)
{
    (void)state;
    aim(9, 0x61 | LEVEL, 0);
    chip.line[9] = true;
    chip_settle(1);
    guest_write(0x10 + 2 * 9, 0x61 | LEVEL | ENTRY_MASKED); /* in service: the EOI must not unmask it */
    vioapic_eoi(&world_domain, 0x61);
    chip_settle(10);
    assert_int_equal(got[0][0x61], 1);
    guest_write(0x10 + 2 * 9, 0x62 | LEVEL); /* still up */
    chip_settle(10);
    assert_int_equal(got[0][0x62], 1);
    guest_write(0x10 + 2 * 9, 0x62 | ENTRY_MASKED); /* becoming an edge ends the service */
    assert_int_equal(guest_read(0x10 + 2 * 9), 0x62 | ENTRY_MASKED);
    /* One that was on its way when the domain masked the pin is not delivered, and not lost. */
    aim(9, 0x63 | LEVEL, 0);
    uint8_t vector = (uint8_t)chip.entry[9];
    guest_write(0x10 + 2 * 9, 0x63 | LEVEL | ENTRY_MASKED);
    chip_dispatch(vector);
    assert_int_equal(got[0][0x63], 0);
    guest_write(0x10 + 2 * 9, 0x63 | LEVEL);
    chip_settle(10);
    assert_int_equal(got[0][0x63], 1);
    vioapic_eoi(&world_domain, 0x63);
}

/* What names no interrupt masks the pin; what the hypervisor uses is not touched. */
static void test_hostile(void **state)
{
    static const uint32_t bad[] = {0, 15, 0x20f, 0x251, 0x351, 0x451, 0x551, 0x651, 0x751, 0x8000, 0x8751};
    (void)state;
    uint64_t own = chip.entry[KEPT];
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        for (unsigned pin = 0; pin < PINS; pin++) {
            aim(pin, 0x51, 0);
            aim(pin, bad[i], 0xff);
            assert_int_equal(guest_read(0x10 + 2 * pin), bad[i]);
            assert_true(pin == KEPT || chip.entry[pin] & ENTRY_MASKED);
        }
    }
    assert_int_equal(chip.entry[KEPT], own);
    vioapic_eoi(&world_domain, 0);
    struct domain other = {.id = 1};
    vioapic_eoi(&other, 0x61);
    const struct vcpu stranger = {.domain = &other};
    assert_false(vioapic_covers(&stranger, (gpa_t){BASE}));
}

static void test_follows_its_vcpu(void **state)
{
    (void)state;
    aim(8, 0x51, 0);
    assert_int_equal(chip.entry[8] >> 56, world_cpus[0].apic_id);
    world_vcpus[0].cpu = cpus[1];
    chip_edge(8); /* arrives where it was aimed, and moves */
    assert_int_equal(got[0][0x51], 1);
    assert_int_equal(chip.entry[8] >> 56, world_cpus[1].apic_id);
    world_cpus[1].apic_id = 300; /* beyond what a message can name */
    chip_edge(8);
    assert_int_equal(chip.entry[8] >> 56, world_cpus[0].apic_id);
    world_cpus[1].apic_id = 9;
}

static void test_storm(void **state)
{
    (void)state;
    aim(8, 0x51, 0);
    aim(9, 0x61 | LEVEL, 0);
    for (unsigned i = 0; i < 5000; i++)
        chip_edge(8);
    unsigned most = got[0][0x51];
    assert_in_range(most, 100, 4000);
    assert_true(chip.entry[8] & ENTRY_MASKED);
    assert_int_equal(world_told, 1);
    chip.line[9] = true; /* others go on */
    chip_settle(1);
    assert_int_equal(got[0][0x61], 1);
    world_expire();
    assert_false(chip.entry[8] & ENTRY_MASKED);
    assert_int_equal(got[0][0x51], most + 1); /* for edges that were lost */
    chip_edge(8);
    assert_int_equal(got[0][0x51], most + 2);
    assert_null(world_armed);

    /* A level comes as often as it is acknowledged; and what the domain masked meanwhile stays so. */
    for (unsigned i = 0; i < 5000; i++) {
        vioapic_eoi(&world_domain, 0x61);
        chip_settle(1);
    }
    assert_in_range(got[0][0x61], 50, most / 4);
    guest_write(0x10 + 2 * 9, 0x61 | LEVEL | ENTRY_MASKED);
    world_expire();
    chip_settle(10);
    assert_true(chip.entry[9] & ENTRY_MASKED);
    assert_int_equal(world_told, 1); /* said once in a while */
}

/* Spread out, any number is fine. */
static void test_no_storm(void **state)
{
    (void)state;
    aim(8, 0x51, 0);
    for (unsigned i = 0; i < 10000; i++, world_now += 20000)
        chip_edge(8);
    assert_int_equal(got[0][0x51], 10000);
    assert_int_equal(world_told, 0);
}

/* --- sources without pins ------------------------------------------------------------------------------- */

static unsigned programs, masks;
static void program(struct hwirq *irq, uint32_t host_apic_id, uint8_t host_vector)
{
    assert_int_equal(irq->host_vector, host_vector);
    assert_true(host_apic_id == 1 || host_apic_id == 9);
    programs++;
}
static void mask(struct hwirq *irq, bool masked)
{
    (void)irq;
    masks += masked ? 1 : -1u;
}

static void test_bind(void **state)
{
    static const struct hwirq_operations operations = {.program = program, .mask = mask};
    static struct hwirq irqs[256];
    struct hwirq_route route = {.vector = 0x71};
    unsigned count = 0;
    (void)state;
    for (; count < 256; count++) {
        irqs[count] = (struct hwirq){.operations = &operations};
        int error = hwirq_bind(&world_domain, &irqs[count], &route);
        if (error) {
            assert_int_equal(error, -XEN_ENOSPC);
            break;
        }
    }
    assert_in_range(count, 100, 192);
    assert_int_equal(programs, count);
    uint8_t vector = irqs[0].host_vector;
    for (unsigned i = 0; i < 10000; i++)
        chip_dispatch(vector);
    assert_int_equal(masks, 1);
    for (unsigned i = 0; i < count; i++)
        hwirq_unbind(&irqs[i]);
    assert_int_equal(masks, 0); /* what storms is let go */
    unsigned before = got[0][0x71];
    chip_dispatch(vector);
    assert_int_equal(got[0][0x71], before);
    if (world_armed)
        world_expire();

    route.vector = 15;
    assert_int_equal(hwirq_bind(&world_domain, &irqs[0], &route), -XEN_EINVAL);
    route = (struct hwirq_route){.vector = 0x71, .delivery = 2};
    assert_int_equal(hwirq_bind(&world_domain, &irqs[0], &route), -XEN_EINVAL);
    for (unsigned i = 0; i < 1000; i++) /* nobody's: a few words, no more */
        chip_dispatch(0xe0);
    assert_in_range(world_told, 1, 20);
}

static void test_messages(void **state)
{
    struct hwirq_route r;
    (void)state;
    assert_true(hwirq_route_of_message(0xfee02000, 0x4041, &r));
    assert_true(r.destination == 2 && r.vector == 0x41 && !r.logical && !r.level && !r.delivery);
    assert_true(hwirq_route_of_message(0xfeeff00c, 0x41b1, &r));
    assert_true(r.destination == 0xff && r.vector == 0xb1 && r.logical && r.delivery == 1);
    assert_false(hwirq_route_of_message(0xfee00000, 0x000f, &r));
    assert_false(hwirq_route_of_message(0xfee00000, 0x0241, &r));
    assert_false(hwirq_route_of_message(0xfed00000, 0x0041, &r));
    assert_false(hwirq_route_of_message(0x1fee00000, 0x0041, &r));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        TEST(test_registers), TEST(test_edge),     TEST(test_level),    TEST(test_level_masked),
        TEST(test_hostile),   TEST(test_storm),    TEST(test_no_storm), TEST(test_follows_its_vcpu),
        TEST(test_bind),      TEST(test_messages),
    };
    return cmocka_run_group_tests(tests, world_boot, world_halt);
}
