/* Remembers the way to a page of the guest's linear memory. Interface: known_page.h. */
#include "known_page.h"
#include <x86/paging.h>
#include "guest_access.h"

#define LEVELS                KNOWN_PAGE_LEVELS
#define INDEX(address, level) ((address) >> (PAGE_SHIFT + 9 * (level)) & 511)

/* Entries into k; the guest-physical address that they lead to, or ~0. */
static uint64_t follow(struct vcpu *v, struct known_page *k, uint64_t cr3, uint64_t address)
{
    uint64_t at = cr3, rights = PTE_W;
    for (int level = LEVELS - 1; level >= 0; level--) {
        const struct gfn_cache_entry *table = gfn_find(v, GFN((at & PTE_ADDR) >> PAGE_SHIFT));
        if (!table)
            return ~0ull;
        k->backing[level] = table->slot;
        k->entry[level] = (const uint64_t *)table->page + INDEX(address, level);
        k->value[level] = at = READ_ONCE(*k->entry[level]);
        if (!(at & PTE_P))
            return ~0ull;
        rights &= at;
        if (level && at & PTE_PS) {
            uint64_t mask = (1ull << (PAGE_SHIFT + 9 * level)) - 1;
            k->writable = rights && at & PTE_D;
            for (int below = level - 1; below >= 0; below--) {
                k->backing[below] = k->backing[level];
                k->entry[below] = k->entry[level];
                k->value[below] = at;
            }
            return (at & PTE_ADDR & ~mask) | (address & mask);
        }
    }
    k->writable = rights && at & PTE_D;
    return at & PTE_ADDR;
}

bool known_page_learn(struct vcpu *v, struct known_page *k, uint64_t cr3, uint64_t address)
{
    uint64_t epoch = v->domain->arch->tlb_epoch;

    k->epoch = 0;
    if ((uint64_t)((int64_t)(address << 16) >> 16) != address)
        return false;
    uint64_t gpa = follow(v, k, cr3, address);
    if (gpa == ~0ull)
        return false;
    const struct gfn_cache_entry *page = gfn_find(v, gpa_to_gfn(GPA(gpa)));
    if (!page)
        return false;
    k->data = page->page;
    k->backing[LEVELS] = page->slot;
    k->writable = k->writable && page->writable;
    k->cr3 = cr3;
    k->epoch = epoch;
    k->page = address >> PAGE_SHIFT;
    return true;
}

bool known_page_renew(const struct vcpu *v, struct known_page *k)
{
    uint64_t epoch = v->domain->arch->tlb_epoch;

    if (!k->epoch || v->domain->dying)
        return false;
    for (unsigned i = 0; i <= LEVELS; i++)
        if (READ_ONCE(*k->backing[i].at) != k->backing[i].value)
            return false;
    k->epoch = epoch;
    return true;
}
