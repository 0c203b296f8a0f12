/*
 * A block device's requests on their way to the disk and back (blkback.h).
 *
 * What is found in the rings is taken in batches: all pages of a batch are pinned with one hypercall, and all
 * that is done when answers are written is unpinned with one. A request is copied out of the ring once,
 * checked, and from then on only the copy counts. When a device has as much under way as it may, the rest
 * stays in the ring until something is done.
 *
 * vbd_run() does everything, from events, from the disk's last completion and from work that was put off; it
 * never runs inside itself, so a disk may call done() from within disk_submit().
 */
#include <dom0/below.h>
#include <lib/why.h>
#include <pvh/event.h>
#include <xen/errno.h>
#include "blkback.h"

#define PAGE           4096u
#define LAST_SECTOR    (PAGE / DISK_SECTOR - 1)
#define BATCH_REQUESTS 32u
#define ROUNDS         4u /* of vbd_run(), before others have their turn */

static const unsigned room_segments[VBD_ROOMS] = {BLKIF_MAX_SEGMENTS_PER_REQUEST, 32, VBD_SEGMENTS};

static struct vbd *running; /* whose vbd_run() is under way */

/* What it took and did not submit yet. */
static struct {
    unsigned requests, indirect, pins;
    struct vbd_request *request[BATCH_REQUESTS];
    struct gnttab_copy copy[BATCH_REQUESTS];
    struct grant_pin *pin[VBD_PAGES];
    struct blkif_request_segment segment[BATCH_REQUESTS][VBD_SEGMENTS] __attribute__((aligned(PAGE)));
} batch;

/* --- memory of requests --------------------------------------------------------------------------------- */

static struct vbd_request *request_new(struct vbd *vbd, unsigned segments)
{
    uint8_t room = 0;
    while (segments > room_segments[room])
        room++;
    struct vbd_request *request = vbd->unused[room];
    if (request) {
        vbd->unused[room] = request->next;
        return request;
    }
    size_t each = sizeof *request->pins + sizeof *request->segments;
    request = mem_alloc(sizeof *request + room_segments[room] * each);
    if (!request)
        return NULL;
    request->room = room;
    request->segments = (struct disk_segment *)(request + 1);
    request->pins = (struct grant_pin *)(request->segments + room_segments[room]);
    return request;
}

void vbd_drop_unused(struct vbd *vbd)
{
    for (unsigned room = 0; room < VBD_ROOMS; room++)
        for (struct vbd_request *request; (request = vbd->unused[room]);) {
            vbd->unused[room] = request->next;
            mem_free(request);
        }
}

/* --- the end of a request ------------------------------------------------------------------------------- */

/* Its answer is written by the next answer_done(). */
static void finish(struct vbd_request *request, int16_t status)
{
    struct vbd *vbd = request->ring->vbd;
    request->status = status;
    request->next = vbd->done;
    vbd->done = request;
}

/* Always false: the request goes no further. */
static bool refuse(struct vbd_request *request, int16_t status, const char *why)
{
    backend_complain(request->ring->vbd->backend, "operation %u %s", request->operation, why);
    finish(request, status);
    return false;
}

static void count(struct blkback_statistics *s, const struct vbd_request *request)
{
    s->errors += request->status != BLKIF_RSP_OKAY;
    if (request->status != BLKIF_RSP_OKAY)
        return;
    switch (request->action) {
    case DISK_READ:
        s->reads++;
        s->read_sectors += request->sectors;
        break;
    case DISK_WRITE:
        s->writes++;
        s->written_sectors += request->sectors;
        break;
    case DISK_FLUSH:
        s->flushes++;
        break;
    case DISK_DISCARD:
        s->discards++;
        break;
    }
}

static void unpin_done(const struct vbd *vbd)
{
    static struct grant_pin *pins[VBD_PAGES];
    size_t n = 0;
    for (const struct vbd_request *request = vbd->done; request; request = request->next)
        for (unsigned i = 0; i < request->pin_count; i++)
            pins[n++] = &request->pins[i];
    grant_unpin_list(pins, n);
}

