/*
 * The few instructions that are carried out in software: moves to and from memory that is no RAM (local APIC,
 * and for dom0 the registers that Hospes watches). Decoding is guest/decode.c's.
 */
#ifndef X86_GUEST_EMULATE_H
#define X86_GUEST_EMULATE_H

#include <hv/types.h>

struct vcpu;
struct vmexit;

/*
 * EXIT_P2M_FAULT: populates nothing; emulates an access to the local APIC, to trapped device memory or to an
 * empty bus. Crashes the domain, with a line that says what it touched, when it runs code or has page tables
 * where nothing is. v->arch's rip has moved past the instruction if it was done.
 */
void emulate_p2m_fault(struct vcpu *v, const struct vmexit *exit);

#endif
