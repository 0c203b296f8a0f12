/*
 * PCI configuration space of the machine (drivers/platform/pci.c): ECAM where MCFG names the bus, ports
 * CF8/CFC otherwise. Locking: an own lock around the port pair.
 */
#ifndef X86_PCI_H
#define X86_PCI_H

#include <hv/types.h>

struct pci_address {
    uint16_t segment;
    uint8_t bus, device, function;
};

/* size 1, 2 or 4, offset aligned to it and < 4096. All ones when nothing answers or the offset cannot be
 * reached. */
uint32_t pci_config_read(struct pci_address where, uint16_t offset, unsigned size);
void pci_config_write(struct pci_address where, uint16_t offset, unsigned size, uint32_t value);

#endif
