/*
 * What ACPI's tables say (arch/x86_64/acpi.c reads them once at boot), and where the tables lie for dom0's
 * own.
 */
#ifndef X86_ACPI_H
#define X86_ACPI_H

#include <hv/cpu.h>
#include <hv/types.h>

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision, creator_id, creator_revision;
} __attribute__((packed));

#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 24
#define ACPI_MAX_SEGMENTS  4

struct acpi_info {
    maddr_t rsdp; /* 0: none known */
    maddr_t xsdt; /* 0: only rsdt */
    maddr_t rsdt;
    uint8_t revision; /* of the RSDP */

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
    bool has_8259;

    maddr_t hpet; /* 0: none */
    struct {
        maddr_t base;
        uint16_t segment;
        uint8_t first_bus, last_bus;
    } mcfg[ACPI_MAX_SEGMENTS];
    uint32_t mcfgs;

    bool has_fadt, pm_timer_32bit, hw_reduced, reset_supported;
    uint16_t sci_irq;
    uint16_t pm1a_control, pm1b_control; /* I/O ports, 0: none */
    uint16_t pm1a_event, pm1b_event;
    uint16_t pm_timer; /* I/O port, 0: none */
    uint32_t smi_command;
    uint8_t acpi_enable;
    struct {
        uint8_t space;
        uint64_t address;
        uint8_t value;
    } reset; /* space as ACPI: 0 memory, 1 I/O, 2 PCI */
    bool has_s5;
    uint8_t s5_type_a, s5_type_b;
    maddr_t dsdt, facs;
};

extern struct acpi_info acpi;

void acpi_init(void);
/* The index-th table with that signature (checksum right), NULL when there is none. For dom0's tables. */
const struct acpi_header *acpi_find(const char *signature, unsigned index);
/*
 * The index-th table of the XSDT or RSDT, whatever it is; its machine address in *where. NULL past the last.
 */
const struct acpi_header *acpi_table(unsigned index, maddr_t *where);

/* GSI of an ISA interrupt, and its trigger and polarity. */
struct acpi_gsi {
    uint32_t gsi;
    bool level, low;
};
struct acpi_gsi acpi_isa_gsi(uint8_t irq);

#endif
