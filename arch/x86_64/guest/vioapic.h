/*
 * The IO-APICs that the domain with the machine's devices sees (82093AA): one for each real one, at its
 * address, with its number of pins and its GSIs. A pin that the hypervisor uses itself takes settings and
 * never interrupts.
 */
#ifndef X86_GUEST_VIOAPIC_H
#define X86_GUEST_VIOAPIC_H

#include <hv/types.h>

struct domain;
struct vcpu;

/* Once, for the first domain with the machine's devices. 0 or -ENOMEM. */
int vioapic_create(struct domain *d);

/* Accesses of d's vCPUs, as guest/emulate.c wants them. */
bool vioapic_covers(const struct vcpu *v, gpa_t gpa);
uint64_t vioapic_read(struct vcpu *v, gpa_t gpa, unsigned size);
void vioapic_write(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value);

/* d's local APIC finished a level-triggered interrupt. Any domain may be asked about. */
void vioapic_eoi(struct domain *d, uint8_t vector);

#endif
