/*
 * A page of the guest's linear memory and the way to it: which entries of its page tables lead there and what they held.
 * As long as they hold the same, a walk would lead to the same page, so the answer is exact without walking; the guest
 * may change its tables without telling anybody. The domain's tlb_epoch guards the pages that the pointers lead into.
 *
 * Four-level paging only: the caller sees to it that v is in long mode. Locking: none; inside a section (hv/arch/p2m.h).
 */
#ifndef X86_GUEST_KNOWN_PAGE_H
#define X86_GUEST_KNOWN_PAGE_H

#include "guest.h"

/* Follows address under cr3. guest_section_begin() came before. False: something is not there, and k is empty. */
bool known_page_learn(struct vcpu *v, struct known_page *k, uint64_t cr3, uint64_t address);

/* The byte at address, or NULL: k is of another page or the way there has changed. */
static inline char *known_page_at(const struct vcpu *v, const struct known_page *k, uint64_t cr3, uint64_t address)
{
    if (address >> PAGE_SHIFT != k->page || cr3 != k->cr3 || k->epoch != v->domain->arch->tlb_epoch)
        return NULL;
    if (READ_ONCE(*k->entry[0]) != k->value[0] || READ_ONCE(*k->entry[1]) != k->value[1] ||
        READ_ONCE(*k->entry[2]) != k->value[2] || READ_ONCE(*k->entry[3]) != k->value[3])
        return NULL;
    return k->data + (address & ~PAGE_MASK);
}

#endif
