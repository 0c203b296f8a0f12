/* Registers of the machine's devices in the map of the domain that drives them: one to one, on demand. */
#ifndef X86_GUEST_MMIO_H
#define X86_GUEST_MMIO_H

#include <hv/types.h>

struct domain;

void mmio_init(void);
/*
 * d touched gpa, where nothing is mapped. True: now something is, and the access may be tried again. False:
 * RAM is there, or what the hypervisor keeps for itself or emulates, or d has no such right.
 */
bool mmio_map(struct domain *d, gpa_t gpa);
/* No RAM, nor what the hypervisor keeps for itself or emulates. */
bool mmio_reachable(uint64_t page);

#endif
