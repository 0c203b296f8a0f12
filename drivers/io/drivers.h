/* The drivers for PCI functions, for the table in drivers.c. */
#ifndef DRIVERS_IO_DRIVERS_H
#define DRIVERS_IO_DRIVERS_H

#include <drivers/pci.h>

extern const struct pci_driver virtio_blk_driver;
extern const struct pci_driver virtio_net_driver;
extern const struct pci_driver e1000_driver;
extern const struct pci_driver nvme_driver;
extern const struct pci_driver ahci_driver;

#endif
