/*
 * Hypercalls from code that is not in 64-bit mode.
 *
 * Guests are 64-bit; what they call before they get there is little. Only operations without structures, or with ones
 * that the 32-bit ABI lays out alike, are let through; all others are -ENOSYS, because their structures would have to be
 * translated (xen/foreign/).
 */
#include <hv/hypercall.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/sched.h>
#include <xen/version.h>
#include "guest.h"
#include "hypercall32.h"

static bool same_layout(uint32_t number, uint32_t op)
{
    switch (number) {
    case __HYPERVISOR_console_io:
        return true;
    case __HYPERVISOR_event_channel_op:
        return op <= EVTCHNOP_reset; /* beyond: 64-bit members that are aligned differently */
    case __HYPERVISOR_hvm_op:
        return op == HVMOP_set_param || op == HVMOP_get_param;
    case __HYPERVISOR_sched_op:
        return op == SCHEDOP_yield || op == SCHEDOP_block || op == SCHEDOP_shutdown || op == SCHEDOP_watchdog;
    case __HYPERVISOR_xen_version:
        return op == XENVER_version || op == XENVER_extraversion || op == XENVER_get_features;
    default:
        return false;
    }
}

int64_t hypercall32(struct vcpu *v)
{
    static const uint8_t order[6] = {RBX, RCX, RDX, RSI, RDI, RBP};
    uint64_t *gpr = v->arch->gpr, arg[6];

    for (unsigned i = 0; i < ARRAY_SIZE(arg); i++)
        arg[i] = (uint32_t)gpr[order[i]];
    if (!same_layout((uint32_t)gpr[RAX], (uint32_t)arg[0]))
        return -XEN_ENOSYS;
    int64_t result = hypercall((uint32_t)gpr[RAX], arg);
    if (result != HYPERCALL_RESTART)
        return (uint32_t)result;
    for (unsigned i = 0; i < ARRAY_SIZE(arg); i++)
        gpr[order[i]] = (uint32_t)arg[i];
    return result;
}
