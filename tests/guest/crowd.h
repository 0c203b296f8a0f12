/*
 * What churn.c, which makes domains and pulls at them, and crowd.c, which is in them, agree on: where things
 * are, and what a page that nobody may change has in it. Pages are frame numbers of the domain's own map.
 */
#ifndef TESTS_GUEST_CROWD_H
#define TESTS_GUEST_CROWD_H

#include "check.h"
#include <xen/grant_table.h>

#define CROWD_CPUS  3      /* at most; the others of the domain's vCPUs are never started */
#define INFO_GFN    0x9e   /* start info, what it points to, and the report; the next is for the trampoline */
#define FIXED_GFN   0x3000 /* each has its pattern from the start to the end of the domain, and is granted */
#define FIXED_PAGES 8
#define LOOSE_GFN   0x3100 /* the domain gives these back and takes new ones */
#define LOOSE_PAGES 8
#define EXTRA_GFN   0x3200 /* here dom0 adds, moves and removes pages */
#define EXTRA_PAGES 64
#define TABLE_GFN   0x3300 /* the domain's grant table, in one of two places */
#define FIRST_REF   8      /* grants of the fixed pages, read-only for dom0 and whoever else guesses */
#define REPORT_AT   0xc00  /* in the page of the start info */

struct crowd_report {
    uint64_t turns[CROWD_CPUS];
};

/*
 * The first word of a page tells its domain, its number and which life of that domain it is; the others
 * follow from it, so that one page cannot be taken for another, nor for the same of an earlier domain of that
 * id.
 */
static inline uint64_t page_tag(domid_t domid, unsigned page, uint32_t life)
{
    return (uint64_t)life << 32 | (uint64_t)page << 16 | domid;
}

static inline uint64_t pattern(uint64_t tag, unsigned word)
{
    uint64_t x = (tag + word) * 0x9e3779b97f4a7c15;
    return x ^ x >> 29;
}

/* A page of which each word is either not yet written, or what its first one says. */
static inline bool page_is_sound(const volatile uint64_t *page, domid_t domid, unsigned number)
{
    for (unsigned word = 1; word < PAGE_SIZE / sizeof(uint64_t); word++) {
        uint64_t seen = page[word];
        uint64_t tag = page[0]; /* after it: it is written before it */
        if (tag && (tag & 0xffffffff) != page_tag(domid, number, 0))
            return false;
        if (seen && (!tag || seen != pattern(tag, word)))
            return false;
    }
    return true;
}

static inline long grant_operation(unsigned command, void *argument)
{
    return hypercall(__HYPERVISOR_grant_table_op, command, (uint64_t)(uintptr_t)argument, 1, 0, 0);
}

#endif
