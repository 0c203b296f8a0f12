/*
 * Finds ACPI tables (pvh/acpi.h). They come from the hypervisor or the toolstack, and are trusted. Tables are
 * packed, so what is in them need not be aligned.
 */
#include <lib/string.h>
#include <pvh/acpi.h>
#include <pvh/pvh.h>

struct acpi_rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
} __attribute__((packed));

const struct acpi_table *acpi_find(const char signature[4])
{
    const struct acpi_rsdp *rsdp = (const void *)pvh_start_info->rsdp_paddr;
    if (!rsdp || memcmp(rsdp->signature, "RSD PTR ", 8) || rsdp->revision < 2)
        return NULL;
    const struct acpi_table *xsdt = (const void *)rsdp->xsdt;
    for (uint32_t at = sizeof *xsdt; at + 8 <= xsdt->length; at += 8) {
        uint64_t address;
        memcpy(&address, (const char *)xsdt + at, sizeof address);
        const struct acpi_table *table = (const void *)address;
        if (!memcmp(table->signature, signature, 4))
            return table;
    }
    return NULL;
}
