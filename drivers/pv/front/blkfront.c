/*
 * Block frontend (drivers/blkfront.h, xen/io/blkif.h): connecting with as many rings as both sides want,
 * direct and indirect requests. The back end's answers are not trusted with memory: an id that stands for no
 * request is counted and dropped.
 */
#include <drivers/blkfront.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/memory.h>

static unsigned smaller(uint64_t a, uint64_t b)
{
    return (unsigned)(a < b ? a : b);
}

/* --- connecting ----------------------------------------------------------------------------------------- */

static void queue_init(struct blk *blk, struct blk_queue *q, bool indirect)
{
    blkif_sring_t *shared = page_alloc(blk->ring_pages);
    if (!shared)
        pvh_panic("no memory for a ring");
    memset(shared, 0, blk->ring_pages * PAGE_SIZE);
    SHARED_RING_INIT(shared);
    FRONT_RING_INIT(&q->ring, shared, blk->ring_pages * PAGE_SIZE);
    for (unsigned i = 0; i < blk->ring_pages; i++)
        q->ring_refs[i] = grant_offer(blk->device.backend_domid, (char *)shared + i * PAGE_SIZE, false);
    long port = event_alloc_unbound(DOMID_SELF, blk->device.backend_domid);
    if (port < 0)
        pvh_panic("no event channel: error %ld", port);
    q->port = (evtchn_port_t)port;
    q->free_count = RING_SIZE(&q->ring);
    for (unsigned i = 0; i < q->free_count; i++) {
        q->free_slots[i] = (uint16_t)i;
        q->io[i] = NULL;
        q->indirect[i] = indirect ? page_alloc(1) : NULL;
        if (q->indirect[i])
            q->indirect_refs[i] = grant_offer(blk->device.backend_domid, q->indirect[i], true);
    }
}

/* False: the back end still has something mapped. */
static bool queue_end(struct blk *blk, struct blk_queue *q)
{
    bool good = true;
    event_close(q->port);
    for (unsigned i = 0; i < RING_SIZE(&q->ring); i++)
        if (q->indirect[i]) {
            if (grant_withdraw(q->indirect_refs[i]))
                page_free(q->indirect[i], 1);
            else
                good = false;
        }
    for (unsigned i = 0; i < blk->ring_pages; i++)
        good &= grant_withdraw(q->ring_refs[i]);
    if (good)
        page_free(q->ring.sring, blk->ring_pages);
    return good;
}

/*
 * One queue's keys stand beside the others, several have directories; a ring of one page has no number
 * (blkif.h, notes 6).
 */
static void queue_publish(struct blk *blk, unsigned index)
{
    const struct blk_queue *q = &blk->queue[index];
    int directory = blk->queue_count > 1 ? (int)index : -1;
    char key[16];
    for (unsigned i = 0; i < blk->ring_pages; i++) {
        snprintf(key, sizeof key, blk->ring_pages > 1 ? "ring-ref%u" : "ring-ref", i);
        front_write(&blk->device, directory, key, q->ring_refs[i]);
    }
    front_write(&blk->device, directory, "event-channel", q->port);
}

static void publish(struct blk *blk)
{
    char path[64];
    if (blk->ring_pages > 1) {
        front_write(&blk->device, -1, "ring-page-order", (uint64_t)__builtin_ctz(blk->ring_pages));
        front_write(&blk->device, -1, "num-ring-pages", blk->ring_pages);
    }
    if (blk->queue_count > 1)
        front_write(&blk->device, -1, "multi-queue-num-queues", blk->queue_count);
    for (unsigned i = 0; i < blk->queue_count; i++)
        queue_publish(blk, i);
    snprintf(path, sizeof path, "%s/protocol", blk->device.path);
    xs_write(path, "%s", XEN_IO_PROTO_ABI_NATIVE);
}

/* What an earlier connection said, which may not hold for the next. */
static void unpublish(struct blk *blk)
{
    static const char *const keys[] = {"ring-page-order", "num-ring-pages", "multi-queue-num-queues",
                                       "ring-ref",        "event-channel",  "ring-ref0",
                                       "ring-ref1",       "ring-ref2",      "ring-ref3",
                                       "queue-0",         "queue-1",        "queue-2",
                                       "queue-3"};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        front_rm(&blk->device, keys[i]);
}

