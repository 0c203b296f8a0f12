/*
 * Reading and writing a guest's memory.
 *
 * The virtual-address forms go through the current vCPU's page tables with the rights of a kernel access
 * (SMAP, SMEP do not count), as hypercall arguments do. The others name the domain and the frame.
 */
#ifndef HV_ARCH_GUEST_ACCESS_H
#define HV_ARCH_GUEST_ACCESS_H

#include <hv/types.h>

struct domain;

/* 0, or -EFAULT: some byte is not mapped, not writable, or not RAM; then an unknown part was copied. */
int copy_from_guest(void *to, gva_t from, size_t size);
int copy_to_guest(gva_t to, const void *from, size_t size);
int clear_guest(gva_t to, size_t size);

/* Guest-physical; d may be any domain. May cross pages. */
int copy_from_gpa(struct domain *d, void *to, gpa_t from, size_t size);
int copy_to_gpa(struct domain *d, gpa_t to, const void *from, size_t size);

/*
 * The frame at gfn as the hypervisor's own pointer, with one reference taken (frame_put(virt_to_mfn(p)) drops
 * it); NULL when it is not RAM that d owns or writable is wanted and not allowed.
 */
void *map_guest_frame(struct domain *d, gfn_t gfn, bool writable);
/* The same without a reference, inside a section of d's (guest_access_begin(d), hv/arch/p2m.h), until its
 * end. Both want a vCPU to be current. */
void *guest_page(struct domain *d, gfn_t gfn, bool writable);

/* For XEN_GUEST_HANDLE(...) members: the address in it. */
#define handle_gva(handle) GVA((uint64_t)(uintptr_t)(handle).p)
/* The i-th element of an array in the guest. */
#define copy_element_from_guest(to, handle, i)                                                               \
    copy_from_guest((to), GVA((uint64_t)(uintptr_t)(handle).p + (uint64_t)(i) * sizeof(*(to))), sizeof(*(to)))
#define copy_element_to_guest(handle, i, from)                                                               \
    copy_to_guest(GVA((uint64_t)(uintptr_t)(handle).p + (uint64_t)(i) * sizeof(*(from))), (from),            \
                  sizeof(*(from)))

#endif