/* Unpins, answers and forgets all that is done. */
static void answer_done(struct vbd *vbd)
{
    unpin_done(vbd);
    for (struct vbd_request *request; (request = vbd->done);) {
        vbd->done = request->next;
        count(&vbd->statistics, request);
        if (!vbd->closing)
            ring_answer(request->ring, request->id, request->operation, request->status);
        if (vbd->barrier == request)
            vbd->barrier = NULL;
        vbd->pages -= request->claimed;
        vbd->under_way--;
        request->next = vbd->unused[request->room];
        vbd->unused[request->room] = request;
    }
}

static void tell(struct vbd *vbd)
{
    for (unsigned i = 0; i < vbd->ring_count && !vbd->closing; i++)
        if (ring_tell(&vbd->rings[i]))
            event_send(vbd->rings[i].port);
}

/* --- the disk ------------------------------------------------------------------------------------------- */

static void disk_done(struct disk_request *disk_request, int error);

static void submit(struct vbd_request *request, enum disk_operation operation)
{
    struct vbd *vbd = request->ring->vbd;
    struct disk_request *disk = &request->disk;
    bool flush = operation == DISK_FLUSH;
    disk->operation = operation;
    disk->force_unit_access = request->to_medium;
    disk->sector = flush ? 0 : request->sector;
    disk->sectors = flush ? 0 : request->sectors;
    disk->segments = request->segments;
    disk->segment_count = flush ? 0 : request->pin_count;
    disk->queue = request->ring->index;
    disk->done = disk_done;
    disk->owner = request;
    vbd->at_disk++;
    disk_submit(vbd->disk, disk);
}

static void disk_done(struct disk_request *disk_request, int error)
{
    struct vbd_request *request = disk_request->owner;
    struct vbd *vbd = request->ring->vbd;
    vbd->at_disk--;
    if (!error && request->flush_first && request->pin_count) {
        request->flush_first = false;
        submit(request, DISK_WRITE);
        return;
    }
    if (error)
        backend_complain(vbd->backend, "operation %u at sector %llu: %s", request->operation,
                         (unsigned long long)request->sector, error_text(error));
    finish(request, !error                    ? BLKIF_RSP_OKAY
                    : error == XEN_EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP
                                              : BLKIF_RSP_ERROR);
    if (running == vbd)
        return;
    /* Others may be done in the same breath of the device: the last one answers for all. */
    if (vbd->at_disk)
        work_later(&vbd->work);
    else
        vbd_run(vbd);
}

/* --- what a request says -------------------------------------------------------------------------------- */

/* Checks the segments and notes their pages, which are to be pinned. */
static bool take_segments(struct vbd_request *request, const struct blkif_request_segment *from,
                          unsigned segments)
{
    bool read_only = request->action == DISK_WRITE;
    request->sectors = 0;
    for (unsigned i = 0; i < segments; i++) {
        unsigned first = from[i].first_sect, last = from[i].last_sect;
        if (first > last || last > LAST_SECTOR)
            return refuse(request, BLKIF_RSP_ERROR, "has a segment that is not within its page");
        request->segments[i].bus = first * DISK_SECTOR;
        request->segments[i].bytes = (last - first + 1) * DISK_SECTOR;
        request->pins[i].ref = from[i].gref;
        request->pins[i].read_only = read_only;
        request->sectors += last - first + 1;
    }
    for (unsigned i = 0; i < segments; i++)
        batch.pin[batch.pins++] = &request->pins[i];
    request->pin_count = segments;
    return true;
}

static bool check_data(struct vbd_request *request, unsigned segments, unsigned most)
{
    if (!segments || segments > most)
        return refuse(request, BLKIF_RSP_ERROR, "has no segments, or more than may be");
    if (request->action == DISK_WRITE && !request->ring->vbd->writable)
        return refuse(request, BLKIF_RSP_ERROR, "writes to a disk that is read-only");
    return true;
}

/* READ and WRITE; WRITE_BARRIER and FLUSH_DISKCACHE, which may have no segments. */
static bool decode_rw(struct vbd_request *request, const struct blkif_request *entry)
{
    unsigned segments = entry->nr_segments;
    request->to_medium = entry->operation == BLKIF_OP_WRITE_BARRIER;
    request->flush_first = request->to_medium || entry->operation == BLKIF_OP_FLUSH_DISKCACHE;
    request->sector = entry->sector_number;
    request->action = entry->operation == BLKIF_OP_READ ? DISK_READ : DISK_WRITE;
    if (!segments && request->flush_first) {
        request->action = DISK_FLUSH;
        return true;
    }
    return check_data(request, segments, BLKIF_MAX_SEGMENTS_PER_REQUEST) &&
           take_segments(request, entry->seg, segments);
}

