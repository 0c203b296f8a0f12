/*
 * Machine frames: one 16-byte descriptor each, free lists by order, ownership and reference counts.
 *
 * A frame that is in use has refs >= 1. Each p2m entry, grant mapping and hypervisor mapping holds one
 * reference. The last frame_put() gives the frame back; it is scrubbed before a domain other than its last
 * owner can see it, unless it is known to hold zeroes only. A domain's frames count against
 * domain->total_pages until they are really free, and each domain with frames left keeps its struct alive.
 *
 * Locking: the free lists have LOCK_FRAME; references are atomic, and where use and owner are in doubt they
 * are looked at together, as one 64-bit word.
 */
#ifndef HV_FRAME_H
#define HV_FRAME_H

#include <hv/types.h>
#include <xen/xen.h>

struct domain;

struct frame {
    union {
        struct {
            uint32_t refs; /* 0: free */
            domid_t owner; /* while free: last owner, whose data may still be in it */
            uint8_t order; /* of the free block that starts here */
            uint8_t flags; /* FRAME_* */
        };
        uint64_t word; /* all of the above, for compare-and-swap */
    };
    uint32_t next, prev; /* free list links, as frame numbers; the owner's use while allocated */
};
_Static_assert(sizeof(struct frame) == 16, "4 KiB of frames must cost 16 bytes each");

#define FRAME_FREE_HEAD 0x01 /* first frame of a block on a free list */
#define FRAME_UNCOUNTED                                                                                      \
    0x02               /* not part of its owner's total_pages: the hypervisor's own and page_alloc_shared */
#define FRAME_RAM 0x04 /* descriptor stands for real RAM that the allocator manages */
/*
 * Nobody can have written to it since it was scrubbed. While it is mapped that holds only as long as none of
 * its p2m entries is dirty: an entry that goes away dirty takes the flag along, and every access to a
 * domain's memory, by the processor, the hypervisor or another domain, goes through an entry or has begun
 * with a look at one.
 */
#define FRAME_CLEAN 0x08

/* Owner of frames that belong to the hypervisor itself. */
#define OWNER_HYPERVISOR DOMID_XEN

extern struct frame *frame_table;
extern uint64_t frame_limit; /* descriptors exist for mfn < frame_limit */

/* The whole of RAM is mapped at DIRECTMAP (hv/arch/layout.h gives DIRECTMAP_BASE). */
#include <hv/arch/layout.h>
static inline void *mfn_to_virt(mfn_t mfn)
{
    return (void *)(DIRECTMAP_BASE + (mfn.v << PAGE_SHIFT));
}
/* p must point into the direct map. */
static inline mfn_t virt_to_mfn(const void *p)
{
    return MFN(((uint64_t)p - DIRECTMAP_BASE) >> PAGE_SHIFT);
}
static inline bool mfn_is_ram(mfn_t mfn)
{
    return mfn.v < frame_limit && (frame_table[mfn.v].flags & FRAME_RAM);
}

/* --- boot ----------------------------------------------------------------------------------------------- */
/* table: zeroed memory for limit descriptors, mapped. Then every free range of RAM is handed over once. */
void frame_init(struct frame *table, uint64_t limit);
void frame_add_range(mfn_t start, uint64_t count);

/* --- for domains ---------------------------------------------------------------------------------------- */
#define ALLOC_ANY      0u
#define ALLOC_BELOW_4G 1u
#define ALLOC_NO_SCRUB 2u /* the caller overwrites it all, or the domain is dom0 */

/*
 * 2^order contiguous frames owned by d, each with one reference, scrubbed; INVALID_MFN when there are none.
 * Counts in d->total_pages (fails when that would pass d->max_pages).
 */
mfn_t frame_alloc(struct domain *d, unsigned order, unsigned flags);
/* These very frames, for dom0's one-to-one map; false unless all of them are free. */
bool frame_alloc_at(struct domain *d, mfn_t start, uint64_t count);

/*
 * Lays claim to what d lacks of total pages: free frames that only d can get from now on, one fewer with each
 * that it gets. 0 gives up what is left of a claim. -EINVAL: d has a claim, or so many pages, or may not have
 * them, or is dying; -ENOMEM: not so many are free.
 */
int frames_claim(struct domain *d, uint64_t total);

/* RAM that was never handed to the allocator (a boot module) becomes d's, one reference each. */
void frame_adopt(struct domain *d, mfn_t start, uint64_t count);

/* One more reference if the frame is in use and owned by owner; any frame number may be asked for. */
bool frame_get(mfn_t mfn, domid_t owner);
/* One more reference for somebody who holds one already. */
void frame_get_held(mfn_t mfn);
void frame_put(mfn_t mfn);
/* frame_put() for each frame of a run, all of one domain and counted in its total: one step of the free
 * lists. */
void frames_put(mfn_t first, uint64_t count);
/* Whether all of them are FRAME_CLEAN; and from now on none is. The caller holds a reference of each. */
bool frames_clean(mfn_t first, uint64_t count);
void frames_dirty(mfn_t first, uint64_t count);
/*
 * For a CPU that would idle: scrubs at most one frame that a domain gave back, in a time that interrupts can
 * wait. False: nothing is left to do, or another CPU is at the free lists.
 */
bool frames_scrub(void);
domid_t frame_owner(mfn_t mfn); /* DOMID_INVALID for what is no RAM or free */

/* --- for the hypervisor --------------------------------------------------------------------------------- */
/* 2^order zeroed pages, NULL when there are none. */
void *page_alloc(unsigned order);
void page_free(void *p, unsigned order);
/* Pages that a domain may map too (shared info, grant table): owned by d, not counted in its total. */
void *page_alloc_shared(struct domain *d);
void page_free_shared(void *p); /* drops the hypervisor's reference */

/* Small zeroed objects, up to 4096 bytes; NULL when memory is short. */
void *heap_alloc(size_t size);
void heap_free(void *p);

uint64_t frames_free(void);
uint64_t frames_claimed(void); /* of the free ones */
uint64_t frames_total(void);
uint64_t frames_hypervisor(void); /* in use by the hypervisor, its image included */

#endif
