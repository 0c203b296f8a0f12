/*
 * Grant tables (xen/grant_table.h), version 1: setup, query, map, unmap, copy; version 2 and transfer
 * refused.
 *
 * Locking: LOCK_GNTTAB of the granting domain for its table and pins, of the mapping domain for its maptrack.
 */
#ifndef HV_GNTTAB_H
#define HV_GNTTAB_H

#include <hv/types.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

struct domain;

/* Limits as in xen_domctl_createdomain: negative ones mean the default. -EINVAL beyond what
 * gnttab_max_frames= allows. */
int gnttab_init(struct domain *d, int32_t max_frames, int32_t max_maptrack, uint32_t version);
/* Drops every mapping that d holds of others, bounded: HYPERCALL_RESTART until done, then 0. */
int64_t gnttab_kill(struct domain *d);
void gnttab_free(struct domain *d);

/* The frame behind index of d's table, grown when need be (XENMAPSPACE_grant_table, acquire_resource). */
int gnttab_frame(struct domain *d, uint32_t index, mfn_t *mfn);
/* Makes the table at least that many frames large. -EINVAL beyond its limit, -ENOMEM. */
int gnttab_grow(struct domain *d, uint32_t frames);
/* Notes where the guest has put a frame that exists; returns where it was before (INVALID_GFN: nowhere). */
gfn_t gnttab_set_gfn(struct domain *d, uint32_t index, gfn_t gfn);
/* How many frames the table may grow to. */
uint32_t gnttab_max_frames(const struct domain *d);
void gnttab_dump(void);

#endif
