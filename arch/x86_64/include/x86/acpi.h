/* What ACPI's tables say (arch/x86_64/acpi.c reads them once at boot). */
#ifndef X86_ACPI_H
#define X86_ACPI_H

#include <hv/cpu.h>
#include <hv/types.h>

#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 24
#define ACPI_MAX_SEGMENTS  4

struct acpi_info {
    maddr_t lapic;
    struct {
        uint32_t apic_id, acpi_id;
    } cpu[MAX_CPUS];
    uint32_t cpus;         /* enabled ones, in MADT order, that fit in cpu[] */
    uint32_t cpus_ignored; /* beyond MAX_CPUS */
    struct {
        uint32_t id, gsi_base;
        maddr_t address;
    } ioapic[ACPI_MAX_IOAPICS];
    uint32_t ioapics;
    struct {
        uint8_t irq;
        uint16_t flags;
        uint32_t gsi;
    } override[ACPI_MAX_OVERRIDES];
    uint32_t overrides;

    maddr_t hpet; /* 0: none */
    struct {
        maddr_t base;
        uint16_t segment;
        uint8_t first_bus, last_bus;
    } mcfg[ACPI_MAX_SEGMENTS];
    uint32_t mcfgs;

    bool pm_timer_32bit, reset_supported;
    uint16_t pm1a_control, pm1b_control; /* I/O ports, 0: none */
    uint16_t pm_timer;                   /* I/O port, 0: none */
    uint32_t smi_command;
    uint8_t acpi_enable;
    struct {
        uint8_t space;
        uint64_t address;
        uint8_t value;
    } reset; /* space as ACPI: 0 memory, 1 I/O, 2 PCI */
    bool has_s5;
    uint8_t s5_type_a, s5_type_b;
    maddr_t dsdt;
};

extern struct acpi_info acpi;

void acpi_init(void);

/* GSI of an ISA interrupt, and its trigger and polarity. */
struct acpi_gsi {
    uint32_t gsi;
    bool level, low;
};
struct acpi_gsi acpi_isa_gsi(uint8_t irq);

#endif
