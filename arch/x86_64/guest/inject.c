/*
 * Events for the guest: what is delivered next, and the event channel's upcall (hv/arch/vcpu.h).
 *
 * Order: what an exit interrupted, NMI, the domain's callback vector, the local APIC's interrupts. At most
 * one enters per entry; when one waits that cannot enter yet, the vendor code makes the guest exit as soon as
 * it can.
 *
 * Locking: none. Other CPUs only set flags (upcall pending, the APIC's request bits, nmi_pending) and kick.
 */
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/evtchn.h>
#include <x86/msr.h>
#include <x86/traps.h>
#include <xen/errno.h>
#include <xen/hvm/params.h>
#include "exit.h"
#include "vlapic.h"

static inline bool callback_pending(const struct vcpu *v)
{
    return v->domain->arch->callback_vector && !v->arch->upcall_vector && vcpu_upcall_pending(v);
}

/* True when it was injected. */
static bool inject_one(struct vcpu *v, bool callback, int vector)
{
    struct arch_vcpu *a = v->arch;
    if (a->event_queued)
        return false;
    if (a->nmi_pending) {
        if (!vendor->interruptible(v, true))
            return false;
        a->nmi_pending = false;
        vendor->inject(v, EVENT_NMI, TRAP_NMI, false, 0);
        return true;
    }
    if (!vendor->interruptible(v, false))
        return false;
    perfc_incr(injected);
    if (callback) {
        perfc_incr(upcalls);
        vendor->inject(v, EVENT_INTERRUPT, v->domain->arch->callback_vector, false, 0);
    } else {
        if (vector == a->upcall_vector)
            perfc_incr(upcalls);
        vlapic_accept(v, (uint8_t)vector);
        vendor->inject(v, EVENT_INTERRUPT, (uint8_t)vector, false, 0);
    }
    return true;
}

void inject_events(struct vcpu *v)
{
    bool callback = callback_pending(v);
    int vector = vlapic_pending(v);
    if (!callback && vector < 0 && !v->arch->nmi_pending)
        return;
    bool injected = inject_one(v, callback, vector);
    /* The callback just injected stays pending until its handler has looked. */
    bool more =
        !injected || vlapic_pending(v) >= 0 || (!callback && callback_pending(v)) || v->arch->nmi_pending;
    if (more != v->arch->window_wanted)
        vendor->want_window(v, more);
}

void event_put_back(struct vcpu *v, enum event_type type, uint8_t vector)
{
    if (type == EVENT_NMI)
        v->arch->nmi_pending = true;
    else if (vector != v->domain->arch->callback_vector) /* that one waits as long as the upcall is pending */
        vlapic_give_back(v, vector);
}

/* --- exceptions ----------------------------------------------------------------------------------------- */

void inject_exception(struct vcpu *v, uint8_t vector)
{
    vendor->inject(v, EVENT_EXCEPTION, vector, false, 0);
}

void inject_exception_error(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    /* In real mode no error code is pushed. */
    bool protected_mode = vendor->get_register(v, REG_CR0) & CR0_PE;
    vendor->inject(v, EVENT_EXCEPTION, vector, protected_mode, protected_mode ? error_code : 0);
}

void inject_page_fault(struct vcpu *v, uint64_t address, uint32_t error_code)
{
    vendor->set_register(v, REG_CR2, address);
    inject_exception_error(v, TRAP_PF, error_code);
}

/* --- upcalls -------------------------------------------------------------------------------------------- */

void arch_upcall(struct vcpu *v)
{
    uint8_t vector = v->arch->upcall_vector;
    if (vector)
        vlapic_set_irq(v, vector);
    else
        vcpu_kick(v);
}

void upcall_again(struct vcpu *v)
{
    if (v->arch->upcall_vector && vcpu_upcall_pending(v))
        arch_upcall(v);
}

int arch_set_upcall_vector(struct vcpu *v, uint32_t vector)
{
    if (vector < 0x10 || vector > 0xff)
        return -XEN_EINVAL;
    v->arch->upcall_vector = (uint8_t)vector;
    upcall_again(v); /* from before: there will be no other edge */
    return 0;
}

/*
 * An interrupt line (GSI or PCI INTx) leads to an interrupt controller that PVH guests do not have. It is
 * taken as Xen takes it, since Linux names one when it uses per-vCPU vectors; no upcall comes through it.
 */
int arch_set_callback_via(struct domain *d, uint64_t via)
{
    uint64_t type = via >> 56;
    if (type > HVM_PARAM_CALLBACK_TYPE_VECTOR)
        return -XEN_EINVAL;
    if (type == HVM_PARAM_CALLBACK_TYPE_VECTOR && (via & 0xff) < 0x10)
        return -XEN_EINVAL;
    d->arch->callback_vector = type == HVM_PARAM_CALLBACK_TYPE_VECTOR ? (uint8_t)via : 0;
    return 0;
}

bool arch_event_pending(const struct vcpu *v)
{
    const struct arch_vcpu *a = v->arch;
    if (a->event_queued || a->nmi_pending || a->init_pending || a->sipi_pending)
        return true;
    return a->rflags & RFLAGS_IF && (vcpu_upcall_pending(v) || vlapic_pending(v) >= 0);
}
