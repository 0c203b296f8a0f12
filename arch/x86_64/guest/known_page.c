/* Remembers the way to a page of the guest's linear memory. Interface: known_page.h. */
#include "known_page.h"
#include <x86/paging.h>
#include "guest_access.h"

#define LEVELS                4
#define INDEX(address, level) ((address) >> (PAGE_SHIFT + 9 * (level)) & 511)

/* Entries into k; the guest-physical address that they lead to, or ~0. */
static uint64_t follow(struct vcpu *v, struct known_page *k, uint64_t cr3, uint64_t address)
{
    uint64_t at = cr3, rights = PTE_W;
    for (int level = LEVELS - 1; level >= 0; level--) {
        const uint64_t *table = gfn_page(v, GFN((at & PTE_ADDR) >> PAGE_SHIFT), false);
        if (!table)
            return ~0ull;
        k->entry[level] = &table[INDEX(address, level)];
        k->value[level] = at = READ_ONCE(*k->entry[level]);
        if (!(at & PTE_P))
            return ~0ull;
        rights &= at;
        if (level && at & PTE_PS) {
            uint64_t mask = (1ull << (PAGE_SHIFT + 9 * level)) - 1;
            k->writable = rights && at & PTE_D;
            for (int below = level - 1; below >= 0; below--) {
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
    k->epoch = 0;
    uint64_t gpa = follow(v, k, cr3, address);
    if (gpa == ~0ull)
        return false;
    gfn_t gfn = gpa_to_gfn(GPA(gpa));
    k->data = gfn_page(v, gfn, false);
    if (!k->data)
        return false;
    k->writable = k->writable && gfn_page(v, gfn, true);
    k->cr3 = cr3;
    k->epoch = v->arch->gfn_cache_epoch;
    k->page = address >> PAGE_SHIFT;
    return true;
}