static bool decode_discard(struct vbd_request *request, const struct blkif_request_discard *entry)
{
    request->action = DISK_DISCARD;
    request->sector = entry->sector_number;
    request->sectors = entry->nr_sectors;
    /* A guest that wants its data gone for good must not be told that they are. */
    if (request->ring->vbd->discard && !(entry->flag & BLKIF_DISCARD_SECURE))
        return true;
    finish(request, BLKIF_RSP_EOPNOTSUPP);
    return false;
}

static bool decode_indirect(struct vbd_request *request, const struct blkif_request_indirect *entry)
{
    unsigned segments = entry->nr_segments;
    request->operation = entry->indirect_op;
    request->action = entry->indirect_op == BLKIF_OP_READ ? DISK_READ : DISK_WRITE;
    request->sector = entry->sector_number;
    if (entry->indirect_op != BLKIF_OP_READ && entry->indirect_op != BLKIF_OP_WRITE)
        return refuse(request, BLKIF_RSP_ERROR, "is not for indirect requests");
    if (!check_data(request, segments, VBD_SEGMENTS))
        return false;
    request->indirect = segments;
    /* The page is copied, so that what is checked is what is used. */
    uint64_t to = (uint64_t)batch.segment[batch.indirect];
    batch.copy[batch.indirect++] =
        (struct gnttab_copy){.source.u.ref = entry->indirect_grefs[0],
                             .source.domid = request->ring->vbd->backend->domid,
                             .dest.u.gmfn = to / PAGE,
                             .dest.domid = DOMID_SELF,
                             .dest.offset = to % PAGE,
                             .len = (uint16_t)(segments * sizeof batch.segment[0][0]),
                             .flags = GNTCOPY_source_gref};
    return true;
}

static bool decode(struct vbd_request *request, const union vbd_entry *entry)
{
    switch (entry->rw.operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
    case BLKIF_OP_WRITE_BARRIER:
    case BLKIF_OP_FLUSH_DISKCACHE:
        return decode_rw(request, &entry->rw);
    case BLKIF_OP_DISCARD:
        return decode_discard(request, &entry->discard);
    case BLKIF_OP_INDIRECT:
        return decode_indirect(request, &entry->indirect);
    default:
        return refuse(request, BLKIF_RSP_EOPNOTSUPP, "is unknown");
    }
}

/* --- from the ring to the disk -------------------------------------------------------------------------- */

/* How many pages it will pin, if it is right. */
static unsigned pages_of(const union vbd_entry *entry)
{
    unsigned segments, most;
    switch (entry->rw.operation) {
    case BLKIF_OP_DISCARD:
        return 0;
    case BLKIF_OP_INDIRECT:
        segments = entry->indirect.nr_segments;
        most = VBD_SEGMENTS;
        break;
    default:
        segments = entry->rw.nr_segments;
        most = BLKIF_MAX_SEGMENTS_PER_REQUEST;
    }
    return segments < most ? segments : most;
}

/* Whether the next request in the ring has to wait until others are done. */
static bool must_wait(struct vbd_ring *ring, const union vbd_entry *entry)
{
    struct vbd *vbd = ring->vbd;
    bool barrier = entry->rw.operation == BLKIF_OP_WRITE_BARRIER;
    vbd->draining = barrier && vbd->under_way ? ring : NULL;
    return vbd->draining || vbd->under_way == VBD_REQUESTS || vbd->pages + pages_of(entry) > VBD_PAGES;
}

