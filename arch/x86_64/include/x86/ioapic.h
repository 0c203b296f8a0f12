/*
 * The machine's IO-APICs (drivers/platform/ioapic.c). All pins are masked at boot. The hypervisor routes the
 * pins that it uses itself; dom0's accesses are emulated over the same functions
 * (arch/x86_64/guest/vioapic.c).
 *
 * Locking: none of its own; routing happens at boot or under the caller's lock.
 */
#ifndef X86_IOAPIC_H
#define X86_IOAPIC_H

#include <hv/types.h>

struct ioapic_route {
    uint8_t vector;
    uint32_t apic_id; /* physical destination */
    bool level, low, masked;
};

void ioapic_init(void);
uint32_t ioapic_gsi_count(void); /* highest GSI + 1 */
/* -ENOENT style: false when there is no such GSI. */
bool ioapic_route(uint32_t gsi, const struct ioapic_route *route);
bool ioapic_mask(uint32_t gsi, bool masked);
/* A level interrupt that waits for its EOI at the IO-APIC (remote IRR). */
bool ioapic_remote_irr(uint32_t gsi);
/* Directed EOI, for vectors whose broadcast is not enough (IO-APIC version 0x20 on). */
void ioapic_eoi(uint32_t gsi, uint8_t vector);
/* True when the hypervisor uses this GSI itself (serial line): it is not dom0's. */
bool ioapic_gsi_reserved(uint32_t gsi);
void ioapic_reserve_gsi(uint32_t gsi);

#endif
