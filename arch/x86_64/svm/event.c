/*
 * Events into the guest (APM vol. 2, 15.20, 15.21): injection, injecting again what an exit cut off, and the
 * exit when the guest becomes able to take an interrupt.
 *
 * Interface: svm.h. Locking: none, see svm.c.
 */
#include "svm.h"
#include "../guest/exit.h"
#include <x86/msr.h>
#include <x86/traps.h>

#define SHADOW 1ull /* STI or MOV SS shadow, in interrupt_shadow */

static void intercept(struct vmcb *vmcb, uint32_t bit, bool on)
{
    uint32_t wanted = on ? vmcb->intercept1 | bit : vmcb->intercept1 & ~bit;
    if (vmcb->intercept1 == wanted)
        return;
    vmcb->intercept1 = wanted;
    vmcb->clean &= ~(uint64_t)CLEAN_INTERCEPTS;
}

void svm_inject(struct vcpu *v, enum event_type type, uint8_t vector, bool has_error_code,
                uint32_t error_code)
{
    struct vmcb *vmcb = vmcb_of(v);
    struct arch_vcpu *a = v->arch;
    if (type == EVENT_NONE) {
        vmcb->event_injection = 0;
        a->event_queued = a->svm.nmi_masked = false;
        intercept(vmcb, INTERCEPT_IRET, false);
        return;
    }
    /* An exception goes before an interrupt whose delivery an exit had cut off; that one comes later. */
    if (vmcb->event_injection & EVENT_VALID && EVENT_TYPE(vmcb->event_injection) != EVENT_EXCEPTION)
        event_put_back(v, EVENT_TYPE(vmcb->event_injection), EVENT_VECTOR(vmcb->event_injection));
    vmcb->event_injection = EVENT_VALID | (uint64_t)type << 8 | vector;
    if (has_error_code)
        vmcb->event_injection |= EVENT_HAS_ERROR | (uint64_t)error_code << 32;
    a->event_queued = true;
    if (type == EVENT_NMI) {
        a->svm.nmi_masked = true;
        intercept(vmcb, INTERCEPT_IRET, true);
    }
}

void svm_nmi_done(struct vcpu *v)
{
    v->arch->svm.nmi_masked = false;
    intercept(vmcb_of(v), INTERCEPT_IRET, false);
    vmcb_of(v)->interrupt_shadow |= SHADOW; /* the IRET itself comes first */
}

/*
 * A software interrupt or exception starts again with its instruction, to which RIP still points; everything
 * else has to be injected again.
 */
void svm_requeue(struct vcpu *v)
{
    struct vmcb *vmcb = vmcb_of(v);
    uint64_t event = vmcb->exit_int_info;
    unsigned type = EVENT_TYPE(event), vector = EVENT_VECTOR(event);
    if (type == EVENT_SOFTWARE_INT || (type == EVENT_EXCEPTION && (vector == TRAP_BP || vector == TRAP_OF)))
        return;
    vmcb->event_injection = event;
    v->arch->event_queued = true;
}

/*
 * QEMU's TCG remembers the vector of an interrupt that VMRUN injected, and delivers it once more if it
 * happens to leave its loop before the next exit. A virtual interrupt it delivers once. The guest can take it
 * now, or it would not have been injected; so it enters before anything else, unless the exit comes even
 * earlier, and then it waits in V_IRQ. Only the handler's IRET can tell then when the next one could follow.
 */
bool svm_virtual_begin(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    struct vmcb *vmcb = vmcb_of(v);
    uint8_t vector = EVENT_VECTOR(vmcb->event_injection);
    if (EVENT_TYPE(vmcb->event_injection) != EVENT_INTERRUPT)
        return false;

    a->svm.real_control = vmcb->interrupt_control;
    a->svm.real_intercepts = vmcb->intercept1;
    vmcb->event_injection = 0;
    vmcb->interrupt_control = V_INTR_MASKING | V_IGNORE_TPR | V_IRQ | V_PRIORITY_MAX | V_VECTOR(vector);
    vmcb->intercept1 &= ~INTERCEPT_VINTR;
    if (a->window_wanted)
        vmcb->intercept1 |= INTERCEPT_IRET;
    vmcb->clean &= ~(uint64_t)(CLEAN_INTERRUPT | CLEAN_INTERCEPTS);
    return true;
}

void svm_virtual_end(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    struct vmcb *vmcb = vmcb_of(v);
    bool waits = vmcb->interrupt_control & V_IRQ;
    uint8_t vector = (uint8_t)(vmcb->interrupt_control >> V_VECTOR_SHIFT);

    vmcb->interrupt_control = a->svm.real_control;
    vmcb->intercept1 = a->svm.real_intercepts;
    vmcb->clean &= ~(uint64_t)(CLEAN_INTERRUPT | CLEAN_INTERCEPTS);
    if (!waits)
        return;
    if (EVENT_VECTOR(vmcb->exit_int_info) == vector)
        vmcb->exit_int_info = 0; /* its own delivery was cut off */
    if (vmcb->exit_int_info & EVENT_VALID) {
        event_put_back(v, EVENT_INTERRUPT, vector);
        return;
    }
    vmcb->event_injection = EVENT_VALID | vector;
    a->event_queued = true;
}

bool svm_interruptible(const struct vcpu *v, bool nmi)
{
    const struct vmcb *vmcb = vmcb_of(v);
    bool shadow = vmcb->interrupt_shadow & SHADOW && v->arch->rip == v->arch->svm.exit_rip;
    return !shadow && (nmi ? !v->arch->svm.nmi_masked : (v->arch->rflags & RFLAGS_IF) != 0);
}

/*
 * A virtual interrupt that is never delivered: its intercept comes first. An NMI that waits for the end of a
 * shadow uses the same window, which opens only with IF; one that waits for the handler's IRET gets an exit
 * there.
 */
void svm_want_window(struct vcpu *v, bool on)
{
    struct vmcb *vmcb = vmcb_of(v);
    v->arch->window_wanted = on;
    if (on)
        vmcb->interrupt_control |= V_IRQ | V_PRIORITY_MAX;
    else
        vmcb->interrupt_control &= ~(V_IRQ | V_PRIORITY_MAX);
    vmcb->clean &= ~(uint64_t)CLEAN_INTERRUPT;
    intercept(vmcb, INTERCEPT_VINTR, on);
}
