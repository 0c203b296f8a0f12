/*
 * The ACPI tables of a PVH domain (ACPI 6.3, chapter 5): RSDP, XSDT, FADT, MADT, DSDT. Nothing else exists in
 * such a machine: no fixed hardware, no legacy devices, no PCI.
 */
#ifndef LIB_ACPI_H
#define LIB_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* APIC id of a virtual CPU, as Xen gives it. */
#define APIC_ID(vcpu) ((uint32_t)(vcpu)*2)

/* How many bytes the tables take for vcpus CPUs that are on, of max_vcpus in all. */
size_t acpi_size(unsigned vcpus, unsigned max_vcpus);
/*
 * Writes them to buf, which has that size and stands for the guest's memory at address. The RSDP comes first.
 * CPUs from vcpus up to max_vcpus are not enabled but can come online later, and have devices in the DSDT.
 */
void acpi_write(void *buf, uint64_t address, unsigned vcpus, unsigned max_vcpus);

/* --- parts of it, for tables that are put together elsewhere -------------------------------------------- */

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));

#define ACPI_RSDP_SIZE 36u
void acpi_write_rsdp(void *to, uint64_t xsdt);
/* Fills in the header of a table whose rest is written, checksum included. */
void acpi_finish(struct acpi_header *header, const char *signature, uint8_t revision, size_t length);
/* A CPU's entry in a MADT; returns where the next one goes. */
#define ACPI_CPU_SIZE 16u /* at most */
uint8_t *acpi_write_cpu(uint8_t *to, unsigned cpu, bool enabled);

#endif
