/*
 * Events into the guest (SDM vol. 3, 27.6, 28.2.4): injection, injecting again what an exit cut off, and the
 * exits when the guest becomes able to take an interrupt or an NMI.
 *
 * Interface: vmx.h. Locking: none, see vmx.c. The event waits in struct arch_vcpu and goes into the VMCS at
 * the entry.
 */
#include "vmx.h"
#include "../guest/exit.h"
#include <x86/msr.h>
#include <x86/traps.h>

void vmx_inject(struct vcpu *v, enum event_type type, uint8_t vector, bool has_error_code,
                uint32_t error_code)
{
    struct arch_vcpu *a = v->arch;
    uint32_t queued = a->event_queued ? a->vmx.entry_event : 0;

    if (type == EVENT_NONE) {
        a->vmx.entry_event = 0;
        a->vmx.work |= VMX_EVENT;
        a->event_queued = false;
        return;
    }
    /* An exception goes before an interrupt whose delivery an exit had cut off; that one comes later. */
    if (queued && EVENT_INFO_TYPE(queued) != EVENT_EXCEPTION)
        event_put_back(v, EVENT_INFO_TYPE(queued), EVENT_INFO_VECTOR(queued));
    a->vmx.entry_event = EVENT_INFO_VALID | (uint32_t)type << 8 | vector;
    if (has_error_code) {
        a->vmx.entry_event |= EVENT_INFO_HAS_ERROR;
        a->vmx.entry_error = error_code;
    }
    a->vmx.work |= VMX_EVENT;
    a->event_queued = true;
}

void vmx_event_enter(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;

    vmcs_write(VMCS_ENTRY_EVENT, a->vmx.entry_event);
    if (a->vmx.entry_event & EVENT_INFO_HAS_ERROR)
        vmcs_write(VMCS_ENTRY_ERROR, a->vmx.entry_error);
    a->event_queued = false;
}

/*
 * A software interrupt or exception starts again with its instruction, to which RIP still points; everything
 * else has to be injected again. An NMI must find itself unblocked for that.
 */
void vmx_requeue(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    uint32_t info = (uint32_t)vmcs_read(VMCS_INTERRUPTED_EVENT);

    if (likely(!(info & EVENT_INFO_VALID)))
        return;
    switch (EVENT_INFO_TYPE(info)) {
    case EVENT_NMI:
        vmcs_write(VMCS_INTERRUPTIBILITY, vmcs_read(VMCS_INTERRUPTIBILITY) & ~(uint64_t)BLOCKED_BY_NMI);
        break;
    case EVENT_INTERRUPT:
    case EVENT_EXCEPTION:
        break;
    default:
        return;
    }
    a->vmx.entry_event = info & (EVENT_INFO_VALID | EVENT_INFO_HAS_ERROR | 0x7ff);
    if (info & EVENT_INFO_HAS_ERROR)
        a->vmx.entry_error = (uint32_t)vmcs_read(VMCS_INTERRUPTED_ERROR);
    a->vmx.work |= VMX_EVENT;
    a->event_queued = true;
}

bool vmx_interruptible(const struct vcpu *v, bool nmi)
{
    const struct arch_vcpu *a = v->arch;

    if (!nmi && !(a->rflags & RFLAGS_IF))
        return false;
    uint64_t state = vmcs_read(VMCS_INTERRUPTIBILITY);
    if (state & SHADOW_STI_MOV_SS && a->rip == a->vmx.exit_rip)
        return false;
    return !nmi || !(state & BLOCKED_BY_NMI);
}

void vmx_set_primary(struct vcpu *v, uint32_t controls)
{
    if (v->arch->vmx.controls == controls)
        return;
    v->arch->vmx.controls = controls;
    vmcs_write(VMCS_PRIMARY_CONTROLS, controls);
}

/* The NMI window only while an NMI waits: it opens at once for a guest that just cannot take interrupts. */
void vmx_want_window(struct vcpu *v, bool on)
{
    uint32_t controls = v->arch->vmx.controls & ~(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);

    v->arch->window_wanted = on;
    if (on)
        controls |= v->arch->nmi_pending ? PRIMARY_NMI_WINDOW : PRIMARY_INTERRUPT_WINDOW;
    vmx_set_primary(v, controls);
}