bool blk_open(struct blk *blk, unsigned devid, const struct blk_options *options)
{
    memset(blk, 0, sizeof *blk);
    blk->devid = devid;
    struct front_device *d = &blk->device;
    if (!front_open(d, "vbd", devid))
        return front_complain(&blk->device, "no back end is ready");
    unpublish(blk);
    blk->queue_count = smaller(options->queues, front_number(d, "multi-queue-max-queues", 1));
    blk->queue_count = smaller(blk->queue_count ? blk->queue_count : 1, BLK_QUEUES);
    blk->ring_pages = smaller(1u << smaller(options->ring_order, front_number(d, "max-ring-page-order", 0)),
                              BLK_RING_PAGES);
    uint64_t indirect = options->indirect ? front_number(d, "feature-max-indirect-segments", 0) : 0;
    blk->max_segments = indirect > BLKIF_MAX_SEGMENTS_PER_REQUEST ? smaller(indirect, BLK_MAX_SEGMENTS)
                                                                  : BLKIF_MAX_SEGMENTS_PER_REQUEST;
    for (unsigned i = 0; i < blk->queue_count; i++)
        queue_init(blk, &blk->queue[i], blk->max_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST);
    publish(blk);
    front_set_state(d, XenbusStateInitialised);
    if (!front_wait(d, XenbusStateConnected))
        return front_complain(&blk->device, "the back end does not connect");
    blk->sectors = blk_size(blk);
    blk->sector_size = (uint32_t)front_number(d, "sector-size", 512);
    blk->read_only = front_number(d, "info", 0) & VDISK_READONLY;
    blk->flush = front_number(d, "feature-flush-cache", 0);
    blk->barrier = front_number(d, "feature-barrier", 0);
    blk->discard = front_number(d, "feature-discard", 0);
    blk->discard_granularity = (uint32_t)front_number(d, "discard-granularity", blk->sector_size);
    front_set_state(d, XenbusStateConnected);
    return true;
}

bool blk_close(struct blk *blk)
{
    bool good = front_close(&blk->device);
    for (unsigned i = 0; i < blk->queue_count; i++)
        good &= queue_end(blk, &blk->queue[i]);
    return good;
}

uint64_t blk_size(const struct blk *blk)
{
    return front_number(&blk->device, "sectors", 0);
}

/* --- requests ------------------------------------------------------------------------------------------- */

static void fill_indirect(struct blk_queue *q, unsigned slot, blkif_request_t *request,
                          const struct blk_io *io)
{
    blkif_request_indirect_t *indirect = (blkif_request_indirect_t *)request;
    indirect->operation = BLKIF_OP_INDIRECT;
    indirect->indirect_op = io->operation;
    indirect->nr_segments = (uint16_t)io->segment_count;
    indirect->sector_number = io->sector;
    indirect->handle = 0;
    indirect->indirect_grefs[0] = q->indirect_refs[slot];
    memcpy(q->indirect[slot], io->segments, io->segment_count * sizeof *io->segments);
}

static void fill(struct blk_queue *q, unsigned slot, blkif_request_t *request, const struct blk_io *io)
{
    request->id = slot;
    request->operation = io->operation;
    request->handle = 0;
    request->sector_number = io->sector;
    if (io->operation == BLKIF_OP_DISCARD) {
        ((blkif_request_discard_t *)request)->flag = 0;
        ((blkif_request_discard_t *)request)->nr_sectors = io->sectors;
    } else if (io->segment_count > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
        fill_indirect(q, slot, request, io);
    } else {
        request->nr_segments = (uint8_t)io->segment_count;
        if (io->segment_count)
            memcpy(request->seg, io->segments, io->segment_count * sizeof *io->segments);
    }
}

bool blk_submit(struct blk *blk, unsigned queue, struct blk_io *io)
{
    struct blk_queue *q = &blk->queue[queue];
    if (!q->free_count)
        return false;
    unsigned slot = q->free_slots[--q->free_count];
    int notify;
    q->io[slot] = io;
    io->done = false;
    fill(q, slot, RING_GET_REQUEST(&q->ring, q->ring.req_prod_pvt), io);
    q->ring.req_prod_pvt++;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->ring, notify);
    if (notify)
        event_send(q->port);
    return true;
}

static void answer(struct blk *blk, struct blk_queue *q, const blkif_response_t *response)
{
    struct blk_io *io = response->id < RING_SIZE(&q->ring) ? q->io[response->id] : NULL;
    if (!io) {
        blk->strange++;
        return;
    }
    io->status = response->status;
    io->done = true;
    q->io[response->id] = NULL;
    q->free_slots[q->free_count++] = (uint16_t)response->id;
}

unsigned blk_poll(struct blk *blk)
{
    unsigned answers = 0;
    for (unsigned i = 0; i < blk->queue_count; i++) {
        struct blk_queue *q = &blk->queue[i];
        int more;
        do {
            RING_IDX end = q->ring.sring->rsp_prod;
            xen_rmb();
            if (end - q->ring.rsp_cons > RING_SIZE(&q->ring)) {
                blk->strange++;
                break;
            }
            for (; q->ring.rsp_cons != end; q->ring.rsp_cons++, answers++) {
                blkif_response_t response = *RING_GET_RESPONSE(&q->ring, q->ring.rsp_cons);
                answer(blk, q, &response);
            }
            RING_FINAL_CHECK_FOR_RESPONSES(&q->ring, more);
        } while (more);
    }
    return answers;
}

unsigned blk_wait(struct blk *blk, uint64_t deadline)
{
    evtchn_port_t ports[BLK_QUEUES];
    unsigned answers;
    for (unsigned i = 0; i < blk->queue_count; i++)
        ports[i] = blk->queue[i].port;
    while (!(answers = blk_poll(blk)) && front_sleep(ports, blk->queue_count, deadline))
        ;
    return answers;
}

int blk_do(struct blk *blk, struct blk_io *io)
{
    uint64_t end = pvh_time_ns() + FRONT_PATIENCE;
    if (!blk_submit(blk, 0, io))
        return 1;
    while (!io->done)
        if (!blk_wait(blk, end) && !io->done)
            return 1;
    return io->status;
}
