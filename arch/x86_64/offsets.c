/*
 * Offsets and constants for the assembly files. Compiled to text only; the build turns each line that begins
 * with @@ into a %define of offsets.inc.
 */
#include <hv/arch/layout.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/smp.h>
#include <x86/traps.h>
#include <xen/arch-x86/hvm/start_info.h>
#include "guest/guest.h"

#define DEFINE(name, value)        asm volatile("\n.ascii \"@@" #name " %0\"" : : "i"(value))
#define OFFSET(name, type, member) DEFINE(name, offsetof(type, member))

void offsets(void);
void offsets(void)
{
    DEFINE(PVH_MAGIC, XEN_HVM_START_MAGIC_VALUE);
    DEFINE(SELECTOR_CODE, SELECTOR_CODE);
    DEFINE(SELECTOR_DATA, SELECTOR_DATA);
    DEFINE(TRAP_STUB_SIZE, TRAP_STUB_SIZE);

    DEFINE(TRAMPOLINE_DATA, TRAMPOLINE_DATA);
    OFFSET(TRAMPOLINE_CR3, struct trampoline_data, cr3);
    OFFSET(TRAMPOLINE_ENTRY, struct trampoline_data, entry);
    OFFSET(TRAMPOLINE_STACK, struct trampoline_data, stack);
    OFFSET(TRAMPOLINE_CPU, struct trampoline_data, cpu);
    OFFSET(TRAMPOLINE_EFER, struct trampoline_data, efer);
    OFFSET(TRAMPOLINE_CR4, struct trampoline_data, cr4);
    OFFSET(VCPU_GPR, struct arch_vcpu, gpr);
    OFFSET(VCPU_VMX_HOST_RSP, struct arch_vcpu, vmx.host_rsp);
    OFFSET(FEATURES_RSB_FILL, struct cpu_features, rsb_fill);
}
