/*
 * Hypercalls (xen/arch-x86/xen.h, xen/arch-x86/cpuid.h).
 *
 * Each returns what the hypervisor returned: negative errno on failure. Pointers pass as plain numbers:
 * memory is mapped one to one, so an address is a guest-physical address too.
 */
#ifndef PVH_HYPERCALL_H
#define PVH_HYPERCALL_H

#include <pvh/pvh.h>

/* VMCALL or VMMCALL in place, as the processor's vendor wants it. Compatible with dom0/below.h. */
long hypercall(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);
/* The same with all six argument registers. */
long hypercall6(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6);
/* Through the hypercall page, which the first use asks for with the MSR of CPUID leaf 2. op: below 128. */
long hypercall_by_page(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/* First of the Xen CPUID leaves (0x40000000 + n * 0x100), 0 when there is no Xen. */
uint32_t hypercall_cpuid_base(void);
/* True on VMCALL (Intel), false on VMMCALL (AMD). */
bool hypercall_is_vmcall(void);

/* HVMOP_get_param and HVMOP_set_param of this domain: 0 or negative errno. */
long hvm_param_get(uint32_t index, uint64_t *value);
long hvm_param_set(uint32_t index, uint64_t value);

#endif
