/*
 * Power-off and reset (hv/panic.h): what ACPI names first, then what PCs have always had. Runs on the last
 * CPU; no locking.
 */
#include <hv/panic.h>
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/clock.h>
#include <x86/features.h>
#include <x86/paging.h>

#define PM1_SCI_ENABLE      0x0001u
#define PM1_SLEEP_TYPE(t)   ((uint16_t)((t) << 10))
#define PM1_SLEEP_TYPE_MASK 0x1c00u
#define PM1_SLEEP_ENABLE    0x2000u
#define ACPI_ENABLE_WAIT_MS 300
#define QEMU_PM1_CONTROL    0x604
#define RESET_CONTROL       0xcf9 /* of the chipset */
#define RESET_HARD          0x06
#define KEYBOARD_COMMAND    0x64
#define KEYBOARD_BUSY       0x02
#define KEYBOARD_RESET      0xfe
#define OBEY_US             100000u /* time for the hardware to do as it was told */

/* ACPI 4.8.2.5: the firmware hands the registers over once it is told to. dom0 may have done it already. */
static void enable_acpi_mode(void)
{
    if (!acpi.smi_command || !acpi.acpi_enable || inw(acpi.pm1a_control) & PM1_SCI_ENABLE)
        return;
    outb((uint16_t)acpi.smi_command, acpi.acpi_enable);
    for (unsigned ms = 0; ms < ACPI_ENABLE_WAIT_MS && !(inw(acpi.pm1a_control) & PM1_SCI_ENABLE); ms++)
        delay_us(1000);
}

static void enter_s5(uint16_t port, uint8_t type)
{
    if (!port)
        return;
    uint16_t value = (uint16_t)((inw(port) & ~PM1_SLEEP_TYPE_MASK) | PM1_SLEEP_TYPE(type));
    outw(port, value);
    outw(port, value | PM1_SLEEP_ENABLE);
}

static void power_off(void)
{
    if (acpi.has_s5 && acpi.pm1a_control) {
        enable_acpi_mode();
        enter_s5(acpi.pm1a_control, acpi.s5_type_a);
        enter_s5(acpi.pm1b_control, acpi.s5_type_b);
        delay_us(OBEY_US);
    }
    if (cpu_features.hypervisor) {
        outw(QEMU_PM1_CONTROL, PM1_SLEEP_ENABLE);
        delay_us(OBEY_US);
    }
}

enum acpi_space { SPACE_MEMORY = 0, SPACE_IO = 1 };

static void reset_by_acpi(void)
{
    if (!acpi.reset_supported || !acpi.reset.address)
        return;
    if (acpi.reset.space == SPACE_IO) {
        outb((uint16_t)acpi.reset.address, acpi.reset.value);
    } else if (acpi.reset.space == SPACE_MEMORY) {
        volatile uint8_t *r = map_device(MADDR(acpi.reset.address), 1);
        if (r)
            *r = acpi.reset.value;
    }
    delay_us(OBEY_US);
}

static void reset(void)
{
    reset_by_acpi();
    outb(RESET_CONTROL, RESET_HARD);
    delay_us(OBEY_US);
    for (unsigned us = 0; us < OBEY_US && inb(KEYBOARD_COMMAND) & KEYBOARD_BUSY; us += 10)
        delay_us(10);
    outb(KEYBOARD_COMMAND, KEYBOARD_RESET);
    delay_us(OBEY_US);
    /* A CPU that cannot deliver an exception resets the machine. */
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};
    asm volatile("lidt %0; int3" : : "m"(no_idt));
}

void arch_machine_shutdown(enum machine_shutdown how)
{
    if (how == MACHINE_REBOOT)
        reset();
    else if (how == MACHINE_POWEROFF)
        power_off();
}
