/*
 * A pretended frontend of the block back end: the store's keys, event channels, and rings in guests' pages
 * (block_world.h). What a well-behaved frontend does is done by functions; the ring's page is open to those
 * that do otherwise.
 */
#ifndef TESTS_UNIT_BLOCK_FRONT_H
#define TESTS_UNIT_BLOCK_FRONT_H

#include <drivers/xenbus.h>
#include <xen/io/blkif.h>
#include "block_world.h"

#define FRONT_RINGS 4u
#define FRONT_DATA  100u /* from here on pages are free for data */
/* Grants of ring n: from n * 16 on. A page of zeroes or of sectors, taken for segments, does not lead there.
 */
#define FRONT_RING_PAGE 500u

extern struct backend front_backend;
extern const struct backend_type *front_type;
extern unsigned front_events[FRONT_RINGS]; /* that the back end sent */
extern unsigned front_complaints, front_state_writes;
extern char front_said[256]; /* the newest complaint */
extern bool front_closed;    /* the back end asked for it */

void front_reset(void);
void front_key(const char *key, const char *value); /* of the frontend's directory; value NULL: gone */
void back_key(const char *key, const char *value);
/* What the back end wrote, "" if nothing. */
const char *back_value(const char *key);

/* Grants the pages, writes the keys, connects. bits32: the rings are those of a 32-bit guest. */
bool front_connect(unsigned rings, unsigned order, bool bits32);
void front_disconnect(void);

struct blkif_sring *front_ring(unsigned ring);
unsigned front_size(unsigned ring);
void *front_entry(unsigned ring, uint32_t index);
/* As x86-64 lays it out. */
union front_request {
    struct blkif_request rw;
    struct blkif_request_discard discard;
    struct blkif_request_indirect indirect;
};
/* Puts a request into the ring; not yet shown. */
void front_put(unsigned ring, const union front_request *request);
/* Shows what was put, and rings if the back end wants it. */
void front_push(unsigned ring);
/* The event, whatever the back end wants. */
void front_notify(unsigned ring);
/* The next answer; false: none. Asks for an event for the one after it. */
bool front_take(unsigned ring, uint64_t *id, uint8_t *operation, int16_t *status);

#endif
