/* The drivers for PCI functions, in the order in which they are asked. */
#include "drivers.h"

const struct pci_driver *const pci_drivers[] = {
    &virtio_blk_driver, &virtio_net_driver, &e1000_driver, &nvme_driver, &ahci_driver,
};
const size_t pci_driver_count = sizeof pci_drivers / sizeof pci_drivers[0];
