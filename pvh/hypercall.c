/*
 * Ways into the hypervisor (pvh/hypercall.h). What is found out about it is kept in statics that are written
 * before a second CPU runs, or written twice with the same value.
 */
#include <lib/x86.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include "internal.h"

#define CPUID_VENDOR_INTEL 0x756e6547 /* EBX of leaf 0: "Genu" */

enum gate { GATE_UNKNOWN, GATE_VMCALL, GATE_VMMCALL };
static enum gate gate;
static uint8_t hypercall_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static bool hypercall_page_ready;

bool hypercall_is_vmcall(void)
{
    if (gate == GATE_UNKNOWN)
        gate = cpuid(0, 0).ebx == CPUID_VENDOR_INTEL ? GATE_VMCALL : GATE_VMMCALL;
    return gate == GATE_VMCALL;
}

long hypercall6(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)
{
    register uint64_t r10 asm("r10") = a4;
    register uint64_t r8 asm("r8") = a5;
    register uint64_t r9 asm("r9") = a6;
    long result = op;
    if (hypercall_is_vmcall())
        asm volatile("vmcall"
                     : "+a"(result), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8), "+r"(r9)
                     :
                     : "memory");
    else
        asm volatile("vmmcall"
                     : "+a"(result), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8), "+r"(r9)
                     :
                     : "memory");
    return result;
}

long hypercall(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    return hypercall6(op, a1, a2, a3, a4, a5, 0);
}

uint32_t hypercall_cpuid_base(void)
{
    for (uint32_t base = XEN_CPUID_FIRST_LEAF; base < XEN_CPUID_FIRST_LEAF + 0x10000; base += 0x100) {
        struct cpuid leaf = cpuid(base, 0);
        if (leaf.ebx == XEN_CPUID_SIGNATURE_EBX && leaf.ecx == XEN_CPUID_SIGNATURE_ECX &&
            leaf.edx == XEN_CPUID_SIGNATURE_EDX)
            return base;
    }
    return 0;
}

static void load_hypercall_page(void)
{
    uint32_t base = hypercall_cpuid_base();
    if (!base)
        pvh_panic("no Xen CPUID leaves, so no hypercall page");
    wrmsr(cpuid(base + 2, 0).ebx, (uint64_t)hypercall_page);
    hypercall_page_ready = true;
}

long hypercall_by_page(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    if (!hypercall_page_ready)
        load_hypercall_page();
    register uint64_t r10 asm("r10") = a4;
    register uint64_t r8 asm("r8") = a5;
    long result;
    asm volatile("call *%[entry]"
                 : "=a"(result), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
                 : [entry] "b"(hypercall_page + (op & 127) * 32)
                 : "memory", "rcx", "r9", "r11");
    return result;
}

uint32_t vcpu_id(void)
{
    uint32_t base = hypercall_cpuid_base();
    if (!base || cpuid(base, 0).eax < base + 4)
        return cpu_index();
    struct cpuid leaf = cpuid(base + 4, 0);
    return leaf.eax & XEN_HVM_CPUID_VCPU_ID_PRESENT ? leaf.ebx : cpu_index();
}

long hvm_param_get(uint32_t index, uint64_t *value)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};
    long result = hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, (uint64_t)&param, 0, 0, 0);
    if (!result)
        *value = param.value;
    return result;
}

long hvm_param_set(uint32_t index, uint64_t value)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index, .value = value};
    return hypercall(__HYPERVISOR_hvm_op, HVMOP_set_param, (uint64_t)&param, 0, 0, 0);
}
