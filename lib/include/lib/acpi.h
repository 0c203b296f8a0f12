/*
 * The ACPI tables of a PVH domain (ACPI 6.3, chapter 5): RSDP, XSDT, FADT, MADT, DSDT. Nothing else exists in
 * such a machine: no fixed hardware, no legacy devices, no PCI.
 */
#ifndef LIB_ACPI_H
#define LIB_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* APIC id of a virtual CPU, as Xen gives it. */
#define APIC_ID(vcpu) ((uint32_t)(vcpu)*2)

/* How many bytes the tables for so many CPUs take. */
size_t acpi_size(unsigned vcpus);
/*
 * Writes them to buf, acpi_size(max_vcpus) bytes that stand for the guest's memory at address. The RSDP comes
 * first. CPUs from vcpus up to max_vcpus are there but not enabled: they can come online later.
 */
void acpi_write(void *buf, uint64_t address, unsigned vcpus, unsigned max_vcpus);

#endif
