/* What this machine offers to guests, for toolstacks (hv/arch/vcpu.h). No state. */
#include <hv/arch/vcpu.h>
#include <x86/asm.h>
#include <x86/features.h>

/* As Xen names them: 64-bit and 32-bit domains of the HVM kind, which PVH is. */
const char *arch_capabilities(void)
{
    return "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
}

/* The order of Xen's feature set words (xen/arch-x86/cpufeatureset.h). */
void arch_hw_caps(uint32_t hw_cap[8])
{
    struct cpuid none = {0}, f1 = cpuid(1, 0), e1 = cpuid(0x80000001u, 0);
    struct cpuid f7 = cpu_features.max_leaf >= 7 ? cpuid(7, 0) : none;
    struct cpuid xstate = cpu_features.max_leaf >= 0xd ? cpuid(0xd, 1) : none;
    struct cpuid power = cpu_features.max_extended_leaf >= 0x80000007u ? cpuid(0x80000007u, 0) : none;

    hw_cap[0] = f1.edx;
    hw_cap[1] = f1.ecx;
    hw_cap[2] = e1.edx;
    hw_cap[3] = e1.ecx;
    hw_cap[4] = xstate.eax;
    hw_cap[5] = f7.ebx;
    hw_cap[6] = f7.ecx;
    hw_cap[7] = power.edx;
}
