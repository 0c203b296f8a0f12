/* Hypercalls from 16- and 32-bit code: the few that boot loaders and kernels make there
 * (guest/hypercall32.c). */
#ifndef X86_GUEST_HYPERCALL32_H
#define X86_GUEST_HYPERCALL32_H

#include <hv/types.h>

struct vcpu;

/* For the current vCPU at CPL 0; arguments from ebx, ecx, edx, esi, edi, ebp. As hypercall(). */
int64_t hypercall32(struct vcpu *v);

#endif
