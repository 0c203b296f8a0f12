/*
 * Inside of the grant tables: hv/gnttab.c (life, table), gnttab_pin.c (one entry in use), gnttab_map.c,
 * gnttab_copy.c.
 *
 * Two domains meet in each operation, and never are both locks held: the granting domain's is for its pins,
 * the mapping domain's for its free handles. A mapping that is made or undone is MAPPING_BUSY in between.
 */
#ifndef HV_GNTTAB_INTERNAL_H
#define HV_GNTTAB_INTERNAL_H

#include <hv/gnttab.h>
#include <hv/lock.h>
#include <hv/types.h>

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(grant_entry_v1_t))
#define MAPPINGS_PER_PAGE (PAGE_SIZE / sizeof(struct grant_mapping))
#define NO_HANDLE         UINT32_MAX
#define FEW_FRAMES        2u /* so many a small guest has at most: it pays for no list */

/*
 * Uses of one grant by its grantee. While there is any, mfn is held and the entry's GTF_reading (and
 * GTF_writing when there are writers) is set, whatever the guest does to the entry.
 */
struct grant_pin {
    uint32_t mfn;
    domid_t domid;
    uint8_t readers, writers;
};
_Static_assert(sizeof(struct grant_pin) == sizeof(grant_entry_v1_t),
               "the pins of a frame of entries fill a frame");

struct grant_frame {
    grant_entry_v1_t *shared; /* page_alloc_shared: the guest writes here at any time */
    struct grant_pin *pin;    /* a page, made when the first of its grants is used; NULL: none ever was */
    gfn_t gfn;                /* where the guest put it, INVALID_GFN: nowhere */
};

static inline bool grant_is_pinned(const struct grant_frame *frame, uint32_t ref)
{
    const struct grant_pin *pin = frame->pin ? &frame->pin[ref % ENTRIES_PER_FRAME] : NULL;
    return pin && (pin->readers || pin->writers);
}

enum mapping_state { MAPPING_FREE, MAPPING_LIVE, MAPPING_BUSY };

/* A mapping of another domain's page: what a handle stands for. */
struct grant_mapping {
    uint32_t gfn;  /* where it is in this domain, with GNTMAP_host_map */
    uint32_t mfn;  /* what it is */
    uint32_t ref;  /* while free: the next free handle */
    domid_t domid; /* the granting domain */
    uint8_t flags; /* GNTMAP_host_map, GNTMAP_device_map: what is not undone yet; GNTMAP_readonly */
    uint8_t state; /* changed by compare-and-swap from LIVE */
};

struct gnttab {
    spinlock_t lock;
    struct grant_frame *frame;   /* few, or a list of max_frames; never goes back */
    uint32_t frames, max_frames; /* frames only grows, after frame[] is filled */
    struct grant_frame few[FEW_FRAMES];

    struct grant_mapping **mapping; /* pages of mappings; made on the first one */
    uint32_t handles;               /* grows by pages, as frames does */
    uint32_t max_mapping_pages;
    uint32_t free_handle; /* NO_HANDLE: none */
    uint32_t kill_next;   /* handle that gnttab_kill goes on with */
};

static inline struct grant_mapping *grant_mapping(const struct gnttab *g, uint32_t handle)
{
    return &g->mapping[handle / MAPPINGS_PER_PAGE][handle % MAPPINGS_PER_PAGE];
}

/*
 * One more use of grant ref of rd by the current domain: marks the shared entry, and takes a reference of the
 * frame. GNTST_okay, or an error that changed nothing.
 */
int grant_pin(struct domain *rd, uint32_t ref, bool readonly, mfn_t *mfn);
/* One use less. The caller drops the reference of the frame that is returned. */
mfn_t grant_unpin(struct domain *rd, uint32_t ref, bool readonly);

/* With the table, when no mapping is left. */
void gnttab_free_mappings(struct gnttab *g);

/* Operations of grant_table_op; they get the count of elements in arg[2], and restart as grant_restart()
 * says. */
int64_t grant_map(uint64_t arg[6]);
int64_t grant_unmap(uint64_t arg[6]);
int64_t grant_copy(uint64_t arg[6]);

/* The first done elements, of size bytes each, are through. */
int64_t grant_restart(uint64_t arg[6], uint32_t done, size_t size);

#endif
