/* PCI, as far as the portable core passes on what the domain that drives the machine tells (xen/physdev.h).
 */
#ifndef HV_ARCH_PCI_H
#define HV_ARCH_PCI_H

#include <hv/types.h>

struct domain;

/* d found that function, or it is gone. 0 or -ENODEV. */
int arch_pci_added(struct domain *d, uint16_t segment, uint8_t bus, uint8_t devfn);
int arch_pci_removed(struct domain *d, uint16_t segment, uint8_t bus, uint8_t devfn);
/* Those buses' configuration space lies in memory, that of bus 0 at address. 0; -ENODEV: not that firmware's
 * tables know. */
int arch_pci_ecam(uint64_t address, uint16_t segment, uint8_t first_bus, uint8_t last_bus);

#endif
