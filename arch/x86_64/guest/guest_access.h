/*
 * Guest memory, for the x86 code: what hv/arch/guest_access.h has no need for. v is the current vCPU
 * throughout.
 */
#ifndef X86_GUEST_GUEST_ACCESS_H
#define X86_GUEST_GUEST_ACCESS_H

#include <hv/arch/guest_access.h>
#include "guest.h"
#include "walk.h"

/*
 * The page at gfn of v's domain, NULL: there is no RAM. Inside a guest_access section; what is returned may
 * be used until its end, or the next call.
 */
const struct gfn_cache_entry *gfn_find(struct vcpu *v, gfn_t gfn);
/* The same as a pointer to its first byte, NULL when it is to be written and must not be. */
static inline void *gfn_page(struct vcpu *v, gfn_t gfn, bool writable)
{
    const struct gfn_cache_entry *entry = gfn_find(v, gfn);
    return entry && entry->writable >= writable ? entry->page : NULL;
}

/*
 * Up to size bytes of instructions from CS:rip, rights not checked (the processor has fetched them before);
 * returns how many bytes could be read.
 */
size_t fetch_guest(struct vcpu *v, uint64_t rip, void *to, size_t size);

/* A linear address to a guest-physical one, with the rights of access. */
enum walk_result guest_translate(struct vcpu *v, gva_t address, uint32_t access, gpa_t *gpa,
                                 uint32_t *error_code);

/*
 * size bytes at a linear address, with the rights of access (ACCESS_WRITE: from buffer to the guest). On
 * WALK_FAULT, *fault is the address that did it (for CR2).
 */
enum walk_result guest_linear_access(struct vcpu *v, gva_t address, void *buffer, size_t size,
                                     uint32_t access, uint32_t *error_code, gva_t *fault);

#endif
