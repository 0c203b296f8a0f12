/*
 * A block device as a guest's frontend sees it (xen/io/blkif.h): for test guests, so rings, requests and
 * grants lie open.
 */
#ifndef DRIVERS_BLKFRONT_H
#define DRIVERS_BLKFRONT_H

#include <drivers/front.h>

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>

#define BLK_QUEUES       4u
#define BLK_RING_PAGES   4u
#define BLK_SLOTS        128u /* requests in a ring of so many pages */
#define BLK_MAX_SEGMENTS 256u /* of ours, in an indirect request: less than one page of descriptions */

/* What to ask for; the back end may offer less. Zeroes: one queue, one page, no indirect requests. */
struct blk_options {
    unsigned queues, ring_order;
    bool indirect;
};

/* One request, the caller's until it is submitted and again when it is done. */
struct blk_io {
    uint8_t operation;        /* BLKIF_OP_..., but not _INDIRECT, which is chosen by the number of segments */
    uint64_t sector, sectors; /* of 512 bytes; sectors for a discard only */
    const struct blkif_request_segment *segments;
    unsigned segment_count;
    bool done;
    int16_t status; /* BLKIF_RSP_... */
};

struct blk_queue {
    blkif_front_ring_t ring;
    grant_ref_t ring_refs[BLK_RING_PAGES];
    evtchn_port_t port;
    unsigned free_count;
    uint16_t free_slots[BLK_SLOTS];
    struct blk_io *io[BLK_SLOTS]; /* by the request's id */
    struct blkif_request_segment *indirect[BLK_SLOTS];
    grant_ref_t indirect_refs[BLK_SLOTS];
};

struct blk {
    struct front_device device;
    unsigned devid, queue_count, ring_pages;
    unsigned max_segments; /* of a request */
    uint64_t sectors;      /* of 512 bytes */
    uint32_t sector_size, discard_granularity;
    bool read_only, flush, barrier, discard;
    uint64_t strange; /* answers to what was not asked */
    struct blk_queue queue[BLK_QUEUES];
};

/* Negotiates and connects. False: the back end does not come along; its words are on the console. */
bool blk_open(struct blk *blk, unsigned devid, const struct blk_options *options);
/* What is under way is forgotten. False: the back end did not follow, or kept a ring mapped. */
bool blk_close(struct blk *blk);
/* False: the queue is full. */
bool blk_submit(struct blk *blk, unsigned queue, struct blk_io *io);
/* Takes the answers that are there; returns how many. */
unsigned blk_poll(struct blk *blk);
/* The same, and waits for the first until the deadline. */
unsigned blk_wait(struct blk *blk, uint64_t deadline);
/* Submits to queue 0 and waits. The request's status; 1 when no answer came. */
int blk_do(struct blk *blk, struct blk_io *io);
/* The size as the back end says it now. */
uint64_t blk_size(const struct blk *blk);

#endif
