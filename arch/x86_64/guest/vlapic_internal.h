/* What the files of the local APIC share: vlapic.c (registers, priorities), vlapic_ipi.c (ICR),
 * vlapic_timer.c. */
#ifndef X86_GUEST_VLAPIC_INTERNAL_H
#define X86_GUEST_VLAPIC_INTERNAL_H

#include "guest.h"
#include "vlapic.h"
#include <lib/apic.h>
#include <x86/msr.h>

#define ESR_SEND_VECTOR    0x20u
#define ESR_RECEIVE_VECTOR 0x40u
#define ESR_REGISTER       0x80u
#define FIRST_LEGAL_VECTOR 0x10u

/* reg[]: the vCPU's own CPU's, but for IRR and TMR, whose bits others change atomically. */
struct vlapic {
    uint32_t reg[APIC_REGISTERS];
    uint32_t errors; /* since the last write to ESR */
    struct timer timer;
    ns_t period;                /* of the periodic timer; 0: one-shot */
    volatile uint64_t deadline; /* IA32_TSC_DEADLINE; 0: not armed. Cleared by whichever CPU runs the timer */
};

static inline bool vlapic_x2apic(const struct vcpu *v)
{
    return v->arch->apic_base & APIC_BASE_X2APIC;
}
static inline bool vlapic_usable(const struct vcpu *v)
{
    return v->arch->apic_base & APIC_BASE_ENABLE && v->arch->vlapic->reg[APIC_SVR] & APIC_SVR_ENABLE;
}

/* vlapic.c: into ESR at its next write, and LVT error's interrupt. */
void vlapic_error(struct vcpu *v, uint32_t bit);

/* vlapic_ipi.c: ICR was written. destination: as the mode has it, 8 or 32 bits. */
void vlapic_send_ipi(struct vcpu *v, uint32_t icr, uint32_t destination);

/* vlapic_timer.c */
void vlapic_timer_init(struct vcpu *v);
void vlapic_timer_stop(struct vcpu *v);
void vlapic_timer_start(struct vcpu *v); /* TIMER_INITIAL or TIMER_DIVIDE was written */
uint32_t vlapic_timer_current(const struct vcpu *v);
void vlapic_timer_set_lvt(struct vcpu *v, uint32_t lvt);
void vlapic_timer_set_deadline(struct vcpu *v, uint64_t guest_tsc);

#endif
