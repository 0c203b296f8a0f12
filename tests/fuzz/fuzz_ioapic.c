/* sources: tests/unit/fake/ioapic_world.c arch/x86_64/guest/hwirq.c arch/x86_64/guest/vioapic.c arch/x86_64/irq.c hv/lock.c */
/* cflags: -Iarch/x86_64/include */
/*
 * A domain writes anything to its IO-APIC while lines rise and fall, vCPUs move and time passes. Whatever it
 * did: a level comes once until it is acknowledged, the hypervisor's own pin stays as it is, and a pin that
 * is set up well works afterwards.
 */
#include <stdlib.h>
#include <string.h>
#include <hv/panic.h>
#include <x86/cpu.h>
#include "../../arch/x86_64/guest/vioapic.h"
#include "../unit/fake/ioapic_world.h"

static struct vcpu *v = &world_vcpus[0];
static uint64_t own_entry;

static void write_register(uint32_t number, uint32_t value)
{
    vioapic_write(v, (gpa_t){BASE}, 4, number);
    vioapic_write(v, (gpa_t){BASE + 0x10}, 4, value);
}

static uint32_t read_register(uint32_t number)
{
    vioapic_write(v, (gpa_t){BASE}, 4, number);
    return (uint32_t)vioapic_read(v, (gpa_t){BASE + 0x10}, 4);
}

/* One of the things that can happen; a few bits of value say which way. */
static void step(uint8_t what, uint8_t which, uint16_t value)
{
    unsigned pin = which % PINS;
    switch (what % 9) {
    case 0:
        write_register(which, (uint32_t)value << 16 | value);
        break;
    case 1: /* likely settings */
        write_register(0x10 + 2 * pin,
                       (0x40 + pin) | (value & 1 ? ENTRY_LEVEL : 0) | (value & 2 ? ENTRY_MASKED : 0));
        write_register(0x10 + 2 * pin + 1, (uint32_t)(value >> 8 & 7) << 24);
        break;
    case 2:
        chip.line[pin] = value & 1;
        break;
    case 3:
        chip_edge(pin);
        break;
    case 4:
        vioapic_eoi(&world_domain, value & 1 ? (uint8_t)(0x40 + pin) : which);
        break;
    case 5:
        world_now += (ns_t)value * 1000;
        if (world_armed && world_armed->expires <= world_now)
            world_expire();
        break;
    case 6:
        world_vcpus[which % VCPUS].cpu = cpus[value & 1];
        break;
    case 7:
        vioapic_write(v, (gpa_t){BASE + (value & 0xfff)}, 1u << which % 4, (uint64_t)which << 56 | value);
        vioapic_read(v, (gpa_t){BASE + (value & 0xfff)}, 1u << which % 4);
        break;
    case 8: /* on its way from before */
        chip_dispatch((uint8_t)chip.entry[pin] >= 0x30 && pin != KEPT ? (uint8_t)chip.entry[pin] : 0xef);
        break;
    }
}

/* Nothing may be left that keeps a pin from working, once it is set up in order. */
static void expect_good_pin(unsigned pin)
{
    chip.line[pin] = false;
    write_register(0x10 + 2 * pin, 0x91 | ENTRY_LEVEL | ENTRY_MASKED);
    vioapic_eoi(&world_domain, 0x91);
    write_register(0x10 + 2 * pin + 1, 2u << 24);
    write_register(0x10 + 2 * pin, 0x91 | ENTRY_LEVEL);
    ASSERT(chip_settle(1) == 0);
    for (unsigned i = 0; i < 2; i++) {
        unsigned before = got[1][0x91];
        chip.line[pin] = true;
        ASSERT(chip_settle(PINS) == 1 && got[1][0x91] == before + 1);
        ASSERT(read_register(0x10 + 2 * pin) & 1u << 14);
        chip.line[pin] = false;
        vioapic_eoi(&world_domain, 0x91);
    }
    write_register(0x10 + 2 * pin, ENTRY_MASKED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!own_entry) {
        ASSERT(!world_boot(NULL));
        own_entry = chip.entry[KEPT];
    }
    for (unsigned i = 0; i < VCPUS; i++)
        world_vcpus[i].cpu = cpus[0];
    for (; size >= 4; data += 4, size -= 4) {
        step(data[0], data[1], (uint16_t)(data[2] | data[3] << 8));
        ASSERT(chip_settle(2 * PINS) <= PINS);
        ASSERT(chip.entry[KEPT] == own_entry);
    }
    for (unsigned pin = 0; pin < PINS; pin++) {
        chip.line[pin] = false;
        write_register(0x10 + 2 * pin, ENTRY_MASKED);
    }
    world_now += SECOND;
    if (world_armed)
        world_expire();
    for (unsigned pin = 0; pin < PINS; pin++)
        if (pin != KEPT)
            expect_good_pin(pin);
    return 0;
}
