/* What the files of the PCI code share. */
#ifndef PCI_INTERNAL_H
#define PCI_INTERNAL_H

#include <drivers/pci.h>

/* Configuration space, offsets in it (PCI 3.0, chapter 6). */
#define PCI_VENDOR_ID        0x00
#define PCI_COMMAND          0x04
#define PCI_STATUS           0x06
#define PCI_REVISION         0x08
#define PCI_HEADER_TYPE      0x0e
#define PCI_BAR(n)           (0x10 + 4 * (n))
#define PCI_SECONDARY_BUS    0x19 /* of bridges */
#define PCI_SUBSYSTEM_VENDOR 0x2c
#define PCI_CAPABILITIES     0x34
#define PCI_INTERRUPT_LINE   0x3c

#define COMMAND_PORTS       (1u << 0)
#define COMMAND_MEMORY      (1u << 1)
#define COMMAND_MASTER      (1u << 2)
#define COMMAND_INTX_OFF    (1u << 10)
#define STATUS_CAPABILITIES (1u << 4)

#define CAPABILITY_MSI  0x05
#define CAPABILITY_MSIX 0x11

/* Buses whose configuration space is in memory. */
struct pci_window {
    uint64_t base; /* of bus 0 */
    uint16_t segment;
    uint8_t first_bus, last_bus;
};
/* The index-th, mapped; false past the last. */
bool pci_window(unsigned index, struct pci_window *window);
/* The bus of the index-th host bridge of segment 0, as far as ACPI names it plainly; false past the last. */
bool pci_root_bus(unsigned index, uint8_t *bus);

#endif
