/*
 * PCI configuration space as the domain that drives the machine sees it, and its MSI and MSI-X interrupts.
 *
 * Everything passes through but what interrupts come by: of the MSI and MSI-X capabilities and of MSI-X
 * tables the domain sees what it wrote, and the hardware gets vectors of the host. Hidden are functions that
 * Hospes drives itself and SR-IOV. References: PCI Local Bus 3.0, 6.8; PCI Express Base 4.0, 7.2.2
 * (ECAM), 7.7. Locking: vpci_lock (LOCK_VDEVICE), taken inside.
 */
#ifndef X86_GUEST_VPCI_H
#define X86_GUEST_VPCI_H

#include <hv/types.h>

struct domain;
struct vcpu;

/* Ports 0xCF8 to 0xCFF; size 1, 2 or 4. Only for the privileged domain. */
#define PORT_PCI_FIRST 0xcf8
#define PORT_PCI_LAST  0xcff
uint32_t vpci_in(struct domain *d, uint16_t port, unsigned size);
void vpci_out(struct domain *d, uint16_t port, unsigned size, uint32_t value);

/*
 * Makes 2^order frames of device memory part of d's map, one to one. MSI-X tables, where they are now, have
 * to stay out of it, so that accesses to them come here: -EPERM. Otherwise as p2m_add().
 */
int vpci_map(struct domain *d, gfn_t first, unsigned order);

/* For guest/emulate.c's table: ECAM areas and the pages of MSI-X tables. */
bool vpci_covers(const struct vcpu *v, gpa_t gpa);
uint64_t vpci_read(struct vcpu *v, gpa_t gpa, unsigned size);
void vpci_write(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value);

#endif
