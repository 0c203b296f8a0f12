/*
 * Guest memory, for the x86 code: what hv/arch/guest_access.h has no need for. v is the current vCPU throughout.
 */
#ifndef X86_GUEST_GUEST_ACCESS_H
#define X86_GUEST_GUEST_ACCESS_H

#include <hv/arch/guest_access.h>
#include "guest.h"
#include "walk.h"

/*
 * guest_access_begin() for v's own domain, with v's cache of pages made good: gfn_page() may be used until
 * guest_access_end().
 */
void guest_section_begin(struct vcpu *v);
/* The page at gfn, NULL when it is no RAM or, for writing, must not be written. */
void *gfn_page(struct vcpu *v, gfn_t gfn, bool writable);

/*
 * Up to size bytes of instructions from CS:rip, rights not checked (the processor has fetched them before); returns how
 * many bytes could be read.
 */
size_t fetch_guest(struct vcpu *v, uint64_t rip, void *to, size_t size);

/* A linear address to a guest-physical one, with the rights of access. */
enum walk_result guest_translate(struct vcpu *v, gva_t address, uint32_t access, gpa_t *gpa, uint32_t *error_code);

/*
 * size bytes at a linear address, with the rights of access (ACCESS_WRITE: from buffer to the guest). On WALK_FAULT,
 * *fault is the address that did it (for CR2).
 */
enum walk_result guest_linear_access(struct vcpu *v, gva_t address, void *buffer, size_t size, uint32_t access,
                                     uint32_t *error_code, gva_t *fault);

#endif
