/* What ACPI's tables say (arch/x86_64/acpi.c reads them once at boot). */
#ifndef X86_ACPI_H
#define X86_ACPI_H

#include <hv/cpu.h>
#include <hv/types.h>

#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 24
#define ACPI_MAX_SEGMENTS  16 /* areas of PCI configuration space */
#define ACPI_MAX_IOMMUS    16

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
    struct {
        maddr_t start;
        uint64_t size;
    } iommu[ACPI_MAX_IOMMUS]; /* registers */
    uint32_t iommus;

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
/* The index-th table of the XSDT or RSDT, whatever it is, of which the header can be read. NULL past the
 * last. Boot only. */
struct acpi_header;
const struct acpi_header *acpi_listed(unsigned index);

/* GSI of an ISA interrupt, and its trigger and polarity. */
struct acpi_gsi {
    uint32_t gsi;
    bool level, low;
};
struct acpi_gsi acpi_isa_gsi(uint8_t irq);

#endif
