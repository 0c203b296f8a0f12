/* What the files of the local APIC share: vlapic.c (registers, priorities), vlapic_ipi.c (ICR),
 * vlapic_timer.c. */
#ifndef X86_GUEST_VLAPIC_INTERNAL_H
#define X86_GUEST_VLAPIC_INTERNAL_H

#include "guest.h"
#include "vlapic.h"
#include <x86/msr.h>

/* Registers by number: offset in the xAPIC page divided by 16, MSR minus 0x800 (SDM vol. 3, tables 11-1 and
 * 11-6). */
enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT_TIMER = 0x32,
    REG_LVT_THERMAL = 0x33,
    REG_LVT_PERF = 0x34,
    REG_LVT_LINT0 = 0x35,
    REG_LVT_LINT1 = 0x36,
    REG_LVT_ERROR = 0x37,
    REG_TIMER_INITIAL = 0x38,
    REG_TIMER_CURRENT = 0x39,
    REG_TIMER_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
    APIC_REGISTERS = 0x40,
};

#define SVR_ENABLED        0x100u
#define LVT_MASKED         0x10000u
#define ESR_SEND_VECTOR    0x20u
#define ESR_RECEIVE_VECTOR 0x40u
#define ESR_REGISTER       0x80u
#define FIRST_LEGAL_VECTOR 0x10u

enum { LVT_TIMER_MODE = 3u << 17, LVT_ONE_SHOT = 0, LVT_PERIODIC = 1u << 17, LVT_TSC_DEADLINE = 2u << 17 };

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
    return v->arch->apic_base & APIC_BASE_ENABLE && v->arch->vlapic->reg[REG_SVR] & SVR_ENABLED;
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
