/*
 * The machine's IO-APICs (drivers/platform/ioapic.c). All pins are masked at boot, until the hypervisor routes
 * those that it uses itself.
 */
#ifndef X86_IOAPIC_H
#define X86_IOAPIC_H

#include <hv/types.h>

struct ioapic_route {
    uint8_t vector;
    uint32_t apic_id; /* physical destination, 8 bits of it */
    bool level, low;
};

void ioapic_init(void);
/* Unmasks the pin as well. False: there is no such GSI. */
bool ioapic_route(uint32_t gsi, const struct ioapic_route *route);

#endif