/* Takes one request into the batch. False: none is there, or it has to wait, then the ring stays kicked. */
static bool take(struct vbd_ring *ring)
{
    struct vbd *vbd = ring->vbd;
    union vbd_entry entry;
    if (vbd->barrier || (vbd->draining && vbd->draining != ring))
        return false;
    if (!ring_peek(ring, &entry)) {
        if (vbd->draining == ring)
            vbd->draining = NULL;
        ring->kicked = !ring->broken && ring_sleep(ring);
        return ring->kicked;
    }
    if (must_wait(ring, &entry))
        return false;
    struct vbd_request *request = request_new(vbd, pages_of(&entry));
    if (!request && vbd->under_way)
        return false;
    ring_next(ring);
    if (!request) {
        backend_complain(vbd->backend, "no memory for a request: raise dom0_mem");
        vbd->statistics.errors++;
        ring_answer(ring, entry.rw.id, entry.rw.operation, BLKIF_RSP_ERROR);
        return false;
    }
    request->ring = ring;
    request->id = entry.rw.id;
    request->operation = entry.rw.operation;
    request->flush_first = request->to_medium = false;
    request->sector = request->sectors = 0;
    request->indirect = request->pin_count = 0;
    request->claimed = pages_of(&entry);
    vbd->pages += request->claimed;
    vbd->under_way++;
    if (entry.rw.operation == BLKIF_OP_WRITE_BARRIER)
        vbd->barrier = request;
    if (decode(request, &entry))
        batch.request[batch.requests++] = request;
    return true;
}

/* The segments of indirect requests, in one call. Those whose page is bad leave the batch. */
static void fetch_indirect(void)
{
    unsigned kept = 0, n = 0;
    grant_copy(batch.copy, batch.indirect);
    for (unsigned i = 0; i < batch.requests; i++) {
        struct vbd_request *request = batch.request[i];
        if (request->indirect) {
            unsigned at = n++;
            if (batch.copy[at].status != GNTST_okay) {
                refuse(request, BLKIF_RSP_ERROR, "has a bad grant reference of its segments' page");
                continue;
            }
            if (!take_segments(request, batch.segment[at], request->indirect))
                continue;
        }
        batch.request[kept++] = request;
    }
    batch.requests = kept;
}

/* All of its pages are pinned: then the segments say where they are. */
static bool place_segments(struct vbd_request *request)
{
    for (unsigned i = 0; i < request->pin_count; i++) {
        const struct grant_pin *pin = &request->pins[i];
        struct disk_segment *segment = &request->segments[i];
        if (pin->status != GNTST_okay)
            return refuse(request, BLKIF_RSP_ERROR, "has a bad grant reference");
        segment->data = pin->data ? (char *)pin->data + segment->bus : NULL;
        segment->bus += pin->bus;
    }
    return true;
}

static void launch(struct vbd *vbd)
{
    if (batch.indirect)
        fetch_indirect();
    if (batch.pins)
        grant_pin_list(vbd->backend->domid, batch.pin, batch.pins, vbd->disk->needs_data);
    for (unsigned i = 0; i < batch.requests; i++) {
        struct vbd_request *request = batch.request[i];
        if (place_segments(request))
            submit(request, request->flush_first ? DISK_FLUSH : request->action);
    }
}

static void serve(struct vbd_ring *ring)
{
    bool took;
    do {
        batch.requests = batch.indirect = batch.pins = 0;
        unsigned left = BATCH_REQUESTS;
        while ((took = take(ring)) && --left)
            ;
        launch(ring->vbd);
    } while (took);
}

static bool is_kicked(const struct vbd *vbd)
{
    bool kicked = false;
    for (unsigned i = 0; i < vbd->ring_count; i++)
        kicked |= vbd->rings[i].kicked;
    return kicked && !vbd->closing;
}

void vbd_run(struct vbd *vbd)
{
    if (running) {
        work_later(&vbd->work);
        return;
    }
    running = vbd;
    for (unsigned round = 0; round == 0 || (vbd->done && round < ROUNDS); round++) {
        answer_done(vbd);
        for (unsigned i = 0; i < vbd->ring_count && !vbd->closing; i++)
            if (vbd->rings[i].kicked)
                serve(&vbd->rings[i]);
    }
    answer_done(vbd);
    tell(vbd);
    running = NULL;
    /* What waits for the disk is looked at again when that is done with something. */
    if (is_kicked(vbd) && !vbd->at_disk)
        work_later(&vbd->work);
    if (vbd->closing && !vbd->under_way)
        signal_set(&vbd->idle);
}
