/*
 * Records of the HVM context that hvm_context_cpu.c knows: registers, and the FPU in the format of XSAVE. The
 * vCPU does not run. check: false for what no CPU could run; load cannot fail after it.
 */
#ifndef X86_GUEST_HVM_CONTEXT_H
#define X86_GUEST_HVM_CONTEXT_H

#include <hv/types.h>

struct vcpu;

size_t context_cpu_save(struct vcpu *v, void *to);
bool context_cpu_check(const struct vcpu *v, const void *from, size_t size);
void context_cpu_load(struct vcpu *v, const void *from, size_t size);

uint32_t context_xsave_size(void); /* bytes of the longest record */
size_t context_xsave_save(struct vcpu *v, void *to);
bool context_xsave_check(const struct vcpu *v, const void *from, size_t size);
void context_xsave_load(struct vcpu *v, const void *from, size_t size);

#endif
