/*
 * The machine's IO-APICs (drivers/platform/ioapic.c). All pins are masked at boot. The hypervisor keeps those
 * that it uses itself; the others may be aimed for a domain, and interrupt while no reason to mask them is
 * left.
 */
#ifndef X86_IOAPIC_H
#define X86_IOAPIC_H

#include <hv/types.h>

struct ioapic_route {
    uint8_t vector;
    uint32_t apic_id; /* physical destination, 8 bits of it */
    bool level, low;
};

/* Why a pin is masked. */
enum ioapic_mask {
    IOAPIC_MASK_DOMAIN = 1,  /* its domain wants it so; at boot */
    IOAPIC_MASK_SERVICE = 2, /* a level that its domain has not yet acknowledged */
    IOAPIC_MASK_STORM = 4,
};

struct ioapic_info {
    maddr_t address;
    uint32_t id, gsi_base, pins;
    uint8_t version;
};

void ioapic_init(void);
/* For the hypervisor itself. Unmasks the pin as well. False: there is no such GSI. */
bool ioapic_route(uint32_t gsi, const struct ioapic_route *route);

/* The index-th that answered at boot; false: there is none. */
bool ioapic_describe(unsigned index, struct ioapic_info *info);

/* --- for a domain's pins: gsi is one of those described ------------------------------------------------- */
/* The hypervisor uses it: none of the following may be done to it. */
bool ioapic_kept(uint32_t gsi);
/* As ioapic_route(), but masked or not as it was; when only the CPU changes, no edge is lost. */
void ioapic_aim(uint32_t gsi, const struct ioapic_route *route);
void ioapic_mask(uint32_t gsi, enum ioapic_mask why);
void ioapic_unmask(uint32_t gsi, enum ioapic_mask why);
/* A level arrived: masked with IOAPIC_MASK_SERVICE. False: not to be delivered, as it is in service or its
 * domain masked it. */
bool ioapic_hold(uint32_t gsi);
bool ioapic_in_service(uint32_t gsi);

#endif
