/*
 * Interprocessor interrupts: what a write to the ICR does to which vCPUs (SDM vol. 3, 11.6 and 11.12.10).
 *
 * Locking: none; see vlapic.c. Targets are touched through atomic flags only.
 */
#include <hv/sched.h>
#include "vlapic_internal.h"

#define ICR_VECTOR(icr)    ((uint8_t)(icr))
#define ICR_MODE(icr)      ((icr) >> 8 & 7)
#define ICR_SHORTHAND(icr) ((icr) >> 18 & 3)

enum { MODE_FIXED = 0, MODE_LOWEST = 1, MODE_SMI = 2, MODE_NMI = 4, MODE_INIT = 5, MODE_SIPI = 6 };
enum { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

#define DFR_CLUSTER_MASK 0xf0000000u /* all ones: flat model */

static bool logical_match(const struct vcpu *target, uint32_t destination)
{
    const struct vlapic *l = target->arch->vlapic;
    uint32_t ldr = l->reg[APIC_LDR];

    if (vlapic_x2apic(target))
        return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff);
    ldr >>= 24;
    if ((l->reg[APIC_DFR] & DFR_CLUSTER_MASK) == DFR_CLUSTER_MASK)
        return destination & ldr & 0xff;
    return (destination >> 4 & 0xf) == ldr >> 4 && (destination & ldr & 0xf);
}

bool vlapic_addressed(const struct vcpu *target, bool logical, uint32_t destination, uint32_t broadcast)
{
    if (!(target->arch->apic_base & APIC_BASE_ENABLE))
        return false;
    if (destination == broadcast)
        return true;
    return logical ? logical_match(target, destination) : destination == 2 * target->id;
}

/* A vCPU that sleeps or was not started looks at its flags again. */
static void rouse(struct vcpu *target)
{
    vcpu_wake(target, VCPU_DOWN);
    vcpu_kick(target);
}

static void deliver(struct vcpu *target, uint32_t icr)
{
    struct arch_vcpu *a = target->arch;

    switch (ICR_MODE(icr)) {
    case MODE_FIXED:
    case MODE_LOWEST:
        vlapic_set_irq(target, ICR_VECTOR(icr));
        break;
    case MODE_NMI:
        a->nmi_pending = true;
        rouse(target);
        break;
    case MODE_INIT:
        if ((icr & APIC_ICR_LEVEL) && !(icr & APIC_ICR_ASSERT))
            break; /* INIT level de-assert means nothing to processors of this century */
        __atomic_store_n(&a->init_pending, true, __ATOMIC_SEQ_CST);
        rouse(target);
        break;
    case MODE_SIPI:
        a->sipi_vector = ICR_VECTOR(icr);
        __atomic_store_n(&a->sipi_pending, true, __ATOMIC_SEQ_CST);
        rouse(target);
        break;
    default: /* SMI: guests have no SMM; the rest is reserved */
        break;
    }
}

static bool wanted(const struct vcpu *v, const struct vcpu *target, uint32_t icr, uint32_t destination)
{
    switch (ICR_SHORTHAND(icr)) {
    case TO_SELF:
        return target == v;
    case TO_ALL:
        return true;
    case TO_OTHERS:
        return target != v;
    default:
        return vlapic_addressed(target, icr & APIC_ICR_LOGICAL, destination, vlapic_x2apic(v) ? ~0u : 0xffu);
    }
}

void vlapic_send_ipi(struct vcpu *v, uint32_t icr, uint32_t destination)
{
    const struct domain *d = v->domain;
    uint32_t mode = ICR_MODE(icr);

    if ((mode == MODE_FIXED || mode == MODE_LOWEST) && ICR_VECTOR(icr) < FIRST_LEGAL_VECTOR) {
        vlapic_error(v, ESR_SEND_VECTOR);
        return;
    }
    if (!(icr & APIC_ICR_LOGICAL) && ICR_SHORTHAND(icr) == TO_DESTINATION && !(destination & 1)) {
        struct vcpu *target = domain_vcpu(d, destination / 2); /* the frequent case */
        if (target && wanted(v, target, icr, destination))
            deliver(target, icr);
        return;
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *target = domain_vcpu(d, i);
        if (!target || !wanted(v, target, icr, destination))
            continue;
        deliver(target, icr);
        if (mode == MODE_LOWEST)
            return; /* any one of them will do */
    }
}
