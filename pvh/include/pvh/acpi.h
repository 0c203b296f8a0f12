/* The domain's ACPI tables (ACPI 6.3, chapter 5), as the start info's RSDP leads to them. */
#ifndef PVH_ACPI_H
#define PVH_ACPI_H

#include <stdint.h>

struct acpi_table {
    char signature[4];
    uint32_t length; /* of all, this header included */
    uint8_t revision, checksum;
    char oem[26];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_table) == 36, "ACPI table header");

/* The first table with that signature; NULL: there is none. */
const struct acpi_table *acpi_find(const char signature[4]);

#endif
