/* CPUID: the Xen leaves, and a policy that shows only what a guest may use (xen/arch-x86/cpuid.h). */
#include "check.h"
#include <xen/arch-x86/cpuid.h>

static void try_vmx_or_svm(void *arg)
{
    (void)arg;
    if (hypercall_is_vmcall())
        asm volatile("vmptrst %0" : : "m"(*(uint64_t *)(uintptr_t)0x2000) : "memory");
    else
        asm volatile("stgi" : : : "memory");
}

int main(void)
{
    uint32_t base = hypercall_cpuid_base();
    EXPECT_EQ(base, XEN_CPUID_FIRST_LEAF);
    struct cpuid first = cpuid(base, 0);
    EXPECT(first.ebx == XEN_CPUID_SIGNATURE_EBX && first.ecx == XEN_CPUID_SIGNATURE_ECX &&
           first.edx == XEN_CPUID_SIGNATURE_EDX);
    EXPECT(first.eax >= base + 4 && first.eax <= base + XEN_CPUID_MAX_NUM_LEAVES);
    EXPECT_EQ(cpuid(base + 1, 0).eax, 4 << 16 | 17);
    struct cpuid page = cpuid(base + 2, 0);
    EXPECT_EQ(page.eax, 1);
    EXPECT(page.ebx != 0);
    EXPECT_EQ(page.ecx, 0);
    struct cpuid hvm = cpuid(base + 4, 0);
    EXPECT(hvm.eax & XEN_HVM_CPUID_VCPU_ID_PRESENT);
    EXPECT_EQ(hvm.ebx, 0);
    EXPECT(hvm.eax & XEN_HVM_CPUID_DOMID_PRESENT);
    if (pvh_is_dom0())
        EXPECT_EQ(hvm.ecx, 0);
    else
        EXPECT(hvm.ecx > 0 && hvm.ecx < DOMID_FIRST_RESERVED);

    struct cpuid one = cpuid(1, 0);
    EXPECT(one.ecx >> 31);                      /* a hypervisor is there */
    EXPECT((one.edx >> 9) & 1);                 /* local APIC */
    EXPECT((one.edx & 0x6000040) == 0x6000040); /* PAE, SSE, SSE2 */
    EXPECT(!((one.ecx >> 5) & 1));              /* no VMX inside */
    EXPECT(!((one.ecx >> 3) & 1));              /* no MONITOR */
    EXPECT((one.ecx >> 21) & 1);                /* x2APIC */
    EXPECT_EQ(one.ebx >> 24, 0);                /* APIC id of vCPU 0 */
    struct cpuid extended = cpuid(0x80000001, 0);
    EXPECT((extended.edx >> 29) & 1);   /* long mode */
    EXPECT((extended.edx >> 20) & 1);   /* NX */
    EXPECT(!((extended.ecx >> 2) & 1)); /* no SVM inside */
    uint32_t address_bits = cpuid(0x80000008, 0).eax;
    EXPECT((address_bits & 0xff) >= 36 && (address_bits >> 8 & 0xff) >= 48);

    /* Beyond the last leaf there is nothing, and a leaf that is hidden cannot be used either. */
    uint32_t highest = cpuid(0, 0).eax;
    EXPECT(highest >= 0xd && highest < 0x100);
    struct cpuid beyond = cpuid(0x80000000, 0);
    beyond = cpuid(beyond.eax + 1, 0);
    EXPECT((beyond.eax | beyond.ebx | beyond.ecx | beyond.edx) == 0);
    struct pvh_trap trap = {0};
    EXPECT(!pvh_try(try_vmx_or_svm, NULL, &trap));
    EXPECT_EQ(trap.vector, TRAP_UNDEFINED);

    /* XSAVE: the size for what is switched on now is not more than for all there is. */
    if ((one.ecx >> 26) & 1) {
        struct cpuid state = cpuid(0xd, 0);
        EXPECT(state.ebx <= state.ecx && state.ecx < 16384);
        EXPECT((state.eax & 3) == 3);
    }
    return verdict("cpuid");
}
