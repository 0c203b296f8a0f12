/*
 * Guests' pages in dom0, through grants (xen/grant_table.h). Batches, in the order of the arrays; statuses
 * are GNTST_...
 */
#ifndef DRIVERS_GRANT_H
#define DRIVERS_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

/*
 * Maps count (at most 16) pages of a domain beside each other, read-write, for a shared ring. NULL: some
 * reference is bad, then nothing is mapped. handles receives what grant_unmap_ring() needs.
 */
void *grant_map_ring(domid_t domid, const grant_ref_t *refs, size_t count, grant_handle_t *handles);
void grant_unmap_ring(void *ring, size_t count, const grant_handle_t *handles);

struct grant_pin {
    grant_ref_t ref;
    bool read_only; /* the guest's page is only read */
    /* results */
    int16_t status;
    grant_handle_t handle;
    uint64_t bus; /* machine address of the page */
    void *data;   /* the page in our memory, for pins with data; NULL otherwise */
};
/*
 * Makes pages reachable for devices (GNTMAP_device_map), and with data for the processor too
 * (GNTMAP_host_map). True when all are; on false those that are stay so, and grant_unpin() undoes them.
 */
bool grant_pin(domid_t domid, struct grant_pin *pins, size_t count, bool data);
/* Only those whose status is GNTST_okay; it is another one then. */
void grant_unpin(struct grant_pin *pins, size_t count);
/* The same for pins that do not stand side by side. */
bool grant_pin_list(domid_t domid, struct grant_pin *const *pins, size_t count, bool data);
void grant_unpin_list(struct grant_pin *const *pins, size_t count);

/* GNTTABOP_copy of count pieces in one call. True when all were done; statuses are in the pieces. */
bool grant_copy(struct gnttab_copy *pieces, size_t count);

#endif
