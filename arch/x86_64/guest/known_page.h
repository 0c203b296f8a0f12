/*
 * A page of the guest's linear memory and the way to it: which entries of its page tables lead there and what
 * they held. As long as they hold the same, a walk would lead to the same page, so the answer is exact
 * without walking; the guest may change its tables without telling anybody. That the tables and the page are
 * still the domain's is known while its tlb_epoch stays, and after that from their entries in the p2m.
 *
 * Four-level paging only: the caller sees to it that v is in long mode. Locking: none; inside a section
 * (hv/arch/p2m.h).
 */
#ifndef X86_GUEST_KNOWN_PAGE_H
#define X86_GUEST_KNOWN_PAGE_H

#include "guest.h"

/* Follows address under cr3. False: something is not there, and k is empty. */
bool known_page_learn(struct vcpu *v, struct known_page *k, uint64_t cr3, uint64_t address);

/* After the epoch moved: true when the page and its tables are where they were; k is of the new epoch then.
 */
bool known_page_renew(const struct vcpu *v, struct known_page *k);

/* The epoch is k's, and the way there has not changed since k was learned, from the root on. */
static inline bool known_page_valid(const struct vcpu *v, const struct known_page *k, uint64_t cr3)
{
    if (unlikely(k->epoch != v->domain->arch->tlb_epoch) || cr3 != k->cr3)
        return false;
    return READ_ONCE(*k->entry[0]) == k->value[0] && READ_ONCE(*k->entry[1]) == k->value[1] &&
           READ_ONCE(*k->entry[2]) == k->value[2] && READ_ONCE(*k->entry[3]) == k->value[3];
}

/* The byte at address, or NULL: k is of another page or the way there has changed, or the epoch has. */
static inline char *known_page_at(const struct vcpu *v, const struct known_page *k, uint64_t cr3,
                                  uint64_t address)
{
    if (address >> PAGE_SHIFT != k->page || !known_page_valid(v, k, cr3))
        return NULL;
    return k->data + (address & ~PAGE_MASK);
}

#endif
