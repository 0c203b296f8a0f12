/*
 * What the files of the block back end offer each other:
 *
 *   blkback.c        life of a device: store, disk, rings mapped and unmapped
 *   blkback_ring.c   the pages shared with the frontend: requests out, responses in
 *   blkback_io.c     requests on their way to the disk and back
 *
 * All but connecting and disconnecting runs in handler context and never switches.
 */
#ifndef DRIVERS_PV_BLKBACK_H
#define DRIVERS_PV_BLKBACK_H

#include <dom0/thread.h>
#include <drivers/blkback.h>
#include <drivers/disk.h>
#include <drivers/grant.h>
#include <drivers/work.h>
#include <drivers/xenbus.h>
#include <xen/event_channel.h>
#include <xen/io/blkif.h>

#define VBD_QUEUES     4u
#define VBD_RING_ORDER 4u    /* 16 pages, 512 requests */
#define VBD_SEGMENTS   256u  /* of an indirect request: what one page of them has room for, and no more */
#define VBD_REQUESTS   256u  /* that a device has under way at most ... */
#define VBD_PAGES      1024u /* ... and their pages */

/* A request as x86-64 lays it out, copied out of the ring. */
union vbd_entry {
    struct blkif_request rw;
    struct blkif_request_discard discard;
    struct blkif_request_indirect indirect;
    uint64_t words[14];
};
_Static_assert(sizeof(union vbd_entry) == 112, "xen/io/blkif.h");

struct vbd_ring {
    struct vbd *vbd;
    struct vbd_shared *shared;
    size_t pages;
    grant_handle_t handles[1u << VBD_RING_ORDER];
    bool bits32; /* laid out by the rules of 32-bit x86 */
    uint32_t size;
    uint32_t taken;                   /* requests, all of them so far */
    uint32_t answered, answered_told; /* responses written, and as the frontend knows */
    evtchn_port_t port;
    unsigned index;
    bool bound;
    bool kicked; /* there may be requests in it */
    bool broken; /* its frontend made a mess of it: not looked at any more */
};

struct vbd_request {
    struct vbd_request *next;
    struct vbd_ring *ring;
    struct disk_request disk;
    uint64_t id;
    uint8_t operation; /* BLKIF_OP_..., as answered */
    int16_t status;    /* BLKIF_RSP_... */
    uint8_t room;      /* how many segments it has memory for: an index of room_segments */
    enum disk_operation action;
    bool flush_first; /* what the disk has in its cache goes to the medium before */
    bool to_medium;   /* and what is written, too */
    uint64_t sector, sectors;
    unsigned indirect; /* how many segments are in a page of the guest's; 0: none */
    unsigned claimed;  /* pages, as vbd->pages counts them */
    unsigned pin_count;
    struct grant_pin *pins;
    struct disk_segment *segments;
};

#define VBD_ROOMS 3

struct vbd {
    struct vbd *next;
    struct backend *backend;
    struct disk *disk;
    bool writable, discard;
    bool connected, closing;
    unsigned ring_count;
    struct vbd_ring rings[VBD_QUEUES];
    unsigned under_way;          /* taken and not answered */
    unsigned at_disk;            /* of these, submitted and not done */
    unsigned pages;              /* of these, how many are pinned or about to be */
    struct vbd_ring *draining;   /* the next in it is a barrier, which waits until nothing is under way */
    struct vbd_request *barrier; /* nothing else is taken until it is done */
    struct vbd_request *done;    /* by the disk; not unpinned nor answered */
    struct vbd_request *unused[VBD_ROOMS];
    struct work work;
    struct signal idle; /* closing, and nothing is under way */
    struct disk_listener listener;
    struct blkback_statistics statistics;
};

/* --- blkback_ring.c ------------------------------------------------------------------------------------- */
/* Maps the pages. pages: a power of two up to 1 << VBD_RING_ORDER. False: a reference is bad. */
bool ring_map(struct vbd_ring *ring, const grant_ref_t *refs, size_t pages, bool bits32);
void ring_unmap(struct vbd_ring *ring);
/*
 * Copies the next request out, which stays the next one until ring_next(). False: none; or the ring is
 * broken.
 */
bool ring_peek(struct vbd_ring *ring, union vbd_entry *entry);
void ring_next(struct vbd_ring *ring);
/* Asks for an event for the next request. True: there is one already. */
bool ring_sleep(struct vbd_ring *ring);
void ring_answer(struct vbd_ring *ring, uint64_t id, uint8_t operation, int16_t status);
/* Shows the answers to the frontend. True: it wants an event. */
bool ring_tell(struct vbd_ring *ring);

/* --- blkback_io.c --------------------------------------------------------------------------------------- */
/* Answers what is done, takes what is there and hands it to the disk. */
void vbd_run(struct vbd *vbd);
/* Frees the requests that are kept for the next time. */
void vbd_drop_unused(struct vbd *vbd);

#endif
