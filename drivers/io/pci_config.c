/*
 * Access to PCI configuration space (drivers/pci.h): through the memory that the ACPI table MCFG names (PCI
 * Firmware Specification 3.2, 4.1.2), or through the ports 0xcf8 and 0xcfc, which reach segment 0 and the
 * first 256 bytes of a function. And what ACPI says of buses that no bridge leads to: large machines have
 * several host bridges.
 */
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/acpi.h>
#include <pvh/memory.h>
#include "pci_internal.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define PORT_SPACE     256
#define BUS_SHIFT      20 /* of ECAM: 32 devices, 8 functions, 4 KiB each */

struct mcfg_window {
    uint64_t base; /* of bus 0, even where that is not in the window */
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
} __attribute__((packed));

struct mcfg {
    struct acpi_table header;
    uint64_t reserved;
    struct mcfg_window windows[];
} __attribute__((packed));

bool pci_window(unsigned index, struct pci_window *window)
{
    const struct mcfg *mcfg = (const void *)acpi_find("MCFG");
    if (!mcfg || mcfg->header.length < sizeof *mcfg ||
        index >= (mcfg->header.length - sizeof *mcfg) / sizeof *mcfg->windows)
        return false;
    const struct mcfg_window *from = &mcfg->windows[index];
    uint64_t start = (uint64_t)from->first_bus << BUS_SHIFT, end = ((uint64_t)from->last_bus + 1)
                                                                   << BUS_SHIFT;
    *window = (struct pci_window){.base = from->base,
                                  .segment = from->segment,
                                  .first_bus = from->first_bus,
                                  .last_bus = from->last_bus};
    return start < end && page_map_identity(from->base + start, end - start);
}

/* --- root buses ----------------------------------------------------------------------------------------- */

#define FADT_DSDT   40
#define FADT_X_DSDT 140

/*
 * Of the first two bytes behind a name: what they say as a constant of up to a byte (ACPI 6.3, 20.2.3); -1:
 * something else.
 */
static int constant(const uint8_t *aml)
{
    enum { ZERO = 0x00, ONE = 0x01, BYTE = 0x0a, WORD = 0x0b };
    if (aml[0] == ZERO || aml[0] == ONE)
        return aml[0];
    return aml[0] == BYTE || aml[0] == WORD ? aml[1] : -1;
}

static const struct acpi_table *find_dsdt(void)
{
    const struct acpi_table *fadt = acpi_find("FACP"), *dsdt;
    uint32_t low = 0;
    uint64_t address = 0;
    if (!fadt || fadt->length < FADT_DSDT + sizeof low)
        return NULL;
    memcpy(&low, (const char *)fadt + FADT_DSDT, sizeof low);
    if (fadt->length >= FADT_X_DSDT + sizeof address)
        memcpy(&address, (const char *)fadt + FADT_X_DSDT, sizeof address);
    dsdt = (const void *)(address ? address : low);
    if (!dsdt || !page_map_identity((uint64_t)dsdt, sizeof *dsdt) ||
        !page_map_identity((uint64_t)dsdt, dsdt->length))
        return NULL;
    return dsdt;
}

bool pci_root_bus(unsigned index, uint8_t *bus)
{
    /* Name (_BBN, constant): 08 and the name. A method instead of it would take an interpreter of AML. */
    static const uint8_t name[] = {0x08, '_', 'B', 'B', 'N'};
    const struct acpi_table *dsdt = find_dsdt();
    if (!dsdt || dsdt->length < sizeof *dsdt + sizeof name + 2)
        return false;
    const uint8_t *at = (const uint8_t *)(dsdt + 1),
                  *last = (const uint8_t *)dsdt + dsdt->length - sizeof name - 2;
    for (; at <= last; at++) {
        if (*at != name[0] || memcmp(at, name, sizeof name) || constant(at + sizeof name) < 0 || index--)
            continue;
        *bus = (uint8_t)constant(at + sizeof name);
        return true;
    }
    return false;
}

/* --- access --------------------------------------------------------------------------------------------- */

/* The function's 4 KiB; NULL: ports only. */
static volatile char *memory_of(const struct pci_function *f)
{
    return f->window_base
               ? (volatile char *)f->window_base +
                     ((uint64_t)f->bus << BUS_SHIFT | (uint64_t)f->device << 15 | (uint64_t)f->function << 12)
               : NULL;
}

/* The port of the byte at offset; 0: out of the ports' reach. */
static uint16_t select_port(const struct pci_function *f, uint16_t offset)
{
    if (f->segment || offset >= PORT_SPACE)
        return 0;
    outl(CONFIG_ADDRESS, 1u << 31 | (uint32_t)f->bus << 16 | (uint32_t)f->device << 11 |
                             (uint32_t)f->function << 8 | (offset & 0xfcu));
    return CONFIG_DATA + (offset & 3);
}

#define CONFIG_ACCESSORS(bits, suffix)                                                                       \
    uint##bits##_t pci_read##bits(const struct pci_function *f, uint16_t offset)                             \
    {                                                                                                        \
        volatile char *memory = memory_of(f);                                                                \
        if (memory)                                                                                          \
            return *(volatile uint##bits##_t *)(memory + offset);                                            \
        uint16_t port = select_port(f, offset);                                                              \
        return port ? in##suffix(port) : (uint##bits##_t) ~0u;                                               \
    }                                                                                                        \
    void pci_write##bits(const struct pci_function *f, uint16_t offset, uint##bits##_t value)                \
    {                                                                                                        \
        volatile char *memory = memory_of(f);                                                                \
        uint16_t port = memory ? 0 : select_port(f, offset);                                                 \
        if (memory)                                                                                          \
            *(volatile uint##bits##_t *)(memory + offset) = value;                                           \
        else if (port)                                                                                       \
            out##suffix(port, value);                                                                        \
    }
CONFIG_ACCESSORS(8, b)
CONFIG_ACCESSORS(16, w)
CONFIG_ACCESSORS(32, l)
